/* The one process of a network sandbox: it keeps the network namespace that tasks join, one at a
 * time, and says between two of them whether the last one left anything.
 *
 * It answers each byte on its standard input with one line. The first line is "ready": what there
 * is then, before any task, is what later answers compare with. A later one is "clean", or names
 * what differs: "files", "sockets" or "connections". At the end of its input it ends, so that a
 * sandbox does not outlive those who would use it.
 *
 * It only looks. What a task changed is never mended: the sandbox is thrown away instead. So this
 * needs no capability, no user and no writable file.
 */
#define _GNU_SOURCE

#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { SETTLE_NANOSECONDS = 50 * 1000 * 1000, MAX_SETTLE_ROUNDS = 40 };
enum { MAX_CONTENT_BYTES = 16 * 1024, MAX_NAMES_BYTES = 1024, CHUNK_BYTES = 4096 };

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

/* What a task shares with its sandbox, and may write to if it is root. */
static const char *const paths[] = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};

/* One line for each socket, those in TIME_WAIT and without a process among them. */
static const char *const tables[] = {
    "/proc/net/tcp",     "/proc/net/tcp6",     "/proc/net/udp",  "/proc/net/udp6",
    "/proc/net/udplite", "/proc/net/udplite6", "/proc/net/raw",  "/proc/net/raw6",
    "/proc/net/icmp",    "/proc/net/icmp6",    "/proc/net/unix", "/proc/net/packet",
    "/proc/net/ip6_flowlabel",
};

/* Sockets of any family. */
static const char summary[] = "/proc/net/sockstat";
static const char summary_begin[] = "sockets: used ";

/* Connections the kernel tracks in this namespace: only where the network has rules in here, as
 * user-defined ones do. The kernel remembers them, with their peers, for up to days. */
static const char tracked[] = "/proc/sys/net/netfilter/nf_conntrack_count";

struct file {
    mode_t mode;
    uid_t owner;
    gid_t group;
    struct timespec modified;
    int flags, generation;
    struct fsxattr attributes;
    ssize_t names_length, length;
    char names[MAX_NAMES_BYTES]; /* of extended attributes */
    char content[MAX_CONTENT_BYTES];
};

struct snapshot {
    struct file files[LENGTH(paths)];
    long sockets[LENGTH(tables) + 1];
    long connections;
};

static struct snapshot first, now;

/* Returns the number of bytes read, or -1; a longer file fills the buffer. */
static ssize_t read_whole(int fd, char *buffer, size_t size)
{
    size_t length = 0;

    while (length < size) {
        ssize_t got = read(fd, buffer + length, size - length);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    return (ssize_t)length;
}

static bool look_at_file(const char *path, struct file *file)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return false;
    if (fstat(fd, &status) == 0) {
        file->mode = status.st_mode;
        file->owner = status.st_uid;
        file->group = status.st_gid;
        file->modified = status.st_mtim;
    }
    /* Not every file system has these; they stay 0 then. */
    (void)ioctl(fd, FS_IOC_GETFLAGS, &file->flags);
    (void)ioctl(fd, FS_IOC_GETVERSION, &file->generation);
    (void)ioctl(fd, FS_IOC_FSGETXATTR, &file->attributes);
    file->names_length = flistxattr(fd, file->names, sizeof file->names);
    file->length = read_whole(fd, file->content, sizeof file->content);
    (void)close(fd);
    /* What does not fit cannot be compared. */
    return file->length >= 0 && file->length < (ssize_t)sizeof file->content;
}

/* Returns -1 for a table that the kernel does not have. */
static long count_lines(const char *path)
{
    char chunk[CHUNK_BYTES];
    ssize_t got;
    long lines = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    while ((got = read(fd, chunk, sizeof chunk)) > 0)
        for (ssize_t index = 0; index < got; index++)
            lines += chunk[index] == '\n';
    (void)close(fd);
    return lines;
}

/* Returns the number behind `begin`, with which the file begins; -1 if it does not. */
static long read_number(const char *path, const char *begin)
{
    char text[CHUNK_BYTES];
    ssize_t length = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        length = read_whole(fd, text, sizeof text - 1);
        (void)close(fd);
    }
    text[length < 0 ? 0 : length] = '\0';
    if (length < 0 || strncmp(text, begin, strlen(begin)) != 0)
        return -1;
    return strtol(text + strlen(begin), NULL, 10);
}

static bool look(struct snapshot *snapshot)
{
    bool comparable = true;

    memset(snapshot, 0, sizeof *snapshot);
    for (size_t index = 0; index < LENGTH(paths); index++)
        comparable &= look_at_file(paths[index], &snapshot->files[index]);
    for (size_t index = 0; index < LENGTH(tables); index++)
        snapshot->sockets[index] = count_lines(tables[index]);
    snapshot->sockets[LENGTH(tables)] = read_number(summary, summary_begin);
    snapshot->connections = read_number(tracked, "");
    return comparable;
}

/* The kernel frees some sockets of those who made this namespace a moment after they closed them. */
static void look_until_settled(void)
{
    const struct timespec pause = {.tv_nsec = SETTLE_NANOSECONDS};

    (void)look(&first); /* a file that cannot be compared now never can: no task is the second */
    for (int round = 0; round < MAX_SETTLE_ROUNDS; round++) {
        (void)nanosleep(&pause, NULL);
        (void)look(&now);
        if (memcmp(&first, &now, sizeof first) == 0)
            return;
        first = now;
    }
}

static const char *difference(void)
{
    bool comparable = look(&now);

    if (!comparable || memcmp(first.files, now.files, sizeof first.files) != 0)
        return "files\n";
    if (memcmp(first.sockets, now.sockets, sizeof first.sockets) != 0)
        return "sockets\n";
    return first.connections == now.connections ? "clean\n" : "connections\n";
}

static void answer(const char *line)
{
    if (write(STDOUT_FILENO, line, strlen(line)) != (ssize_t)strlen(line))
        exit(EXIT_FAILURE);
}

int main(void)
{
    char question;

    if (read(STDIN_FILENO, &question, 1) != 1)
        return EXIT_SUCCESS;
    look_until_settled();
    answer("ready\n");
    while (read(STDIN_FILENO, &question, 1) == 1)
        answer(difference());
    return EXIT_SUCCESS;
}

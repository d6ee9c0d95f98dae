/* The ECS init: PID 1 of a task's container.
 *
 * It reads one frame (frame.h) from its standard input, starts the command in it, passes signals
 * and standard input on to it, reaps what is orphaned, ends it when its time is over, and says on
 * both outputs how it ended. Its own exit status is then the command's, as the engine's own init
 * would have it; 125 says that the init itself could not do its work.
 *
 * It shares the container with a command that nobody trusts. So it cannot be read (not dumpable),
 * nor be sent a signal that ends it (PID 1 of a namespace), does a bounded amount of anything before
 * it looks at the clock, keeps its standard input and the token to itself, and holds nothing that
 * would be worth more than a lie about the command's own end. A command of the same user can change
 * its resource limits, and have the kernel end it with these: that is the end of the container.
 */
#define _GNU_SOURCE

#include "frame.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_INIT_FAILED = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL = 128 };
enum { STDIN_BUFFER_BYTES = 64 * 1024, CGROUP_FILE_BYTES = 4096, REAPED_AT_A_TIME = 64 };

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct command {
    char **argv, **environment;
    pid_t pid;
};

/* Standard input on its way from ECS to the command. */
struct input {
    struct chunks chunks;
    int pipe; /* the command's end of file is when this is closed; then -1 */
    size_t begin, end;
    uint8_t buffer[STDIN_BUFFER_BYTES];
};

static struct input input = {.pipe = -1};
static sigset_t original_mask;
static struct sigaction original_sigpipe;
static int oom_file = -1;

static _Noreturn void fail(const char *what)
{
    /* Nobody but ECS reads this, and only until it sees the exit status. */
    (void)!write(STDERR_FILENO, what, strlen(what));
    _exit(EXIT_INIT_FAILED);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t later(uint64_t ms)
{
    uint64_t now = now_ms();

    return ms < UINT64_MAX - now ? now + ms : UINT64_MAX;
}

/* Every process of the container but this one. Only as PID 1: elsewhere -1 is everything there is. */
static void kill_all(void)
{
    if (getpid() == 1)
        kill(-1, SIGKILL);
}

/* Take signals through a file, all but those about this process itself, to pass them on. */
static int open_signals(void)
{
    static const int own[] = {
        SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGSYS, SIGTRAP,
    };
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t set;
    int signals;

    sigfillset(&set);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&set, own[i]);
    sigprocmask(SIG_SETMASK, &set, &original_mask);
    /* A reader that is gone must not end this process before its last word. */
    sigaction(SIGPIPE, &ignore, &original_sigpipe);
    signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        fail("ecs init: signalfd failed\n");
    return signals;
}

/* Read a small file as a string; false if it cannot be read. */
static bool read_text(int file, char text[CGROUP_FILE_BYTES])
{
    ssize_t got = file < 0 ? -1 : pread(file, text, CGROUP_FILE_BYTES - 1, 0);

    if (got < 0)
        return false;
    text[got] = '\0';
    return true;
}

/* Open what counts the out-of-memory kills of this container alone. Of cgroup version 1 the engine
 * mounts the container's own cgroup. Of version 2 it may mount everybody's, with the container's
 * somewhere below (its default-cgroupns-mode host). */
static void open_oom_file(void)
{
    static const char root[] = "/sys/fs/cgroup", events[] = "/memory.events";
    char text[CGROUP_FILE_BYTES], own[CGROUP_FILE_BYTES];
    char path[sizeof root + sizeof own + sizeof events];
    int cgroups;

    oom_file = open("/sys/fs/cgroup/memory/memory.oom_control", O_RDONLY | O_CLOEXEC);
    if (oom_file >= 0)
        return;
    cgroups = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    if (read_text(cgroups, text) && cgroup_path_read(text, own, sizeof own)) {
        stpcpy(stpcpy(stpcpy(path, root), own), events);
        oom_file = open(path, O_RDONLY | O_CLOEXEC);
    }
    close(cgroups);
}

/* Read exactly size bytes of the frame. A signal that would end a program ends the wait for them. */
static void read_frame(int signals, void *bytes, size_t size)
{
    struct pollfd polled[] = {{STDIN_FILENO, POLLIN, 0}, {signals, POLLIN, 0}};
    struct signalfd_siginfo info;
    size_t have = 0;

    while (have < size) {
        ssize_t got;
        if (poll(polled, 2, -1) < 0)
            fail("ecs init: poll failed\n");
        while (read(signals, &info, sizeof info) == sizeof info)
            if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT || info.ssi_signo == SIGQUIT)
                _exit(EXIT_SIGNAL + (int)info.ssi_signo);
        if (polled[0].revents == 0)
            continue;
        got = read(STDIN_FILENO, (uint8_t *)bytes + have, size - have);
        if (got <= 0)
            fail("ecs init: standard input ended within the frame\n");
        have += (size_t)got;
    }
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        fail("ecs init: out of memory\n");
    return memory;
}

static struct header read_command(int signals, struct command *command)
{
    uint8_t bytes[HEADER_BYTES];
    struct header header;
    char *strings, **changes;

    read_frame(signals, bytes, sizeof bytes);
    if (!header_read(&header, bytes))
        fail("ecs init: not a frame\n");
    strings = allocate(header.strings_bytes, 1);
    read_frame(signals, strings, header.strings_bytes);
    command->argv = allocate((size_t)header.argument_count + 1, sizeof(char *));
    changes = allocate((size_t)header.environment_count + 1, sizeof(char *));
    if (!strings_split(&header, strings, command->argv, changes))
        fail("ecs init: the frame's strings are not what its header says\n");
    command->environment = allocate(environment_size(environ, changes), sizeof(char *));
    environment_merge(environ, changes, command->environment);
    return header;
}

static const char *search_path(char *const *environment)
{
    for (; *environment != NULL; environment++)
        if (strncmp(*environment, "PATH=", 5) == 0)
            return *environment + 5;
    return default_path;
}

/* execvpe(3) without its shell for a file that has no format; return errno. */
static int execute(char *const *argv, char *const *environment)
{
    size_t name_bytes = strlen(argv[0]);
    char path[PATH_MAX];
    bool denied = false;
    const char *folder;

    if (name_bytes == 0)
        return ENOENT;
    if (strchr(argv[0], '/') != NULL) {
        execve(argv[0], argv, environment);
        return errno;
    }
    for (folder = search_path(environment);; folder++) {
        size_t folder_bytes = strcspn(folder, ":");
        if (folder_bytes + 1 + name_bytes < sizeof path) {
            memcpy(path, folder, folder_bytes);
            path[folder_bytes] = '/';
            /* An empty entry means the working directory. */
            memcpy(path + folder_bytes + (folder_bytes > 0), argv[0], name_bytes + 1);
            execve(path, argv, environment);
            if (errno == EACCES)
                denied = true;
            else if (errno != ENOENT && errno != ENOTDIR)
                return errno;
        }
        folder += folder_bytes;
        if (*folder == '\0')
            return denied ? EACCES : ENOENT;
    }
}

/* In the child: everything as the engine gave it to this process, but for standard input. */
static _Noreturn void become(const struct command *command, int stdin_file, int error_pipe)
{
    int error = 0;

    if (setpgid(0, 0) < 0 || dup2(stdin_file, STDIN_FILENO) < 0 ||
        sigaction(SIGPIPE, &original_sigpipe, NULL) < 0 ||
        sigprocmask(SIG_SETMASK, &original_mask, NULL) < 0)
        error = errno;
    if (error == 0)
        error = execute(command->argv, command->environment);
    (void)!write(error_pipe, &error, sizeof error);
    _exit(EXIT_NOT_EXECUTABLE);
}

static void open_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) < 0)
        fail("ecs init: no pipe\n");
}

/* Return what the command reads from: a pipe, or nothing, as without `docker run -i`. */
static int open_stdin(bool has_stdin)
{
    int ends[2];

    if (!has_stdin) {
        ends[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (ends[0] < 0)
            fail("ecs init: no /dev/null\n");
        return ends[0];
    }
    open_pipe(ends);
    if (fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0)
        fail("ecs init: no pipe that does not block\n");
    input.pipe = ends[1];
    return ends[0];
}

/* Return 0 when the command runs, else the errno of its execve. */
static int start(struct command *command, bool has_stdin)
{
    int error = 0, stdin_file = open_stdin(has_stdin), errors[2];

    open_pipe(errors);
    command->pid = fork();
    if (command->pid < 0)
        fail("ecs init: fork failed\n");
    if (command->pid == 0)
        become(command, stdin_file, errors[1]);
    close(stdin_file);
    close(errors[1]);
    /* Its other end is closed by a successful execve. */
    if (read(errors[0], &error, sizeof error) != sizeof error)
        error = 0;
    close(errors[0]);
    return error;
}

static void close_input(void)
{
    close(input.pipe);
    input.pipe = -1;
}

/* Standard input broke off: what the command makes of the half of it is not its answer. */
static _Noreturn void input_lost(void)
{
    kill_all();
    fail("ecs init: standard input ended without its last chunk\n");
}

static void pump_input(short readable)
{
    if (input.begin == input.end && !input.chunks.ended && readable) {
        ssize_t got = read(STDIN_FILENO, input.buffer, sizeof input.buffer);
        if (got <= 0)
            input_lost();
        input.begin = 0;
        input.end = chunks_decode(&input.chunks, input.buffer, (size_t)got);
    }
    if (input.begin < input.end) {
        ssize_t put = write(input.pipe, input.buffer + input.begin, input.end - input.begin);
        if (put > 0)
            input.begin += (size_t)put;
        else if (errno != EAGAIN)
            close_input(); /* the command closed it; what else comes is not read */
    }
    if (input.pipe >= 0 && input.begin == input.end && input.chunks.ended)
        close_input();
}

/* Reap who has ended; return whether the command is among them. It is asked for first, and of the
 * others not more than so many are taken: orphans may come as fast as they are reaped. */
static bool reap(const struct command *command, int *status)
{
    pid_t pid = waitpid(command->pid, status, WNOHANG);

    for (int i = 0; pid != command->pid; i++) {
        int any;
        if (i == REAPED_AT_A_TIME) {
            raise(SIGCHLD); /* so that nobody sleeps while others are left */
            return false;
        }
        pid = waitpid(-1, &any, WNOHANG);
        if (pid <= 0)
            return false;
        if (pid == command->pid)
            *status = any;
    }
    return true;
}

/* One signal at a time: whoever sends them faster than they are passed on stops nothing else. */
static void forward_signal(int signals, pid_t pid)
{
    struct signalfd_siginfo info;

    if (read(signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGCHLD)
        kill(pid, (int)info.ssi_signo);
}

/* Run the command to its end; return its wait status. */
static int watch(const struct command *command, const struct header *header, int signals,
                 bool *timed_out)
{
    uint64_t deadline = later(header->timeout_ms);
    int status = 0;

    for (;;) {
        struct pollfd polled[] = {
            {signals, POLLIN, 0},
            {input.pipe >= 0 && input.begin == input.end ? STDIN_FILENO : -1, POLLIN, 0},
            {input.begin < input.end ? input.pipe : -1, POLLOUT, 0},
        };
        uint64_t now = now_ms(), left = deadline > now ? deadline - now : 0;
        if (poll(polled, 3, left < INT_MAX ? (int)left : INT_MAX) < 0) {
            /* The command took this process the files it may watch. */
            kill_all();
            waitpid(command->pid, &status, 0);
            return status;
        }
        forward_signal(signals, command->pid);
        if (reap(command, &status))
            return status;
        if (input.pipe >= 0)
            pump_input(polled[1].revents);
        if (now_ms() < deadline)
            continue;
        if (*timed_out) {
            kill_all();
            deadline = UINT64_MAX;
        } else {
            *timed_out = true;
            kill(command->pid, SIGTERM);
            kill(command->pid, SIGCONT); /* a stopped process would take SIGTERM when it goes on */
            deadline = later(header->grace_ms);
        }
    }
}

static void count_oom_kills(struct trailer *trailer)
{
    char text[CGROUP_FILE_BYTES];

    if (read_text(oom_file, text) && oom_kills_read(text, &trailer->oom_kills))
        trailer->flags |= FLAG_OOM_COUNTED;
}

/* Write all of it at once, whatever the command made of its outputs. */
static void say(int output, const uint8_t *bytes, size_t size)
{
    struct pollfd polled = {output, POLLOUT, 0};

    do {
        fcntl(output, F_SETFL, fcntl(output, F_GETFL) & ~O_NONBLOCK);
        if (write(output, bytes, size) >= 0)
            return;
    } while (errno == EAGAIN && poll(&polled, 1, -1) >= 0);
}

int main(void)
{
    struct command command = {0};
    struct trailer trailer = {0};
    struct header header;
    uint8_t bytes[TRAILER_BYTES];
    bool timed_out = false;
    int signals, status = 0;

    if (getpid() != 1)
        fail("ecs init: not PID 1 of a container\n");
    prctl(PR_SET_DUMPABLE, 0);
    signals = open_signals();
    open_oom_file();
    header = read_command(signals, &command);
    trailer.error = (uint32_t)start(&command, header.has_stdin);
    if (trailer.error == 0)
        status = watch(&command, &header, signals, &timed_out);
    /* Who is left would end with this process anyway; nobody is to write or read any more. */
    kill_all();
    trailer.wait_status = (uint32_t)status;
    trailer.flags = timed_out ? FLAG_TIMED_OUT : 0;
    count_oom_kills(&trailer);
    trailer_write(&trailer, header.token, bytes);
    say(STDOUT_FILENO, bytes, sizeof bytes);
    say(STDERR_FILENO, bytes, sizeof bytes);
    if (trailer.error != 0)
        return trailer.error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
    return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

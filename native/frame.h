/* What ECS tells the init, and what the init tells ECS: bytes in memory, no I/O.
 *
 * In, on the init's standard input, numbers big-endian:
 *
 *      8 bytes  "ECSINIT" and the version, 1
 *     16        token, repeated in the trailer
 *      8        time the command may run, milliseconds
 *      4        time between SIGTERM and SIGKILL, milliseconds
 *      4        1 if standard input for the command follows, else 0
 *      4        number of arguments, at least 1
 *      4        number of environment entries
 *      4        size of the strings that follow
 *               strings, each ended by NUL: arguments, then NAME=value
 *
 * then, if so announced, standard input in chunks: 4 bytes of length, that many bytes; a length of
 * 0 is the end.
 *
 * Out, behind the command's output on standard output and on standard error alike, the trailer,
 * small enough for one atomic write to a pipe:
 *
 *     16 bytes  token
 *      4        flags: 1 = the time was over, 2 = out-of-memory kills were counted
 *      4        the command's wait status (waitpid(2))
 *      4        errno, if the command could not be started, else 0
 *      4        out-of-memory kills in the container
 *
 * The other end is ecs/tasks/init_frame.py and ecs/tasks/trailer.py.
 */
#ifndef ECS_FRAME_H
#define ECS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOKEN_BYTES = 16, HEADER_BYTES = 52, TRAILER_BYTES = TOKEN_BYTES + 16 };
enum { FLAG_TIMED_OUT = 1, FLAG_OOM_COUNTED = 2 };

struct header {
    uint8_t token[TOKEN_BYTES];
    uint64_t timeout_ms;
    uint32_t grace_ms;
    bool has_stdin;
    uint32_t argument_count, environment_count, strings_bytes;
};

struct trailer {
    uint32_t flags, wait_status, error, oom_kills;
};

/* How far the chunks of standard input were read. */
struct chunks {
    uint32_t remaining_bytes; /* of the chunk's payload */
    uint32_t length;          /* as far as its bytes have come */
    unsigned length_bytes;    /* how many of them have come */
    bool ended;
};

/* Read a header; false if these are not HEADER_BYTES of one. */
bool header_read(struct header *header, const uint8_t *bytes);

/* Point argv and environment, each with room for a NULL behind, into strings; false if strings does
 * not hold exactly what the header says. */
bool strings_split(const struct header *header, char *strings, char **argv, char **environment);

/* The size of the array that environment_merge fills. */
size_t environment_size(char *const *base, char *const *changes);

/* Fill merged with base and changes, of two that have a name in common with the change. In the order
 * that the engine gives them when a container is created with these changes to its image's
 * environment, base being what it gives without: its own PATH and HOSTNAME are first, then come the
 * changes, then the rest. */
void environment_merge(char *const *base, char *const *changes, char **merged);

/* Take the chunks' payload out of data, in place, and return its size. What follows the end is not
 * read. */
size_t chunks_decode(struct chunks *chunks, uint8_t *data, size_t size);

void trailer_write(const struct trailer *trailer, const uint8_t *token, uint8_t *bytes);

/* Find "0::PATH" in /proc/self/cgroup, the process's own cgroup of version 2; false if it is not there
 * or takes more than size bytes with its end. */
bool cgroup_path_read(const char *text, char *path, size_t size);

/* Find "oom_kill N" in a cgroup's memory.oom_control or memory.events; false if it is not there. */
bool oom_kills_read(const char *text, uint32_t *count);

#endif

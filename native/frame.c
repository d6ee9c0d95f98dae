#include "frame.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t magic[8] = {'E', 'C', 'S', 'I', 'N', 'I', 'T', 1};

static uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void write_u32(uint8_t *bytes, uint32_t number)
{
    bytes[0] = (uint8_t)(number >> 24);
    bytes[1] = (uint8_t)(number >> 16);
    bytes[2] = (uint8_t)(number >> 8);
    bytes[3] = (uint8_t)number;
}

bool header_read(struct header *header, const uint8_t *bytes)
{
    uint32_t has_stdin = read_u32(bytes + 36);

    if (memcmp(bytes, magic, sizeof magic) != 0 || has_stdin > 1)
        return false;
    memcpy(header->token, bytes + 8, TOKEN_BYTES);
    header->timeout_ms = (uint64_t)read_u32(bytes + 24) << 32 | read_u32(bytes + 28);
    header->grace_ms = read_u32(bytes + 32);
    header->has_stdin = has_stdin == 1;
    header->argument_count = read_u32(bytes + 40);
    header->environment_count = read_u32(bytes + 44);
    header->strings_bytes = read_u32(bytes + 48);
    /* A string has at least its NUL, so these counts also bound what is allocated for them. */
    return header->argument_count >= 1 &&
           (uint64_t)header->argument_count + header->environment_count <= header->strings_bytes;
}

/* Point the next count entries into the strings; return where the rest begins, or NULL. */
static char *split(char *from, const char *end, char **entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char *nul = memchr(from, '\0', (size_t)(end - from));
        if (nul == NULL)
            return NULL;
        entries[i] = from;
        from = nul + 1;
    }
    entries[count] = NULL;
    return from;
}

bool strings_split(const struct header *header, char *strings, char **argv, char **environment)
{
    const char *end = strings + header->strings_bytes;
    char *rest = split(strings, end, argv, header->argument_count);

    if (rest != NULL)
        rest = split(rest, end, environment, header->environment_count);
    return rest == end;
}

size_t environment_size(char *const *base, char *const *changes)
{
    size_t size = 1;

    while (*base++ != NULL)
        size++;
    while (*changes++ != NULL)
        size++;
    return size;
}

static char *find(char *const *entries, const char *wanted)
{
    size_t name_bytes = strcspn(wanted, "=");

    for (; *entries != NULL; entries++)
        if (strcspn(*entries, "=") == name_bytes && memcmp(*entries, wanted, name_bytes) == 0)
            return *entries;
    return NULL;
}

static bool is_engines(const char *entry)
{
    return strncmp(entry, "PATH=", 5) == 0 || strncmp(entry, "HOSTNAME=", 9) == 0;
}

void environment_merge(char *const *base, char *const *changes, char **merged)
{
    char *const *rest = base;

    /* As the engine orders it: its own PATH and HOSTNAME, what was asked for, the image's rest. */
    for (; *rest != NULL && is_engines(*rest); rest++) {
        char *change = find(changes, *rest);
        *merged++ = change != NULL ? change : *rest;
    }
    for (char *const *change = changes; *change != NULL; change++)
        if (!is_engines(*change) || find(base, *change) == NULL)
            *merged++ = *change;
    for (; *rest != NULL; rest++) {
        char *change = find(changes, *rest);
        if (change == NULL)
            *merged++ = *rest;
        else if (is_engines(change))
            *merged++ = change;
    }
    *merged = NULL;
}

size_t chunks_decode(struct chunks *chunks, uint8_t *data, size_t size)
{
    size_t payload_bytes = 0;

    for (size_t at = 0; at < size && !chunks->ended;) {
        if (chunks->remaining_bytes > 0) {
            size_t here = size - at;
            if (here > chunks->remaining_bytes)
                here = chunks->remaining_bytes;
            memmove(data + payload_bytes, data + at, here);
            payload_bytes += here;
            at += here;
            chunks->remaining_bytes -= (uint32_t)here;
            continue;
        }
        chunks->length = chunks->length << 8 | data[at++];
        if (++chunks->length_bytes == 4) {
            chunks->remaining_bytes = chunks->length;
            chunks->ended = chunks->length == 0;
            chunks->length = 0;
            chunks->length_bytes = 0;
        }
    }
    return payload_bytes;
}

void trailer_write(const struct trailer *trailer, const uint8_t *token, uint8_t *bytes)
{
    memcpy(bytes, token, TOKEN_BYTES);
    write_u32(bytes + TOKEN_BYTES, trailer->flags);
    write_u32(bytes + TOKEN_BYTES + 4, trailer->wait_status);
    write_u32(bytes + TOKEN_BYTES + 8, trailer->error);
    write_u32(bytes + TOKEN_BYTES + 12, trailer->oom_kills);
}

/* Return what is behind name on the first line that begins with it, or NULL. */
static const char *behind(const char *text, const char *name)
{
    size_t size = strlen(name);

    while (strncmp(text, name, size) != 0) {
        text = strchr(text, '\n');
        if (text == NULL)
            return NULL;
        text++;
    }
    return text + size;
}

bool cgroup_path_read(const char *text, char *path, size_t size)
{
    const char *found = behind(text, "0::");
    size_t length = found == NULL ? size : strcspn(found, "\n");

    if (length >= size)
        return false;
    memcpy(path, found, length);
    path[length] = '\0';
    return true;
}

bool oom_kills_read(const char *text, uint32_t *count)
{
    const char *number = behind(text, "oom_kill ");

    if (number == NULL)
        return false;
    *count = (uint32_t)strtoul(number, NULL, 10);
    return true;
}

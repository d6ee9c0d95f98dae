/* Feeds frame.c with what mutation makes of a good frame, and keeps what reaches new code: gcc calls
 * __sanitizer_cov_trace_pc at every branch. Deterministic; the sanitizers watch for the crashes, this
 * for answers that contradict each other. Usage: fuzz_frame ITERATIONS
 *
 * clang's libFuzzer would do the same for 400 MB of packages.
 */
#include "../frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INPUT_BYTES = 512, PATH_BYTES = 16, CORPUS = 512, MAP = 1 << 12, HANG_SECONDS = 5 };

struct sample {
    size_t size;
    uint8_t bytes[INPUT_BYTES];
};

static struct sample corpus[CORPUS];
static size_t corpus_size;
static uint8_t hits[MAP]; /* of each branch, by this input */
static uint8_t seen[MAP]; /* by any: a bit for about 1, 2, 4 … 128 hits */
static uintptr_t last_place;

void __sanitizer_cov_trace_pc(void);

__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc(void)
{
    uintptr_t place = (uintptr_t)__builtin_return_address(0);
    uint8_t *branch = &hits[((place >> 1) ^ (last_place << 4)) % MAP];

    last_place = place;
    *branch = (uint8_t)(*branch + (*branch < UINT8_MAX));
}

/* Whether this input went where, or as often as, none went before. */
static bool reached_new_code(void)
{
    bool is_new = false;

    for (size_t i = 0; i < MAP; i++) {
        uint8_t bit = 1;
        if (hits[i] == 0)
            continue;
        while (bit <= hits[i] / 2)
            bit = (uint8_t)(bit << 1);
        is_new |= !(seen[i] & bit);
        seen[i] |= bit;
    }
    return is_new;
}

static uint32_t random_number(void)
{
    static uint32_t state = 2463534242;

    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

static void demand(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_frame: %s\n", what);
        abort();
    }
}

/* In memory of exactly this size, so that the sanitizer sees one byte too far. */
static void *exact_copy(const void *bytes, size_t size)
{
    void *copy = malloc(size ? size : 1);

    demand(copy != NULL, "out of memory");
    memcpy(copy, bytes, size);
    return copy;
}

static void try_strings(const struct header *header, const uint8_t *bytes, size_t size)
{
    static char *const base[] = {"PATH=/bin", "HOME=/", NULL};
    char **argv, **changes, **merged, *strings;

    if (header->strings_bytes > size)
        return; /* the init would wait for more */
    strings = exact_copy(bytes, header->strings_bytes);
    argv = calloc((size_t)header->argument_count + 1, sizeof(char *));
    changes = calloc((size_t)header->environment_count + 1, sizeof(char *));
    demand(argv && changes, "out of memory");
    if (strings_split(header, strings, argv, changes)) {
        size_t total = 0, entries = environment_size(base, changes);
        for (char **text = argv; *text; text++)
            total += strlen(*text) + 1;
        for (char **text = changes; *text; text++)
            total += strlen(*text) + 1;
        demand(total == header->strings_bytes, "strings were lost");
        merged = calloc(entries, sizeof(char *));
        demand(merged != NULL, "out of memory");
        environment_merge(base, changes, merged);
        demand(environment_size(merged, base + 2) <= entries, "the environment grew");
        free(merged);
    }
    free(strings);
    free(argv);
    free(changes);
}

static size_t decode_all(const uint8_t *bytes, size_t size, size_t step, uint8_t *payload, bool *ended)
{
    struct chunks chunks = {0};
    size_t total = 0;

    for (size_t at = 0; at < size; at += step) {
        size_t here = size - at < step ? size - at : step;
        uint8_t *piece = exact_copy(bytes + at, here);
        size_t got = chunks_decode(&chunks, piece, here);
        demand(got <= here, "more payload than data");
        memcpy(payload + total, piece, got);
        total += got;
        free(piece);
    }
    *ended = chunks.ended;
    return total;
}

static void try_chunks(const uint8_t *bytes, size_t size)
{
    uint8_t whole[INPUT_BYTES], pieces[INPUT_BYTES];
    bool whole_ended, pieces_ended;
    size_t step = 1 + random_number() % 7;
    size_t whole_bytes = decode_all(bytes, size, INPUT_BYTES, whole, &whole_ended);
    size_t pieces_bytes = decode_all(bytes, size, step, pieces, &pieces_ended);

    demand(whole_bytes == pieces_bytes && whole_ended == pieces_ended, "the cut mattered");
    demand(memcmp(whole, pieces, whole_bytes) == 0, "the payload differs");
}

static void try_text(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1), *path = malloc(PATH_BYTES);
    uint32_t count;

    demand(text != NULL && path != NULL, "out of memory");
    memcpy(text, bytes, size);
    text[size] = '\0';
    oom_kills_read(text, &count);
    cgroup_path_read(text, path, PATH_BYTES);
    free(text);
    free(path);
}

static void try_input(const uint8_t *bytes, size_t size)
{
    struct header header;
    size_t at = HEADER_BYTES;

    if (size >= HEADER_BYTES) {
        uint8_t *copy = exact_copy(bytes, HEADER_BYTES);
        if (header_read(&header, copy)) {
            try_strings(&header, bytes + at, size - at);
            if (header.strings_bytes < size - at)
                at += header.strings_bytes;
        }
        free(copy);
        try_chunks(bytes + at, size - at);
    }
    try_text(bytes, size);
}

static void mutate(struct sample *sample)
{
    static const uint8_t interesting[] = {0, 1, 2, 3, 4, 8, 0x7f, 0x80, 0xff, '=', '\n', 'k'};
    uint32_t place = random_number() % (uint32_t)sample->size;

    switch (random_number() % 6) {
    case 0:
        sample->bytes[place] = (uint8_t)random_number();
        break;
    case 1:
        sample->bytes[place] = interesting[random_number() % sizeof interesting];
        break;
    case 2: /* a number of the header, or a little more or less of it */
        place = 36 + 4 * (random_number() % 4) + 3;
        if (place < sample->size)
            sample->bytes[place] = (uint8_t)(sample->bytes[place] + random_number() % 5 - 2);
        break;
    case 3:
        sample->size = 1 + place;
        break;
    case 4: /* twice the same */
        if (sample->size + (sample->size - place) <= INPUT_BYTES) {
            memcpy(sample->bytes + sample->size, sample->bytes + place, sample->size - place);
            sample->size += sample->size - place;
        }
        break;
    default: { /* the end of another one */
        const struct sample *other = &corpus[random_number() % corpus_size];
        if (place < other->size) {
            memcpy(sample->bytes + place, other->bytes + place, other->size - place);
            sample->size = other->size;
        }
    }
    }
}

static void keep(const struct sample *sample)
{
    if (corpus_size < CORPUS)
        corpus[corpus_size++] = *sample;
}

static void keep_bytes(const char *bytes, size_t size)
{
    struct sample sample = {.size = size};

    memcpy(sample.bytes, bytes, size);
    keep(&sample);
}

int main(int argc, char **argv)
{
    static const char frame[] = "ECSINIT\1TTTTTTTTTTTTTTTT\0\0\0\0\0\0\352\140\0\0\7\320"
                                "\0\0\0\1\0\0\0\2\0\0\0\2\0\0\0\33sh\0-c\0PATH=/usr/bin\0A=bcd\0\0"
                                "\0\0\0\3abc\0\0\0\1d\0\0\0\0";
    static const char cgroups[] = "4:memory:/\n0::/system.slice/b.scope\n";
    static const char events[] = "low 0\noom 2\noom_kill_disable 0\noom_kill 1\n";
    unsigned long iterations = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;

    keep_bytes(frame, sizeof frame - 1);
    keep_bytes(events, sizeof events - 1);
    keep_bytes(cgroups, sizeof cgroups - 1);
    for (unsigned long i = 0; i < iterations; i++) {
        struct sample sample = corpus[random_number() % corpus_size];
        for (uint32_t changes = 1 + random_number() % 4; changes > 0; changes--)
            mutate(&sample);
        memset(hits, 0, sizeof hits);
        last_place = 0;
        alarm(HANG_SECONDS); /* whose default is to end this */
        try_input(sample.bytes, sample.size);
        if (reached_new_code())
            keep(&sample);
    }
    printf("fuzz_frame: %lu inputs, %zu of them reached new code\n", iterations, corpus_size - 2);
    return 0;
}

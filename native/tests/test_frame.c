/* Unit tests of frame.c; prints nothing when all is well. */
#include "../frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *running;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: not so: %s\n", __FILE__, __LINE__, running, #condition);   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static void fill_header(uint8_t *bytes)
{
    static const uint8_t numbers[] = {
        0, 0, 0, 1, 0, 0, 0, 2, /* timeout: 2^32 + 2 */
        0, 0, 0, 3,             /* grace */
        0, 0, 0, 1,             /* standard input follows */
        0, 0, 0, 2,             /* arguments */
        0, 0, 0, 1,             /* environment */
        0, 0, 0, 9,             /* size of the strings */
    };
    memcpy(bytes, "ECSINIT\1", 8);
    memset(bytes + 8, 'T', TOKEN_BYTES);
    memcpy(bytes + 24, numbers, sizeof numbers);
}

static void a_header_is_read(void)
{
    uint8_t bytes[HEADER_BYTES];
    struct header header;

    fill_header(bytes);
    CHECK(header_read(&header, bytes));
    CHECK(memcmp(header.token, "TTTTTTTTTTTTTTTT", TOKEN_BYTES) == 0);
    CHECK(header.timeout_ms == (UINT64_C(1) << 32) + 2);
    CHECK(header.grace_ms == 3);
    CHECK(header.has_stdin);
    CHECK(header.argument_count == 2);
    CHECK(header.environment_count == 1);
    CHECK(header.strings_bytes == 9);
}

static void a_header_that_is_none_is_refused(void)
{
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {
        {0, 'X'},    /* another word */
        {7, 2},      /* another version */
        {39, 2},     /* neither with nor without standard input */
        {43, 0},     /* no argument */
        {44, 0x80},  /* more strings than bytes for them */
        {51, 2},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        uint8_t bytes[HEADER_BYTES];
        struct header header;
        fill_header(bytes);
        bytes[changes[i].at] = changes[i].value;
        CHECK(!header_read(&header, bytes));
    }
}

static void strings_are_split(void)
{
    struct header header = {.argument_count = 2, .environment_count = 1, .strings_bytes = 9};
    char strings[] = "ab\0\0X=yz"; /* "ab", "" and "X=yz" */
    char *argv[3], *environment[2];

    CHECK(strings_split(&header, strings, argv, environment));
    CHECK(strcmp(argv[0], "ab") == 0 && strcmp(argv[1], "") == 0 && argv[2] == NULL);
    CHECK(strcmp(environment[0], "X=yz") == 0 && environment[1] == NULL);
}

static void strings_that_are_not_as_announced_are_refused(void)
{
    static const struct {
        uint32_t arguments, environment, bytes;
    } wrong[] = {
        {2, 1, 8},  /* the last one has no end */
        {2, 2, 9},  /* one is missing */
        {2, 0, 9},  /* one is too many */
        {4, 0, 9},
        {1, 0, 2},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct header header = {.argument_count = wrong[i].arguments,
                                .environment_count = wrong[i].environment,
                                .strings_bytes = wrong[i].bytes};
        char strings[] = "ab\0\0X=yz";
        char *argv[5], *environment[3];
        CHECK(!strings_split(&header, strings, argv, environment));
    }
}

static void check_merged(char *const *base, char *const *changes, const char *const *expected)
{
    char *merged[12], **entry = merged;

    CHECK(environment_size(base, changes) <= sizeof merged / sizeof *merged);
    environment_merge(base, changes, merged);
    for (; *expected != NULL; expected++, entry++)
        CHECK(*entry != NULL && strcmp(*entry, *expected) == 0);
    CHECK(*entry == NULL);
}

static void an_environment_takes_changes_in_the_engines_order(void)
{
    char *const base[] = {"PATH=/bin", "HOSTNAME=c", "A", "PATHS=1", "B=1", "HOME=/", NULL};
    char *const changes[] = {"NEW=1", "HOME=/x", "A=2", "PATH=/x", "HOM=3", NULL};
    static const char *const expected[] = {
        "PATH=/x", "HOSTNAME=c", "NEW=1", "HOME=/x", "A=2", "HOM=3", "PATHS=1", "B=1", NULL,
    };

    check_merged(base, changes, expected);
}

static void an_environment_without_changes_is_as_it_was(void)
{
    char *const base[] = {"A=1", "PATH=/bin", "HOME=/", NULL};
    char *const changes[] = {NULL};

    check_merged(base, changes, (const char *const *)base);
}

static void an_environment_in_another_order_loses_no_change(void)
{
    char *const base[] = {"A=1", "PATH=/bin", NULL};
    char *const changes[] = {"PATH=/x", "HOSTNAME=h", "A=2", NULL};
    static const char *const expected[] = {"HOSTNAME=h", "A=2", "PATH=/x", NULL};

    check_merged(base, changes, expected);
}

static void chunks_are_decoded_however_they_are_cut(void)
{
    static const uint8_t stream[] = "\0\0\0\3abc\0\0\0\1d\0\0\0\0rest";
    const size_t size = sizeof stream - 1;

    for (size_t cut = 0; cut <= size; cut++) {
        struct chunks chunks = {0};
        uint8_t data[sizeof stream], payload[sizeof stream];
        size_t first, second;

        memcpy(data, stream, size);
        first = chunks_decode(&chunks, data, cut);
        memcpy(payload, data, first);
        second = chunks_decode(&chunks, data + cut, size - cut);
        memcpy(payload + first, data + cut, second);
        CHECK(chunks.ended);
        CHECK(first + second == 4 && memcmp(payload, "abcd", 4) == 0);
    }
}

static void chunks_without_the_last_have_not_ended(void)
{
    struct chunks chunks = {0};
    uint8_t data[] = {0, 0, 0, 1, 'x', 0, 0, 0};

    CHECK(chunks_decode(&chunks, data, sizeof data) == 1);
    CHECK(!chunks.ended);
}

static void a_trailer_is_written(void)
{
    const struct trailer trailer = {3, 0x8b, 2, 0x01020304};
    static const uint8_t numbers[] = {0, 0, 0, 3, 0, 0, 0, 0x8b, 0, 0, 0, 2, 1, 2, 3, 4};
    uint8_t token[TOKEN_BYTES], bytes[TRAILER_BYTES];

    memset(token, 0xf5, sizeof token);
    trailer_write(&trailer, token, bytes);
    CHECK(memcmp(bytes, token, TOKEN_BYTES) == 0);
    CHECK(memcmp(bytes + TOKEN_BYTES, numbers, sizeof numbers) == 0);
}

static void out_of_memory_kills_are_counted_in_both_versions_of_cgroups(void)
{
    uint32_t count = 99;

    CHECK(oom_kills_read("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", &count) && count == 3);
    CHECK(oom_kills_read("low 0\nmax 7\noom 5\noom_kill 2\noom_group_kill 0\n", &count));
    CHECK(count == 2);
    CHECK(oom_kills_read("oom_kill 1", &count) && count == 1);
    CHECK(!oom_kills_read("oom_kill_disable 1\nunder_oom 0\n", &count));
    CHECK(!oom_kills_read("\n\n", &count));
    CHECK(!oom_kills_read("", &count));
    CHECK(count == 1);
}

static void the_own_cgroup_is_found(void)
{
    char path[8];

    CHECK(cgroup_path_read("0::/\n", path, sizeof path) && strcmp(path, "/") == 0);
    CHECK(cgroup_path_read("10::/y\n4:memory:/x\n0::/a/0::b\n1:cpu:/z\n", path, sizeof path));
    CHECK(strcmp(path, "/a/0::b") == 0);
    CHECK(cgroup_path_read("0::/no e", path, sizeof path) && strcmp(path, "/no e") == 0);
    CHECK(cgroup_path_read("0::/7bytes\n", path, sizeof path) && strcmp(path, "/7bytes") == 0);
    CHECK(!cgroup_path_read("0::/8 bytes\n", path, sizeof path));
    CHECK(!cgroup_path_read("4:memory:/0::/\n", path, sizeof path));
    CHECK(!cgroup_path_read("", path, sizeof path));
}

#define RUN(test) (running = #test, test())

int main(void)
{
    RUN(a_header_is_read);
    RUN(a_header_that_is_none_is_refused);
    RUN(strings_are_split);
    RUN(strings_that_are_not_as_announced_are_refused);
    RUN(an_environment_takes_changes_in_the_engines_order);
    RUN(an_environment_without_changes_is_as_it_was);
    RUN(an_environment_in_another_order_loses_no_change);
    RUN(chunks_are_decoded_however_they_are_cut);
    RUN(chunks_without_the_last_have_not_ended);
    RUN(a_trailer_is_written);
    RUN(out_of_memory_kills_are_counted_in_both_versions_of_cgroups);
    RUN(the_own_cgroup_is_found);
    return 0;
}

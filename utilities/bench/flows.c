#include "utilities/bench/flows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"
#include "lib/util.h"
#include "utilities/bench/probe.h"

#define N_WORDS 7
#define MAX_WORDS 10

static uint16_t ones_complement_sum(const uint8_t *p, unsigned size)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < size; i += 2) {
        sum += wire_get16(p + i);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) (sum + (sum >> 16));
}

void flows_set_size(uint8_t head[FLOWS_HEAD], unsigned size)
{
    unsigned l3 = probe_l3(head, FLOWS_HEAD);
    uint8_t *ip = head + l3;
    wire_put16(ip + 2, (uint16_t) (size - l3));
    wire_put16(ip + 10, 0);
    wire_put16(ip + 10, (uint16_t) ~ones_complement_sum(ip, PROBE_IPV4));
    if (ip[9] == 17) {
        wire_put16(ip + PROBE_IPV4 + 4, (uint16_t) (size - l3 - PROBE_IPV4));
    }
}

bool flows_ip_checksum_ok(const uint8_t *frame, unsigned l3)
{
    return ones_complement_sum(frame + l3, PROBE_IPV4) == 0xffff;
}

/* Bytes that differ from their neighbours and from one cache line to the next. */
static uint8_t fill_byte(unsigned i)
{
    return (uint8_t) (i * 31 + (i >> 6) + 7);
}

void flows_fill(uint8_t *frame, unsigned size)
{
    for (unsigned i = FLOWS_HEAD; i < size; i++) {
        frame[i] = fill_byte(i);
    }
}

bool flows_fill_ok(const uint8_t *frame, unsigned size)
{
    for (unsigned i = FLOWS_HEAD; i < size; i++) {
        if (frame[i] != fill_byte(i)) {
            return false;
        }
    }
    return true;
}

/* --- One line --- */

static bool parse_mac(const char *word, const char *field, uint8_t out[6], struct err *err)
{
    struct mac mac;
    if (!mac_parse(word, &mac)) {
        return err_set(err, ERR_INVALID, field, "\"%s\" is not a MAC address", word);
    }
    memcpy(out, mac.b, 6);
    return true;
}

static bool parse_ipv4(const char *word, const char *field, uint8_t *out, struct err *err)
{
    struct ip ip;
    if (!ip_parse(word, &ip) || !ip_is_v4(&ip)) {
        return err_set(err, ERR_INVALID, field, "\"%s\" is not an IPv4 address", word);
    }
    wire_put32(out, ip_v4(&ip));
    return true;
}

static bool parse_number(const char *word, const char *field, uint64_t min, uint64_t max, uint64_t *out, struct err *err)
{
    if (!str_to_u64(word, max, out) || *out < min) {
        return err_set(err, ERR_INVALID, field, "\"%s\" is not a number from %llu to %llu", word, (unsigned long long) min, (unsigned long long) max);
    }
    return true;
}

/* Splits in place at blanks; returns the number of words, or MAX_WORDS + 1 when there are more. */
static unsigned split(char *line, char *words[MAX_WORDS])
{
    unsigned n = 0;
    char *rest = line, *word;
    while ((word = strsep(&rest, " \t"))) {
        if (*word && n == MAX_WORDS) {
            return MAX_WORDS + 1;
        }
        if (*word) {
            words[n++] = word;
        }
    }
    return n;
}

static bool parse_options(char *const *words, unsigned n, uint64_t *vlan, uint64_t *weight, struct err *err)
{
    for (unsigned i = 0; i < n; i++) {
        if (!strncmp(words[i], "vlan=", 5)) {
            if (!parse_number(words[i] + 5, "vlan", 1, 4094, vlan, err)) {
                return false;
            }
        } else if (!strncmp(words[i], "weight=", 7)) {
            if (!parse_number(words[i] + 7, "weight", 1, FLOWS_MAX_WEIGHT, weight, err)) {
                return false;
            }
        } else {
            return err_set(err, ERR_INVALID, words[i], "neither vlan=VID nor weight=N");
        }
    }
    return true;
}

bool flows_parse(const char *line, uint8_t head[FLOWS_HEAD], uint32_t *weight, struct err *err)
{
    char copy[256], *words[MAX_WORDS];
    uint64_t proto, l4_src, l4_dst, vlan = 0, w = 1;
    if (strlen(line) >= sizeof copy) {
        return err_set(err, ERR_INVALID, NULL, "longer than %zu characters", sizeof copy - 1);
    }
    unsigned n = split(strcpy(copy, line), words);
    if (n < N_WORDS || n > MAX_WORDS) {
        return err_set(err, ERR_INVALID, NULL, "a flow is ETH_SRC ETH_DST IP_SRC IP_DST PROTO L4_SRC L4_DST [vlan=VID] [weight=N]");
    }
    memset(head, 0, FLOWS_HEAD);
    if (!parse_mac(words[0], "ETH_SRC", head + 6, err) || !parse_mac(words[1], "ETH_DST", head, err)
        || !parse_number(words[4], "PROTO", 0, 255, &proto, err) || !parse_number(words[5], "L4_SRC", 0, 65535, &l4_src, err)
        || !parse_number(words[6], "L4_DST", 0, 65535, &l4_dst, err) || !parse_options(words + N_WORDS, n - N_WORDS, &vlan, &w, err)) {
        return false;
    }
    unsigned l3 = PROBE_L2 + (vlan ? PROBE_TAG : 0);
    if (vlan) {
        wire_put16(head + 12, 0x8100);
        wire_put16(head + 14, (uint16_t) vlan);
    }
    uint8_t *ip = head + l3, *l4 = ip + PROBE_IPV4;
    wire_put16(ip - 2, 0x0800);
    ip[0] = 0x45;
    ip[8] = 64;
    ip[9] = (uint8_t) proto;
    wire_put16(l4, (uint16_t) l4_src);
    wire_put16(l4 + 2, (uint16_t) l4_dst);
    if (proto == PROBE_TCP) {
        l4[12] = 5 << 4;
        l4[13] = 0x10;          /* ACK: a segment in the middle of a connection. */
    }
    *weight = (uint32_t) w;
    return parse_ipv4(words[2], "IP_SRC", ip + 12, err) && parse_ipv4(words[3], "IP_DST", ip + 16, err);
}

/* --- The file --- */

static void room_for(struct flows *f, size_t *room)
{
    if (f->n < *room) {
        return;
    }
    size_t more = *room ? 2 * *room : 1024;
    uint8_t (*head)[FLOWS_HEAD] = aligned_alloc(FLOWS_HEAD, more * FLOWS_HEAD);
    if (!head) {
        abort();
    }
    if (f->n) {
        memcpy(head, f->head, f->n * FLOWS_HEAD);
    }
    free(f->head);
    f->head = head;
    f->weight = xrealloc(f->weight, more * sizeof f->weight[0]);
    *room = more;
}

static bool load_line(struct flows *f, char *line, unsigned number, size_t *room, struct err *err)
{
    char field[32];
    line[strcspn(line, "#\r\n")] = '\0';
    if (!line[strspn(line, " \t")]) {
        return true;
    }
    room_for(f, room);
    if (!flows_parse(line, f->head[f->n], &f->weight[f->n], err)) {
        snprintf(field, sizeof field, "line %u", number);
        return err_prefix(err, field);
    }
    f->n++;
    return true;
}

bool flows_load(struct flows *f, const char *path, size_t limit, struct err *err)
{
    *f = (struct flows) { .n = 0 };
    FILE *file = fopen(path, "re");
    if (!file) {
        return err_set(err, ERR_FAILED, path, "cannot be read: %s", strerror(errno));
    }
    char *line = NULL;
    size_t size = 0, room = 0;
    bool ok = true;
    for (unsigned number = 1; ok && (!limit || f->n < limit) && getline(&line, &size, file) >= 0; number++) {
        ok = load_line(f, line, number, &room, err);
    }
    if (ok && ferror(file)) {
        ok = err_set(err, ERR_FAILED, path, "cannot be read: %s", strerror(errno));
    } else if (ok && !f->n) {
        ok = err_set(err, ERR_INVALID, path, "holds no flow");
    }
    free(line);
    fclose(file);
    if (!ok) {
        flows_fini(f);
    }
    return ok;
}

bool flows_make_schedule(struct flows *f, bool shuffle, uint64_t seed, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        n += f->weight[i];
        shuffle |= f->weight[i] != f->weight[0];
    }
    if (n > FLOWS_MAX_SCHEDULE) {
        return err_set(err, ERR_INVALID, "weight", "the weights sum to %zu, more than %u; divide them by a common factor", n, FLOWS_MAX_SCHEDULE);
    }
    f->schedule = xmalloc(n * sizeof f->schedule[0]);
    f->n_schedule = 0;
    for (size_t i = 0; i < f->n; i++) {
        for (uint32_t k = 0; k < f->weight[i]; k++) {
            f->schedule[f->n_schedule++] = (uint32_t) i;
        }
    }
    struct rng rng;
    rng_seed(&rng, seed);
    for (size_t i = n; shuffle && i > 1; i--) {
        size_t k = rng_below(&rng, (uint32_t) i);
        uint32_t swap = f->schedule[k];
        f->schedule[k] = f->schedule[i - 1];
        f->schedule[i - 1] = swap;
    }
    return true;
}

void flows_fini(struct flows *f)
{
    free(f->head);
    free(f->bytes);
    free(f->start);
    free(f->weight);
    free(f->schedule);
    *f = (struct flows) { .n = 0 };
}

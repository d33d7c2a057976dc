#include "utilities/vswctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

#define MAX_COLUMNS 12

const char *text_of(const cJSON *object, const char *key)
{
    static char buffers[16][32];
    static unsigned next;
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    if (cJSON_IsString(v)) {
        return v->valuestring;
    }
    if (cJSON_IsBool(v)) {
        return cJSON_IsTrue(v) ? "yes" : "no";
    }
    if (!cJSON_IsNumber(v)) {
        return "-";
    }
    char *b = buffers[next++ % ARRAY_SIZE(buffers)];
    snprintf(b, sizeof buffers[0], "%.0f", v->valuedouble);
    return b;
}

unsigned long long number_of(const cJSON *object, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(v) ? (unsigned long long) v->valuedouble : cJSON_IsString(v) ? strtoull(v->valuestring, NULL, 10) : 0;
}

/* --- A table: cells are collected, then printed in columns as wide as their widest cell --- */

struct table { unsigned n_columns; bool right[MAX_COLUMNS]; char **cells; size_t n, room; };

static void cell(struct table *t, const char *text)
{
    if (t->n == t->room) {
        t->room = t->room ? t->room * 2 : 64;
        t->cells = xrealloc(t->cells, t->room * sizeof *t->cells);
    }
    t->cells[t->n++] = xstrdup(text);
}

/* Titles separated by '|'; a title that starts with '>' makes its column right-aligned. */
static struct table table(const char *titles)
{
    struct table t = { .n_columns = 0 };
    char *copy = xstrdup(titles), *save = NULL;
    for (char *s = strtok_r(copy, "|", &save); s; s = strtok_r(NULL, "|", &save)) {
        t.right[t.n_columns++] = *s == '>';
        cell(&t, s + (*s == '>'));
    }
    free(copy);
    return t;
}

static void table_print(struct table *t)
{
    int width[MAX_COLUMNS] = { 0 };
    for (size_t i = 0; i < t->n; i++) {
        int w = (int) strlen(t->cells[i]);
        width[i % t->n_columns] = MAX(width[i % t->n_columns], w);
    }
    for (size_t i = 0; i < t->n; i++) {
        unsigned k = (unsigned) (i % t->n_columns);
        bool last = k == t->n_columns - 1;
        if (t->right[k]) {
            printf("%*s%s", width[k], t->cells[i], last ? "\n" : "  ");
        } else {
            printf("%-*s%s", last ? 0 : width[k], t->cells[i], last ? "\n" : "  ");
        }
        free(t->cells[i]);
    }
    free(t->cells);
}

/* --- Commands --- */

static const cJSON *array_of(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

void print_show(const cJSON *r)
{
    const cJSON *e;
    printf("vswitchd %s (%s), %s, datapath %s, pid %s\n", text_of(r, "name"), text_of(r, "version"), text_of(r, "dpdk"), text_of(r, "datapath_id"), text_of(r, "pid"));
    printf("up %s s, %s hugepages\n", text_of(r, "uptime_s"), cJSON_IsTrue(array_of(r, "hugepages")) ? "with" : "without");
    printf("%s ports, %s flows, %s groups\n", text_of(r, "ports"), text_of(r, "flows"), text_of(r, "groups"));
    printf("fail mode %s%s\n", text_of(r, "fail_mode"), cJSON_IsTrue(array_of(r, "standalone")) ? " (bridging by itself now: no controller)" : "");
    cJSON_ArrayForEach (e, array_of(r, "poll_threads")) {
        printf("poll-mode thread %s on CPU %s, %s queues\n", text_of(e, "thread"), text_of(e, "cpu"), text_of(e, "queues"));
    }
    struct table t = table("CONTROLLER|ROLE|STATE|>RX|>TX|>ERRORS|>RECONNECTS");
    cJSON_ArrayForEach (e, array_of(r, "controllers")) {
        static const char *const keys[] = { "peer", "role", "state", "rx_messages", "tx_messages", "rx_errors", "reconnects" };
        for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
            cell(&t, text_of(e, keys[i]));
        }
    }
    table_print(&t);
}

void print_ports(const cJSON *r)
{
    const cJSON *p;
    struct table t = table(">OFPORT|NAME|TYPE|LINK|>RX-PACKETS|>RX-BYTES|>RX-DROPS|>TX-PACKETS|>TX-BYTES|>TX-DROPS|DEVICE");
    cJSON_ArrayForEach (p, array_of(r, "ports")) {
        static const char *const stats[] = { "rx_packets", "rx_bytes", "rx_dropped", "tx_packets", "tx_bytes", "tx_dropped" };
        const cJSON *s = array_of(p, "stats");
        cell(&t, text_of(p, "ofport"));
        cell(&t, text_of(p, "name"));
        cell(&t, text_of(p, "type"));
        cell(&t, text_of(p, "link"));
        for (unsigned i = 0; i < ARRAY_SIZE(stats); i++) {
            cell(&t, text_of(s, stats[i]));
        }
        cell(&t, array_of(p, "path") ? text_of(p, "path") : text_of(p, "devargs"));
    }
    table_print(&t);
}

void print_queues(const cJSON *r)
{
    const cJSON *p, *q;
    struct table t = table("PORT|>QUEUE|>MIN-RATE|>MAX-RATE|>TX-PACKETS|>TX-BYTES|>DROPS");
    cJSON_ArrayForEach (p, array_of(r, "ports")) {
        cJSON_ArrayForEach (q, array_of(array_of(p, "qos"), "queues")) {
            static const char *const keys[] = { "id", "min_rate", "max_rate", "tx_packets", "tx_bytes", "dropped" };
            cell(&t, text_of(p, "name"));
            for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
                cell(&t, text_of(q, keys[i]));
            }
        }
    }
    table_print(&t);
}

void print_port(const cJSON *r)
{
    const cJSON *p = cJSON_GetArrayItem(array_of(r, "ports"), 0), *e, *k;
    cJSON_ArrayForEach (e, p) {
        if (!strcmp(e->string, "qos")) {
            continue;                   /* A table of its own. */
        }
        if (cJSON_IsObject(e)) {
            cJSON_ArrayForEach (k, e) {
                printf("%-14s %s\n", k->string, text_of(e, k->string));
            }
        } else if (cJSON_IsArray(e)) {
            printf("%-14s", e->string);
            cJSON_ArrayForEach (k, e) {
                cJSON_IsString(k) ? printf(" %s", k->valuestring) : printf(" %.0f", k->valuedouble);
            }
            printf("%s\n", cJSON_GetArraySize(e) ? "" : " -");
        } else {
            printf("%-14s %s\n", e->string, text_of(p, e->string));
        }
    }
    if (array_of(p, "qos")) {
        print_queues(r);
    }
}

void print_flows(const cJSON *r)
{
    const cJSON *f;
    cJSON_ArrayForEach (f, array_of(r, "flows")) {
        const char *match = text_of(f, "match");
        printf(" cookie=%s, duration=%ss, table=%s, n_packets=%s, n_bytes=%s, ", text_of(f, "cookie"), text_of(f, "duration_s"), text_of(f, "table"),
               text_of(f, "packets"), text_of(f, "bytes"));
        if (array_of(f, "idle_timeout")) {
            printf("idle_timeout=%s, ", text_of(f, "idle_timeout"));
        }
        if (array_of(f, "hard_timeout")) {
            printf("hard_timeout=%s, ", text_of(f, "hard_timeout"));
        }
        printf("priority=%s%s%s actions=%s\n", text_of(f, "priority"), *match ? "," : "", match, text_of(f, "actions"));
    }
}

void print_groups(const cJSON *r)
{
    const cJSON *g, *b;
    cJSON_ArrayForEach (g, array_of(r, "groups")) {
        unsigned i = 0;
        printf("group %s, type %s, n_packets=%s, n_bytes=%s\n", text_of(g, "group"), text_of(g, "type"), text_of(g, "packets"), text_of(g, "bytes"));
        cJSON_ArrayForEach (b, array_of(g, "buckets")) {
            static const char *const keys[] = { "weight", "watch_port", "watch_group" };
            printf("  bucket %u: n_packets=%s, ", i++, text_of(b, "packets"));
            for (unsigned k = 0; k < ARRAY_SIZE(keys); k++) {
                if (array_of(b, keys[k])) {
                    printf("%s=%s, ", keys[k], text_of(b, keys[k]));
                }
            }
            printf("actions=%s\n", text_of(b, "actions"));
        }
    }
}

void print_drops(const cJSON *r)
{
    const cJSON *p, *d;
    struct table t = table(">OFPORT|PORT|REASON|>PACKETS|MEANING");
    cJSON_ArrayForEach (p, array_of(r, "drops")) {
        cJSON_ArrayForEach (d, array_of(p, "reasons")) {
            cell(&t, text_of(p, "ofport"));
            cell(&t, text_of(p, "port"));
            cell(&t, text_of(d, "reason"));
            cell(&t, text_of(d, "packets"));
            cell(&t, text_of(d, "text"));
        }
    }
    table_print(&t);
}

static void cell_format(struct table *t, const char *format, double value)
{
    char text[32];
    snprintf(text, sizeof text, format, value);     /* Formats are the literals below. */
    cell(t, text);
}

/* Each thread's load. */
static void print_load(const cJSON *a, const cJSON *threads)
{
    struct table t = table(">THREAD|>CPU|>PACKETS/S|>PER BATCH|>BUSY|>LOOKING|>ASLEEP|>SLEEPS/S|>PACKETS");
    const cJSON *b;
    cJSON_ArrayForEach (b, threads) {
        double us[3], total = 0;
        static const char *const keys[] = { "busy_us", "idle_us", "asleep_us" };
        for (unsigned i = 0; i < 3; i++) {
            us[i] = (double) (number_of(b, keys[i]) - number_of(a, keys[i]));
            total += us[i];
        }
        double seconds = total > 0 ? total / 1e6 : 1, packets = (double) (number_of(b, "packets") - number_of(a, "packets"));
        double batches = (double) (number_of(b, "batches") - number_of(a, "batches"));
        cell(&t, text_of(b, "thread"));
        cell(&t, text_of(b, "cpu"));
        cell_format(&t, "%.0f", packets / seconds);
        cell_format(&t, "%.1f", batches > 0 ? packets / batches : 0);
        for (unsigned i = 0; i < 3; i++) {
            cell_format(&t, "%.1f%%", total > 0 ? 100 * us[i] / total : 0);
        }
        cell_format(&t, "%.0f", (double) (number_of(b, "sleeps") - number_of(a, "sleeps")) / seconds);
        cell(&t, text_of(b, "packets"));
        a = a ? a->next : NULL;
    }
    table_print(&t);
}

/* What became of `key` in the element of an array, from one answer to the next. */
static double grown(const cJSON *a, const cJSON *b, const char *array, int i, const char *key)
{
    return (double) (number_of(cJSON_GetArrayItem(array_of(b, array), i), key) - number_of(cJSON_GetArrayItem(array_of(a, array), i), key));
}

/* Cycles per packet of each stage: over the packets that it worked on, and over all. */
static void print_stages(const cJSON *a, const cJSON *threads)
{
    struct table t = table(">THREAD|STAGE|>CYCLES/PACKET|>OF ITS OWN|>SHARE|>REACHED BY");
    const cJSON *b;
    cJSON_ArrayForEach (b, threads) {
        int n = cJSON_GetArraySize(array_of(b, "stages"));
        double received = grown(a, b, "stages", 0, "packets"), cycles = 0;
        for (int i = 0; i < n; i++) {
            cycles += grown(a, b, "stages", i, "cycles");
        }
        for (int i = 0; i < n && received > 0; i++) {
            double mine = grown(a, b, "stages", i, "cycles"), packets = grown(a, b, "stages", i, "packets");
            cell(&t, text_of(b, "thread"));
            cell(&t, text_of(cJSON_GetArrayItem(array_of(b, "stages"), i), "stage"));
            cell_format(&t, "%.1f", mine / received);
            cell_format(&t, "%.1f", packets > 0 ? mine / packets : 0);
            cell_format(&t, "%.1f%%", cycles > 0 ? 100 * mine / cycles : 0);
            cell_format(&t, "%.1f%%", 100 * packets / received);
        }
        a = a ? a->next : NULL;
    }
    table_print(&t);
}

static void print_batches(const cJSON *a, const cJSON *threads)
{
    struct table t = table(">THREAD|>PACKETS IN A BATCH|>BATCHES|>SHARE");
    const cJSON *b;
    cJSON_ArrayForEach (b, threads) {
        int n = cJSON_GetArraySize(array_of(b, "batch_sizes"));
        double batches = 0;
        for (int i = 0; i < n; i++) {
            batches += grown(a, b, "batch_sizes", i, "batches");
        }
        for (int i = 0; i < n && batches > 0; i++) {
            const cJSON *size = cJSON_GetArrayItem(array_of(b, "batch_sizes"), i);
            double mine = grown(a, b, "batch_sizes", i, "batches");
            char range[32];
            unsigned from = (unsigned) number_of(size, "from"), to = (unsigned) number_of(size, "to");
            snprintf(range, sizeof range, from == to ? "%u" : "%u-%u", from, to);
            cell(&t, text_of(b, "thread"));
            cell(&t, range);
            cell_format(&t, "%.0f", mine);
            cell_format(&t, "%.1f%%", 100 * mine / batches);
        }
        a = a ? a->next : NULL;
    }
    table_print(&t);
}

static void print_cache(const cJSON *a, const cJSON *threads)
{
    struct table t = table(">THREAD|CACHE|>PACKETS|>OF LOOKED UP");
    const cJSON *b;
    cJSON_ArrayForEach (b, threads) {
        const cJSON *now = cJSON_GetObjectItemCaseSensitive(b, "cache"), *then = cJSON_GetObjectItemCaseSensitive(a, "cache"), *event;
        double looked_up = (double) (number_of(now, "hits") - number_of(then, "hits") + number_of(now, "misses") - number_of(then, "misses"));
        cJSON_ArrayForEach (event, now) {
            double n = (double) (number_of(now, event->string) - number_of(then, event->string));
            cell(&t, text_of(b, "thread"));
            cell(&t, event->string);
            cell_format(&t, "%.0f", n);
            cell_format(&t, "%.2f%%", looked_up > 0 ? 100 * n / looked_up : 0);
        }
        a = a ? a->next : NULL;
    }
    table_print(&t);
}

void print_perf(const cJSON *before, const cJSON *after)
{
    static void (*const parts[])(const cJSON *, const cJSON *) = { print_load, print_stages, print_batches, print_cache };
    const cJSON *first = array_of(before, "poll_threads") ? array_of(before, "poll_threads")->child : NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        fputs(i ? "\n" : "", stdout);
        parts[i](first, array_of(after, "poll_threads"));
    }
}

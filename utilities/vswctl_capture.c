/* capture: frames of a port into a pcap file with nanosecond time stamps; the filter is compiled here and runs in vswitchd. */
#include "utilities/vswctl.h"

#include <errno.h>
#include <getopt.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/util.h"

#define MAX_FRAME 9280                  /* vswitchd's largest. */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void) sig;
    interrupted = 1;
}

struct options { const char *port, *file, *direction; uint64_t count, snaplen; struct buf filter; };

static bool usage(struct err *err, const char *what)
{
    err_set(err, ERR_USAGE, NULL, "capture: %s", what);
    return err_hint(err, "capture PORT -w FILE [-c COUNT] [-d rx|tx|both] [--snaplen N] [FILTER…]");
}

static bool parse(int argc, char **argv, struct options *o, struct err *err)
{
    static const struct option longs[] = {
        { "write", required_argument, NULL, 'w' }, { "count", required_argument, NULL, 'c' }, { "direction", required_argument, NULL, 'd' },
        { "snaplen", required_argument, NULL, 's' }, { NULL, 0, NULL, 0 },
    };
    optind = 0;                 /* A second getopt run in this process: argv[0] is the word "capture". */
    opterr = 0;
    for (int opt; (opt = getopt_long(argc, argv, "w:c:d:s:", longs, NULL)) != -1;) {
        switch (opt) {
        case 'w': o->file = optarg; break;
        case 'd': o->direction = optarg; break;
        case 'c':
            if (!str_to_u64(optarg, UINT64_MAX, &o->count) || !o->count) {
                return usage(err, "-c needs a number of frames");
            }
            break;
        case 's':
            if (!str_to_u64(optarg, MAX_FRAME, &o->snaplen) || !o->snaplen) {
                return usage(err, "--snaplen needs a number of bytes, at most 9280");
            }
            break;
        default: return usage(err, "unknown option, or one without its value");
        }
    }
    if (optind >= argc) {
        return usage(err, "which port?");
    }
    if (!o->file) {
        return usage(err, "-w FILE is required (\"-\" is standard output)");
    }
    o->port = argv[optind++];
    for (; optind < argc; optind++) {
        buf_printf(&o->filter, "%s%s", o->filter.size ? " " : "", argv[optind]);
    }
    return true;
}

static cJSON *compile(pcap_t *pcap, const char *text, struct err *err)
{
    struct bpf_program program;
    if (pcap_compile(pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN)) {
        err_set(err, ERR_USAGE, NULL, "the filter \"%s\": %s", text, pcap_geterr(pcap));
        err_hint(err, "see pcap-filter(7)");
        return NULL;
    }
    cJSON *array = cJSON_CreateArray();
    for (unsigned i = 0; i < program.bf_len; i++) {
        const struct bpf_insn *b = &program.bf_insns[i];
        const double words[4] = { b->code, b->jt, b->jf, b->k };
        cJSON_AddItemToArray(array, cJSON_CreateDoubleArray(words, 4));
    }
    pcap_freecode(&program);
    return array;
}

static bool write_frame(pcap_dumper_t *dumper, const cJSON *packet, struct err *err)
{
    static uint8_t data[MAX_FRAME];
    size_t size = sizeof data;
    unsigned long long ts = number_of(packet, "ts_ns");
    if (!base64_decode(text_of(packet, "data"), data, &size)) {
        return err_set(err, ERR_FAILED, "packet.data", "vswitchd sent a frame that is no base64");
    }
    /* The file's precision is nanoseconds, and libpcap then takes them in tv_usec. */
    struct pcap_pkthdr h = {
        .ts = { .tv_sec = (time_t) (ts / 1000000000), .tv_usec = (suseconds_t) (ts % 1000000000) },
        .caplen = (bpf_u_int32) size, .len = (bpf_u_int32) number_of(packet, "len"),
    };
    pcap_dump((u_char *) dumper, &h, data);
    return !pcap_dump_flush(dumper) || err_set(err, ERR_FAILED, NULL, "cannot write the capture: %s", strerror(errno));
}

static bool receive_frames(struct vswctl *c, pcap_dumper_t *dumper, struct err *err)
{
    unsigned long long n = 0;
    cJSON *line = NULL;
    while (!interrupted && (line = vswctl_receive(c, 0, err)) != NULL) {
        const cJSON *packet = cJSON_GetObjectItemCaseSensitive(line, "packet"), *result = cJSON_GetObjectItemCaseSensitive(line, "result");
        if (packet && !write_frame(dumper, packet, err)) {
            break;
        }
        n += packet != NULL;
        if (result) {
            fprintf(stderr, "%llu frames captured, %s lost\n", n, text_of(result, "lost"));
            cJSON_Delete(line);
            return true;
        }
        cJSON_Delete(line);
        line = NULL;
    }
    cJSON_Delete(line);
    if (err->code == ERR_NONE) {
        fprintf(stderr, "%llu frames captured\n", n);
    }
    return err->code == ERR_NONE;
}

bool capture_command(struct vswctl *c, int argc, char **argv, struct err *err)
{
    struct options o = { .snaplen = MAX_FRAME };
    pcap_dumper_t *dumper = NULL;
    if (!parse(argc, argv, &o, err)) {
        buf_fini(&o.filter);
        return false;
    }
    pcap_t *pcap = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, (int) o.snaplen, PCAP_TSTAMP_PRECISION_NANO);
    cJSON *params = cJSON_CreateObject();
    json_add_string(params, "port", o.port);
    json_add_u64(params, "snaplen", o.snaplen);
    if (o.direction) {
        json_add_string(params, "direction", o.direction);
    }
    if (o.count) {
        json_add_u64(params, "count", o.count);
    }
    cJSON *filter = o.filter.size ? compile(pcap, buf_cstr(&o.filter), err) : NULL;
    if (filter) {
        cJSON_AddItemToObject(params, "filter", filter);
    }
    bool ok = err->code == ERR_NONE;
    /* Flushed at once, so that a reader of a pipe has the file's header before the first frame. */
    if (ok && (!(dumper = pcap_dump_open(pcap, o.file)) || pcap_dump_flush(dumper))) {
        ok = err_set(err, ERR_FAILED, NULL, "%s", pcap_geterr(pcap));
    }
    struct sigaction sa = { .sa_handler = on_interrupt };       /* No SA_RESTART: the wait must end. */
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    if (ok) {
        ok = vswctl_send(c, "capture", params, err) && receive_frames(c, dumper, err);
    } else {
        cJSON_Delete(params);
    }
    if (dumper) {
        pcap_dump_close(dumper);
    }
    pcap_close(pcap);
    buf_fini(&o.filter);
    return ok;
}

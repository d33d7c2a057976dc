/* Traffic from a capture. */
#include "utilities/bench/flows.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

#define ETH_HEADER 14

bool flows_is_capture(const char *path)
{
    static const uint32_t magics[] = { 0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a };    /* Microseconds, nanoseconds, of either byte order; pcapng. */
    FILE *file = fopen(path, "re");
    uint32_t magic = 0;
    bool known = false;
    if (file && fread(&magic, sizeof magic, 1, file) == 1) {
        for (unsigned i = 0; i < ARRAY_SIZE(magics); i++) {
            known = known || magic == magics[i];
        }
    }
    if (file) {
        fclose(file);
    }
    return known;
}

static bool frame_ok(const struct pcap_pkthdr *header, size_t number, struct err *err)
{
    char field[32];
    snprintf(field, sizeof field, "frame %zu", number);
    if (header->caplen < header->len) {
        err_set(err, ERR_INVALID, field, "only %u of its %u bytes were recorded", header->caplen, header->len);
        return err_hint(err, "record whole frames, as tcpdump -s 0 does");
    }
    return (header->len >= ETH_HEADER && header->len <= FLOWS_MAX_FRAME)
        || err_set(err, ERR_INVALID, field, "has %u bytes; the generator sends frames of %d to %d", header->len, ETH_HEADER, FLOWS_MAX_FRAME);
}

static void add_frame(struct flows *f, const uint8_t *data, size_t size, size_t *room, size_t *bytes_room)
{
    size_t at = f->n ? f->start[f->n] : 0;
    if (f->n + 1 >= *room) {
        *room = *room ? 2 * *room : 1024;
        f->start = xrealloc(f->start, *room * sizeof f->start[0]);
        f->weight = xrealloc(f->weight, *room * sizeof f->weight[0]);
    }
    if (at + size > *bytes_room) {
        *bytes_room = 2 * *bytes_room + FLOWS_MAX_FRAME;
        f->bytes = xrealloc(f->bytes, *bytes_room);
    }
    memcpy(f->bytes + at, data, size);
    f->weight[f->n] = 1;
    f->start[f->n++] = at;
    f->start[f->n] = at + size;
}

static bool load_frames(struct flows *f, pcap_t *capture, size_t limit, struct err *err)
{
    struct pcap_pkthdr *header;
    const uint8_t *data;
    size_t room = 0, bytes_room = 0;
    int rc = 1;
    if (pcap_datalink(capture) != DLT_EN10MB) {
        const char *type = pcap_datalink_val_to_name(pcap_datalink(capture));
        return err_set(err, ERR_INVALID, "capture", "holds %s frames; only Ethernet can be sent", type ? type : "unknown");
    }
    while ((!limit || f->n < limit) && (rc = pcap_next_ex(capture, &header, &data)) == 1) {
        if (!frame_ok(header, f->n + 1, err)) {
            return false;
        }
        add_frame(f, data, header->len, &room, &bytes_room);
    }
    if (rc == PCAP_ERROR) {
        return err_set(err, ERR_INVALID, "capture", "is damaged behind frame %zu: %s", f->n, pcap_geterr(capture));
    }
    return f->n || err_set(err, ERR_INVALID, "capture", "holds no frame");
}

bool flows_load_capture(struct flows *f, const char *path, size_t limit, struct err *err)
{
    char why[PCAP_ERRBUF_SIZE];
    *f = (struct flows) { .n = 0 };
    pcap_t *capture = pcap_open_offline(path, why);
    if (!capture) {
        return err_set(err, ERR_FAILED, path, "cannot be read: %s", why);
    }
    bool ok = load_frames(f, capture, limit, err);
    pcap_close(capture);
    if (!ok) {
        flows_fini(f);
    }
    return ok;
}

/* See meter_bands.h. */
#include "ofproto/meter_bands.h"

/* "The rate value is in kilobit per seconds, unless the flags field includes OFPMF_PKTPS"; so is the burst, which counts only with OFPMF_BURST. */
struct meter_bands *meter_bands_new(const struct meter *meter, uint64_t now_ns)
{
    struct meter_bands *m = xcalloc(1, sizeof *m + meter->n_bands * sizeof m->band[0]);
    m->epoch_ns = now_ns;
    m->packets = meter->flags & OFPMF_PKTPS;
    m->n = meter->n_bands;
    const uint64_t unit = m->packets ? 1 : 1000;
    for (unsigned i = 0; i < meter->n_bands; i++) {
        const struct of_meter_band *from = &meter->bands[i];
        const uint64_t rate = from->rate * unit;
        m->band[i].type = (uint8_t) from->type;
        m->band[i].prec_level = from->prec_level;
        m->band[i].rate = from->rate;
        policer_init(&m->band[i].policer, rate, meter->flags & OFPMF_BURST ? from->burst_size * unit : rate * METER_DEFAULT_BURST_MS / 1000);
    }
    return m;
}

/* Names and meanings of drop reasons. */
#include "ofproto/polder.h"

#include <stddef.h>

static const struct { const char *name, *text; } reasons[DROP_N_REASONS] = {
#define X(ID, SYMBOL, NAME, TEXT) [ID] = { NAME, TEXT },
    DROP_REASONS(X)
#undef X
};

const char *drop_reason_name(unsigned reason)
{
    return reason < DROP_N_REASONS ? reasons[reason].name : NULL;
}

const char *drop_reason_text(unsigned reason)
{
    return reason < DROP_N_REASONS ? reasons[reason].text : NULL;
}

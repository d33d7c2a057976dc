/* Writing properties (OpenFlow 1.3.5 section 7.3.5.5.2): a type, a length that does not count the padding, a body, padding to 8 bytes. */
#ifndef OFPROTO_OF_PROPERTY_H
#define OFPROTO_OF_PROPERTY_H 1

#include "lib/buf.h"

/* Returns where it begins, for of_property_close() behind the body. */
static inline size_t of_property_open(struct buf *b, uint16_t type)
{
    size_t start = b->size;
    buf_put_be16(b, type);
    buf_put_be16(b, 0);
    return start;
}

static inline void of_property_close(struct buf *b, size_t start)
{
    buf_set_be16(b, start + 2, (uint16_t) (b->size - start));
    buf_pad(b, start, 8);
}

#endif

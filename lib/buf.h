/*
 * A growable byte buffer, and a bounds-checked cursor over bytes that somebody else owns.
 *
 * `struct buf` builds messages: every buf_put* appends; buf_at() patches what is there (lengths known late). Allocation
 * failure aborts the process (xmalloc); quotas are checked before memory is taken for a peer, never here. `struct
 * cursor` reads: each get advances; a read past the end sets `failed`, returns zeros and stays failed, so a decoder
 * checks once, after a group of reads. Neither is thread-safe.
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H 1

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/wire.h"

struct buf {
    uint8_t *data;              /* malloc'd, or NULL. */
    size_t size;                /* Bytes used. */
    size_t allocated;
};
#define BUF_INIT ((struct buf) { .data = NULL })

void buf_init(struct buf *);
void buf_fini(struct buf *);                            /* Frees; the buf is empty and usable again. */
void buf_clear(struct buf *);                           /* size = 0, memory kept. */
void buf_reserve(struct buf *, size_t extra);
static inline void *buf_put_uninit(struct buf *b, size_t n)             /* Pointer valid until the next put; never NULL. */
{
    if (n >= b->allocated - b->size) {
        buf_reserve(b, n + !n);
    }
    void *p = b->data + b->size;
    b->size += n;
    return p;
}
void buf_put(struct buf *, const void *, size_t);
void buf_put_zeros(struct buf *, size_t);
static inline void buf_put_u8(struct buf *b, uint8_t x) { *(uint8_t *) buf_put_uninit(b, 1) = x; }
/* Host order in, wire order in the buffer. */
static inline void buf_put_be16(struct buf *b, uint16_t x) { wire_put16(buf_put_uninit(b, 2), x); }
static inline void buf_put_be32(struct buf *b, uint32_t x) { wire_put32(buf_put_uninit(b, 4), x); }
static inline void buf_put_be64(struct buf *b, uint64_t x) { wire_put64(buf_put_uninit(b, 8), x); }
void buf_pad(struct buf *, size_t start, size_t align); /* Zeros until (size - start) is a multiple of align. */
void buf_set_be16(struct buf *, size_t offset, uint16_t);
void buf_set_be32(struct buf *, size_t offset, uint32_t);
void buf_consume(struct buf *, size_t n);               /* Drops the first n bytes. */
/* Text: appends without a terminator being counted, but data[size] is always '\0' after these. */
void buf_printf(struct buf *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *, const char *format, va_list) __attribute__((format(printf, 2, 0)));
void buf_puts(struct buf *, const char *);
const char *buf_cstr(struct buf *);                     /* NUL-terminated view, valid until the next change. */
char *buf_steal_cstr(struct buf *);                     /* Malloc'd string, caller frees; the buf is empty again. */

struct cursor {
    const uint8_t *p, *end;
    bool failed;
};
static inline struct cursor cursor_make(const void *data, size_t size)
{
    /* Nothing at all may come as NULL, which C does not let us add to. */
    return (struct cursor) { data, size ? (const uint8_t *) data + size : data, false };
}
static inline size_t cursor_left(const struct cursor *c) { return (size_t) (c->end - c->p); }
static inline const uint8_t *cursor_take(struct cursor *c, size_t n)     /* NULL (and failed) when fewer are left. */
{
    if (c->failed || cursor_left(c) < n) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *p = c->p;
    c->p += n;
    return p;
}
static inline uint8_t cursor_u8(struct cursor *c) { const uint8_t *p = cursor_take(c, 1); return p ? *p : 0; }
static inline uint16_t cursor_be16(struct cursor *c) { const uint8_t *p = cursor_take(c, 2); return p ? wire_get16(p) : 0; }
static inline uint32_t cursor_be32(struct cursor *c) { const uint8_t *p = cursor_take(c, 4); return p ? wire_get32(p) : 0; }
static inline uint64_t cursor_be64(struct cursor *c) { const uint8_t *p = cursor_take(c, 8); return p ? wire_get64(p) : 0; }
static inline void cursor_skip(struct cursor *c, size_t n) { (void) cursor_take(c, n); }
static inline struct cursor cursor_sub(struct cursor *c, size_t n)       /* A cursor over the next n bytes, which are consumed. */
{
    const uint8_t *p = cursor_take(c, n);
    return p ? cursor_make(p, n) : (struct cursor) { NULL, NULL, true };
}
/* Copies `n` bytes to `out` (zeros when failed). */
static inline void cursor_copy(struct cursor *c, void *out, size_t n)
{
    const uint8_t *p = cursor_take(c, n);
    if (n) { p ? memcpy(out, p, n) : memset(out, 0, n); }               /* `out` may be NULL when there is nothing. */
}

#endif

#include "lib/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/util.h"

void buf_init(struct buf *b)
{
    *b = BUF_INIT;
}

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = BUF_INIT;
}

void buf_clear(struct buf *b)
{
    b->size = 0;
}

void buf_reserve(struct buf *b, size_t extra)
{
    size_t need;
    if (__builtin_add_overflow(b->size, extra, &need) || need > SIZE_MAX / 2) {
        fprintf(stderr, "a buffer of %zu bytes cannot grow by %zu\n", b->size, extra);
        abort();
    }
    if (need > b->allocated) {
        b->allocated = MAX(need, MAX(b->allocated * 2, (size_t) 64));
        b->data = xrealloc(b->data, b->allocated);
    }
}

void buf_put(struct buf *b, const void *data, size_t n)
{
    if (n) {
        memcpy(buf_put_uninit(b, n), data, n);
    }
}

void buf_put_zeros(struct buf *b, size_t n)
{
    memset(buf_put_uninit(b, n), 0, n);
}

void buf_pad(struct buf *b, size_t start, size_t align)
{
    assert(start <= b->size && align);
    buf_put_zeros(b, ROUND_UP(b->size - start, align) - (b->size - start));
}

void buf_set_be16(struct buf *b, size_t offset, uint16_t x)
{
    assert(offset <= b->size && b->size - offset >= 2);
    wire_put16(b->data + offset, x);
}

void buf_set_be32(struct buf *b, size_t offset, uint32_t x)
{
    assert(offset <= b->size && b->size - offset >= 4);
    wire_put32(b->data + offset, x);
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->size);
    b->size -= n;
    if (n && b->size) {
        memmove(b->data, b->data + n, b->size);
    }
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    buf_reserve(b, 1);
    size_t room = b->allocated - b->size;
    int n = vsnprintf((char *) b->data + b->size, room, format, args);
    if (n >= 0 && (size_t) n >= room) {
        buf_reserve(b, (size_t) n + 1);
        n = vsnprintf((char *) b->data + b->size, (size_t) n + 1, format, again);
    }
    va_end(again);
    if (n < 0) {                /* Only a bad wide string or conversion in our own format. */
        fprintf(stderr, "cannot format \"%s\"\n", format);
        abort();
    }
    b->size += (size_t) n;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
    (void) buf_cstr(b);
}

const char *buf_cstr(struct buf *b)
{
    buf_reserve(b, 1);
    b->data[b->size] = '\0';
    return (const char *) b->data;
}

char *buf_steal_cstr(struct buf *b)
{
    (void) buf_cstr(b);
    char *s = (char *) b->data;
    *b = BUF_INIT;
    return s;
}

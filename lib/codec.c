/* Text encodings of bytes: hexadecimal, base64 (RFC 4648 section 4) and UTF-8 (RFC 3629). */
#include "lib/util.h"

#include <string.h>

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hex_to_bytes(const char *hex, uint8_t *out, size_t *size)
{
    size_t n = strlen(hex);
    if (n % 2 || n / 2 > *size) {
        return false;
    }
    for (size_t i = 0; i < n / 2; i++) {
        int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);
        if (hi < 0 || lo < 0) {
            return false;
        }
        out[i] = (uint8_t) (hi << 4 | lo);
    }
    *size = n / 2;
    return true;
}

void bytes_to_hex(const uint8_t *data, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }
    *out = '\0';
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const uint8_t *data, size_t n)
{
    char *out = xmalloc((n + 2) / 3 * 4 + 1), *p = out;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t x = (uint32_t) data[i] << 16 | (left > 1 ? (uint32_t) data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
        *p++ = base64_digits[x >> 18];
        *p++ = base64_digits[x >> 12 & 63];
        *p++ = left > 1 ? base64_digits[x >> 6 & 63] : '=';
        *p++ = left > 2 ? base64_digits[x & 63] : '=';
    }
    *p = '\0';
    return out;
}

static int base64_value(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A'
         : c >= 'a' && c <= 'z' ? c - 'a' + 26
         : c >= '0' && c <= '9' ? c - '0' + 52
         : c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(const char *s, uint8_t *out, size_t *size)
{
    size_t len = strlen(s), pad = 0, n = 0;
    if (len % 4) {
        return false;
    }
    while (pad < 2 && pad < len && s[len - 1 - pad] == '=') {
        pad++;
    }
    if (len / 4 * 3 - pad > *size) {
        return false;
    }
    for (size_t i = 0; i < len; i += 4) {
        size_t quad_pad = i + 4 == len ? pad : 0;
        uint32_t x = 0;
        for (size_t j = 0; j < 4; j++) {
            int v = j < 4 - quad_pad ? base64_value(s[i + j]) : 0;
            if (v < 0) {
                return false;
            }
            x = x << 6 | (uint32_t) v;
        }
        /* Bits that belong to no byte must be zero (RFC 4648 section 3.5), so each byte string has one encoding. */
        if (quad_pad && x & (quad_pad == 2 ? 0xffff : 0xff)) {
            return false;
        }
        for (size_t j = 0; j < 3 - quad_pad; j++) {
            out[n++] = (uint8_t) (x >> (16 - 8 * j));
        }
    }
    *size = n;
    return true;
}

/* RFC 3629 section 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_valid(const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *) s, *end = p + n;
    while (p < end) {
        uint8_t c = *p++;
        if (c < 0x80) {
            continue;
        }
        unsigned more = c >= 0xc2 && c <= 0xdf ? 1 : c >= 0xe0 && c <= 0xef ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : 0;
        if (!more || (size_t) (end - p) < more) {
            return false;
        }
        uint8_t min = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, max = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (*p < min || *p > max) {
            return false;
        }
        for (p++; --more; p++) {
            if ((*p & 0xc0) != 0x80) {
                return false;
            }
        }
    }
    return true;
}

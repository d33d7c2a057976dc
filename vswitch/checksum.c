/* CRC32c without tables that change: a bitwise step for a few bytes, and multiplication by x^(8n) modulo the polynomial for the many zeros behind them. */
#include "vswitch/checksum.h"

#define CRC32C_POLY UINT32_C(0x82f63b78)        /* Castagnoli, bit-reflected. */

static uint32_t crc_bytes(uint32_t crc, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (CRC32C_POLY & -(crc & 1));
        }
    }
    return crc;
}

/* a·b modulo the polynomial; bit 31 is x^0 in the reflected form. */
static uint32_t crc_multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (int bit = 31; bit >= 0; bit--) {
        product ^= b & -(a >> bit & 1);
        b = b >> 1 ^ (CRC32C_POLY & -(b & 1));
    }
    return product;
}

uint32_t checksum_crc32c_delta(const uint8_t diff[4], size_t after)
{
    uint32_t crc = crc_bytes(0, diff, 4);
    uint32_t power = UINT32_C(1) << 23;         /* x^8: one zero byte. */
    for (size_t n = after; n; n >>= 1) {
        if (n & 1) {
            crc = crc_multiply(crc, power);
        }
        power = crc_multiply(power, power);
    }
    return crc;
}

uint32_t checksum_crc32c(const void *p, size_t n)
{
    return ~crc_bytes(UINT32_MAX, p, n);
}

uint16_t checksum_full(const void *data, size_t n, uint32_t sum)
{
    const uint8_t *p = data;
    for (size_t i = 0; i + 1 < n; i += 2) {
        sum += wire_get16(p + i);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    if (n & 1) {
        sum += (uint32_t) p[n - 1] << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t) ~sum;
}

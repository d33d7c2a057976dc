#define LOG_MODULE "test"
#include "lib/log.h"

#include <string.h>
#include <unistd.h>
#include "lib/util.h"
#include "tests/unit.h"

unit_suite_fn log_test_suite;

/* Sends stderr to a file while `body` runs; returns what was written, malloc'd. */
static char *capture(void (*body)(void))
{
    FILE *f = tmpfile();
    int saved = dup(STDERR_FILENO);
    char *text = xcalloc(1, 65536);
    CU_ASSERT_FATAL(f && saved >= 0 && dup2(fileno(f), STDERR_FILENO) >= 0);
    body();
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(f);
    CU_ASSERT(fread(text, 1, 65535, f) > 0);
    fclose(f);
    return text;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what)) {
        n++;
    }
    return n;
}

static void write_some(void)
{
    log_set_level(LOG_INFO);
    LOG(LOG_ERROR, "one %d", 1);
    LOG(LOG_INFO, "two\nforged \x1b[31m");
    LOG(LOG_DEBUG, "never");
    log_set_level(LOG_DEBUG);
    LOG(LOG_DEBUG, "three");
    LOG(LOG_WARN, "long %0*d", 5000, 0);
    log_set_level(LOG_INFO);
}

static void test_lines(void)
{
    char *text = capture(write_some);
    CU_ASSERT_EQUAL(count(text, "\n"), 4);
    CU_ASSERT_EQUAL(count(text, "Z error test: one 1\n"), 1);
    CU_ASSERT_EQUAL(count(text, "Z info  test: two forged  [31m\n"), 1);
    CU_ASSERT_EQUAL(count(text, "never"), 0);
    CU_ASSERT_EQUAL(count(text, "Z debug test: three\n"), 1);
    CU_ASSERT_EQUAL(count(text, "000...\n"), 1);
    CU_ASSERT(strlen(text) > 25 && text[4] == '-' && text[10] == 'T' && text[19] == '.' && text[23] == 'Z');
    free(text);
}

static struct log_rate rate;

static void write_much(void)
{
    for (int i = 0; i < 100; i++) {
        if (log_rate_ok(&rate, 7)) {
            log_line(LOG_WARN, "test", "limited");
        }
    }
    rate.window--;              /* As if a minute had passed. */
    if (log_rate_ok(&rate, 7)) {
        log_line(LOG_WARN, "test", "limited");
    }
}

static void test_rate(void)
{
    char *text = capture(write_much);
    unsigned n = count(text, "limited");
    /* A real minute may begin during the test, which gives the call site a second burst. */
    CU_ASSERT(n == 8 || n == 15);
    CU_ASSERT(count(text, "lines like the next one were left out") == (n == 8 ? 1 : 2));
    CU_ASSERT(n != 8 || count(text, ": 93 lines like") == 1);
    free(text);
}

static void test_levels(void)
{
    enum log_level l;
    CU_ASSERT(log_level_parse("error", &l) && l == LOG_ERROR);
    CU_ASSERT(log_level_parse("debug", &l) && l == LOG_DEBUG);
    CU_ASSERT_FALSE(log_level_parse("DEBUG", &l));
    CU_ASSERT_FALSE(log_level_parse("", &l));
}

void log_test_suite(void)
{
    UNIT_SUITE("log", { "lines", test_lines }, { "rate", test_rate }, { "levels", test_levels });
}

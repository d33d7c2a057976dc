/* What the controller's unit tests share: a directory of their own, a controller around a loop and a clock that the test moves, a model from text. */
#ifndef CONTROLLER_TEST_FIXTURE_H
#define CONTROLLER_TEST_FIXTURE_H 1

#include "controller/controller.h"
#include "lib/err.h"

struct fixture {
    char dir[64];               /* Under $TMPDIR or /tmp; removed by fixture_fini(). */
    uint64_t now_ns;            /* The controller's clock. */
    struct controller c;        /* config.run_dir is `dir`, base, clock, rng and an empty model are set. */
};
void fixture_init(struct fixture *);
void fixture_fini(struct fixture *);            /* Also what the test opened of c: store, substrate. */
void fixture_path(const struct fixture *, const char *name, char out[128]);
/* Applies a document (JSON with ' for ") and commits it to the model, not to the store. */
void fixture_apply(struct fixture *, const char *document);
/* Turns the loop until *done, at most `seconds` of real time; returns *done. */
bool fixture_run(struct fixture *, const bool *done, unsigned seconds);
void fixture_turn(struct fixture *, unsigned turns);            /* A few non-blocking turns with a millisecond between them. */
void fixture_write(const struct fixture *, const char *name, const char *text);
/* ' becomes ". Malloc'd. */
char *fixture_quote(const char *text);

#endif

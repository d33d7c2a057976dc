/* What the tests of the model share: documents written with single quotes, dumps, and a store of records. */
#ifndef TENANTS_MODEL_FIXTURE_H
#define TENANTS_MODEL_FIXTURE_H 1

#include "lib/util.h"
#include "tenants/model.h"

struct model *test_model(void);                                 /* Default pools; edges e1 and e2, tenants red and blue with VPC main and network web 10.0.0.0/24. */
struct model *test_model_empty(void);
cJSON *test_json(const char *single_quoted);
/* Applies and commits; the number of changes, or -1 and err. */
int test_apply(struct model *, const char *single_quoted, struct err *);
int test_apply_as(struct model *, const char *single_quoted, const char *tenant, struct err *);
int test_delete(struct model *, enum model_kind, const char *name, struct err *);
/* Everything a reader can see, as text; free(). */
char *test_dump(const struct model *);
/* Naive checks of what must hold in every state: uniqueness of ids, locals, landings, slots, order of arrays.  Fails the running test. */
void test_invariants(const struct model *);

/* As controllerd's store does: records by kind and name. */
struct test_store { cJSON *records[N_KINDS]; uint64_t revision; uint32_t next_port, next_network; };
void test_store_init(struct test_store *);
void test_store_fini(struct test_store *);
void test_store_txn(struct test_store *, const struct model_txn *);
struct model *test_store_load(const struct test_store *, struct err *);

#endif

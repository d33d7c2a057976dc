/*
 * Isolation, read off all rules of a site's edges: no rule of a slice matches another's frames, or takes a frame to
 * where it would be another's. Nothing is sent; what the rules say is enough.
 */
#ifndef TESTS_ORACLE_SLICE_AUDIT_H
#define TESTS_ORACLE_SLICE_AUDIT_H 1

#include "controller/vsw.h"
#include "tests/oracle/site.h"

/* vsws: all virtual switches of the site. Returns how many rules and groups break isolation; *n_rules: how many rules of slices were looked at. */
unsigned slice_audit(const struct site *, struct vsw *const *vsws, unsigned n_vsws, unsigned *n_rules);

#endif

/*
 * controllerd's configuration file: strict JSON, read once, at start. Every fault names its key ("openflow.listen[1]").
 *
 * config_load() fills in defaults and checks what can be told from the file alone; config_check() looks at what the
 * file names (certificates, the token file, the LLDP key), and changes nothing. Strings belong to the config.
 */
#ifndef CONTROLLER_CONFIG_H
#define CONTROLLER_CONFIG_H 1

#include "controller/controller.h"
#include "controller/lldp.h"
#include "lib/log.h"

bool config_load(const char *path, struct controller_config *, enum log_level *, struct err *);
bool config_check(const struct controller_config *, struct err *);
void config_fini(struct controller_config *);

/* Reads the key of lldp.key_file: its bytes without a trailing newline. */
bool config_lldp_key(const char *path, struct lldp_key *, struct err *);
/* The TLS of openflow.tls, of slices.tls (else openflow.tls), or of rest.tls; *out is NULL when none is configured. */
bool config_openflow_tls(const struct controller_config *, struct tls_config **out, struct err *);
bool config_slice_tls(const struct controller_config *, struct tls_config **out, struct err *);
bool config_rest_tls(const struct controller_config *, struct tls_config **out, struct err *);

#endif

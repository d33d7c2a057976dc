/* The text form of a stream's peer or listening place (see lib/stream.h), parsed to a socket address.  Pure; any thread. */
#ifndef LIB_TARGET_H
#define LIB_TARGET_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include "lib/err.h"

struct target {
    bool tls;
    struct sockaddr_storage addr;       /* ss_family AF_UNIX, AF_INET or AF_INET6. */
    socklen_t addr_len;
};

bool target_parse(const char *text, bool listener, struct target *, struct err *);

/* "tcp:1.2.3.4:5", "tls:[::1]:6", "unix:/path" or, for a unix socket without a name, "unix:(client)". */
#define TARGET_STRLEN 128
char *target_format(const struct target *, char out[TARGET_STRLEN]);
unsigned target_port(const struct target *);    /* 0 unless it is an IP. */

#endif

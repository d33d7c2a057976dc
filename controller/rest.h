/*
 * The API: HTTP/1.1 with JSON bodies, over a unix socket and, when configured, TLS. Routes and bodies are in
 * docs/REST.md.
 *
 * Who asks: on the unix socket the kernel says (SO_PEERCRED: root or this daemon's own user, both operators, nobody
 * else); over TLS a bearer token does (controller/auth.h). An operator sees everything. A tenant's token sees and
 * touches its own tenant, VPCs, networks and ports; another tenant's objects do not exist for it (404), the substrate
 * is not its business (403), and what it reads carries no provider addresses.
 *
 * Requests that have to wait (a commit, an installation, a trace) are answered from the loop later. Errors are
 * {"error":{"code","field","message","hint"}}.
 */
#ifndef CONTROLLER_REST_H
#define CONTROLLER_REST_H 1

#include "controller/controller.h"

struct rest;
/* Opens the listeners of config.rest_*. */
struct rest *rest_new(struct controller *, struct err *);
/* Closes listeners and connections. Requests that still wait are answered with an error; nobody may hold one any more. */
void rest_free(struct rest *);
/* Reads the token file again (SIGHUP).  On failure the old tokens stay. */
bool rest_reload(struct rest *, struct err *);

#endif

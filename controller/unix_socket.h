/* A path where a unix socket is about to be bound. */
#ifndef CONTROLLER_UNIX_SOCKET_H
#define CONTROLLER_UNIX_SOCKET_H 1

#include <stdbool.h>
#include "lib/err.h"

/* Removes the socket that a dead process left at `path`.  False and err when a living one listens there, or when it is no socket. */
bool unix_socket_claim(const char *path, struct err *);

#endif

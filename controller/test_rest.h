/* A whole controller in the test's process, and a client of its API that shares its loop. */
#ifndef CONTROLLER_TEST_REST_H
#define CONTROLLER_TEST_REST_H 1

#include "controller/test_fixture.h"
#include "lib/buf.h"
#include "lib/json.h"

struct server { struct fixture f; char store[128], sock[128]; };
void server_init(struct server *);                              /* May be changed (f.c.config) until server_start(). */
void server_start(struct server *);
void server_fini(struct server *);

int client_open(const struct server *);
/* Everything that the server sends until it closes; false after 10 s. */
bool client_read(struct server *, int fd, struct buf *out);
void client_write(struct server *, int fd, const char *data, size_t size);
/* Headers are whole lines, or NULL; the body is written with single quotes, or NULL. */
void client_send(struct server *, int fd, const char *method, const char *path, const char *headers, const char *quoted_body);

struct response { int code; char etag[32]; cJSON *body; char *text; };
struct response parse_response(struct buf *in);
void response_fini(struct response *);
struct response ask(struct server *, const char *method, const char *path, const char *quoted_body);
struct response ask_with(struct server *, const char *method, const char *path, const char *headers, const char *quoted_body);
/* Asks, and expects this status and error code. */
void expect(struct server *, const char *method, const char *path, const char *quoted_body, int status, const char *code);

/* Of an answer; "" when it has none. */
const char *error_code(const struct response *);
const char *error_field(const struct response *);
const char *revision_of(const struct response *);
int n_items(const struct response *, const char *key);          /* Of a list. */

#endif

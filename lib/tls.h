/*
 * TLS as a transformation of bytes, without sockets: ciphertext in, plaintext out, and the other way round.
 *
 * OpenSSL works on memory BIOs, so the stream's event handling is the same with and without TLS and never meets
 * WANT_READ or WANT_WRITE.  TLS 1.2 is the oldest version; sessions are not resumed, so each connection proves its
 * certificate.  The configuration (struct tls_config) is declared in lib/stream.h.  One thread: the owner's.
 */
#ifndef LIB_TLS_H
#define LIB_TLS_H 1

#include <stdbool.h>
#include <stddef.h>
#include "lib/buf.h"
#include "lib/stream.h"

#define TLS_WHY_SIZE 256

struct tls_session;

struct tls_session *tls_session_new(struct tls_config *, bool server);  /* Takes a reference. */
void tls_session_free(struct tls_session *);
bool tls_session_ready(const struct tls_session *);     /* The handshake is done. */
bool tls_session_refused(const struct tls_session *);   /* It failed because of the peer's certificate. */
/* fn for each name of the peer's certificate: its subject's CNs, and the DNS names and URIs of its subjectAltName. Once it is ready; no certificate: none. */
void tls_session_peer_names(const struct tls_session *, void (*fn)(const char *name, void *aux), void *aux);

enum tls_status { TLS_OK, TLS_CLOSED, TLS_FAILED };
/* Takes `size` bytes from the peer (0 starts a client's handshake), appends what they decrypt to to `plain`, and what must be sent (also
 * an alert on failure) to `out`.  TLS_CLOSED: the peer said close_notify, after `plain`. */
enum tls_status tls_session_receive(struct tls_session *, const void *, size_t size, struct buf *plain, struct buf *out,
                                    char why[TLS_WHY_SIZE]);
/* Encrypts to `out`; only when ready.  False and `why` on failure. */
bool tls_session_send(struct tls_session *, const void *, size_t, struct buf *out, char why[TLS_WHY_SIZE]);
void tls_session_shutdown(struct tls_session *, struct buf *out);       /* Appends close_notify. */

#endif

#include "lib/tls.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "lib/util.h"

struct tls_config {
    SSL_CTX *ctx;
    unsigned n_refs;
    struct buf names;           /* Those that a peer may have, for people; empty: any. */
};

struct tls_session {
    struct tls_config *config;
    SSL *ssl;
    BIO *in, *out;              /* Owned by ssl. */
    bool ready, refused;
};

/* The oldest error in OpenSSL's queue of this thread, which it empties. */
static const char *reason(void)
{
    unsigned long e = ERR_get_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    ERR_clear_error();
    return text ? text : "unknown reason";
}

/* Daemons have no terminal to ask on: an encrypted key is an error. */
static int no_passphrase(char *out UNUSED, int size UNUSED, int writing UNUSED, void *aux UNUSED)
{
    return -1;
}

static bool load_files(SSL_CTX *ctx, const char *private_key, const char *certificate, const char *ca, struct err *err)
{
    if (!private_key != !certificate) {
        return err_set(err, ERR_INVALID, private_key ? "certificate" : "private_key",
                       "a private key and its certificate go together; give both");
    }
    if (certificate && SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1) {
        err_set(err, ERR_INVALID, "certificate", "cannot load %.150s: %s", certificate, reason());
        return err_hint(err, "it must be a readable PEM file, the own certificate first");
    }
    if (private_key && SSL_CTX_use_PrivateKey_file(ctx, private_key, SSL_FILETYPE_PEM) != 1) {
        err_set(err, ERR_INVALID, "private_key", "cannot load %.150s: %s", private_key, reason());
        return err_hint(err, "it must be a readable PEM file without a passphrase, of the key of %.120s", certificate);
    }
    if (ca) {
        if (SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1) {
            err_set(err, ERR_INVALID, "ca_certificate", "cannot load %.150s: %s", ca, reason());
            return err_hint(err, "it must be a readable PEM file");
        }
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca);
        if (!names) {
            return err_set(err, ERR_INVALID, "ca_certificate", "cannot load %.150s: %s", ca, reason());
        }
        SSL_CTX_set_client_CA_list(ctx, names);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return true;
}

struct tls_config *tls_config_new(const char *private_key, const char *certificate, const char *ca, struct err *err)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    if (!ctx) {
        err_set(err, ERR_FAILED, NULL, "cannot set up TLS: %s", reason());
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (!load_files(ctx, private_key, certificate, ca, err)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    struct tls_config *config = XNEW(struct tls_config);
    config->ctx = ctx;
    config->n_refs = 1;
    return config;
}

struct tls_config *tls_config_ref(struct tls_config *config)
{
    if (config) {
        config->n_refs++;
    }
    return config;
}

void tls_config_unref(struct tls_config *config)
{
    if (config && !--config->n_refs) {
        SSL_CTX_free(config->ctx);
        buf_fini(&config->names);
        free(config);
    }
}

void tls_config_require_name(struct tls_config *config, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(config->ctx);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT);
    if (X509_VERIFY_PARAM_add1_host(param, name, 0) != 1) {
        fprintf(stderr, "out of memory (TLS)\n");
        abort();
    }
    buf_printf(&config->names, "%s%s", config->names.size ? " or " : "", name);
}

void *tls_config_ssl_ctx(struct tls_config *config)
{
    return config->ctx;
}

struct tls_session *tls_session_new(struct tls_config *config, bool server)
{
    struct tls_session *s = XNEW(struct tls_session);
    s->ssl = SSL_new(config->ctx);
    s->in = BIO_new(BIO_s_mem());
    s->out = BIO_new(BIO_s_mem());
    if (!s->ssl || !s->in || !s->out) {
        fprintf(stderr, "out of memory (TLS)\n");
        abort();
    }
    s->config = tls_config_ref(config);
    BIO_set_mem_eof_return(s->in, -1);          /* Empty means "later", not end of file. */
    BIO_set_mem_eof_return(s->out, -1);
    SSL_set_bio(s->ssl, s->in, s->out);
    if (server) {
        SSL_set_accept_state(s->ssl);
    } else {
        SSL_set_connect_state(s->ssl);
    }
    return s;
}

void tls_session_free(struct tls_session *s)
{
    if (s) {
        SSL_free(s->ssl);
        tls_config_unref(s->config);
        free(s);
    }
}

bool tls_session_ready(const struct tls_session *s)
{
    return s->ready;
}

bool tls_session_refused(const struct tls_session *s)
{
    return s->refused;
}

/* What has a zero inside is no name. */
static void tell_name(const ASN1_STRING *value, void (*fn)(const char *name, void *aux), void *aux)
{
    unsigned char *text = NULL;
    int size = ASN1_STRING_to_UTF8(&text, value);
    if (size > 0 && strlen((const char *) text) == (size_t) size) {
        fn((const char *) text, aux);
    }
    OPENSSL_free(text);
}

void tls_session_peer_names(const struct tls_session *s, void (*fn)(const char *name, void *aux), void *aux)
{
    X509 *cert = s->ready ? SSL_get1_peer_certificate(s->ssl) : NULL;
    if (!cert) {
        return;
    }
    const X509_NAME *subject = X509_get_subject_name(cert);
    for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;) {
        tell_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)), fn, aux);
    }
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS || name->type == GEN_URI) {
            tell_name(name->type == GEN_DNS ? name->d.dNSName : name->d.uniformResourceIdentifier, fn, aux);
        }
    }
    GENERAL_NAMES_free(names);
    X509_free(cert);
}

static void take_output(struct tls_session *s, struct buf *out)
{
    size_t n = BIO_ctrl_pending(s->out);
    if (n) {
        int got = BIO_read(s->out, buf_put_uninit(out, n), (int) n);
        out->size -= n - (got > 0 ? (size_t) got : 0);
    }
}

static enum tls_status status_of(struct tls_session *s, int result, char why[TLS_WHY_SIZE])
{
    int e = SSL_get_error(s->ssl, result);
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
        return TLS_OK;
    }
    if (e == SSL_ERROR_ZERO_RETURN) {
        snprintf(why, TLS_WHY_SIZE, "the peer closed the connection");
        return TLS_CLOSED;
    }
    long verify = SSL_get_verify_result(s->ssl);
    s->refused = !s->ready && verify != X509_V_OK;
    if (s->refused && verify == X509_V_ERR_HOSTNAME_MISMATCH) {
        snprintf(why, TLS_WHY_SIZE, "TLS: the peer's certificate is refused: its name is not %s", buf_cstr(&s->config->names));
        ERR_clear_error();
    } else if (s->refused) {
        snprintf(why, TLS_WHY_SIZE, "TLS: the peer's certificate is refused: %s", X509_verify_cert_error_string(verify));
        ERR_clear_error();
    } else {
        snprintf(why, TLS_WHY_SIZE, "TLS: %s", reason());
    }
    return TLS_FAILED;
}

enum tls_status tls_session_receive(struct tls_session *s, const void *data, size_t size, struct buf *plain, struct buf *out,
                                    char why[TLS_WHY_SIZE])
{
    enum tls_status status = TLS_OK;
    ERR_clear_error();
    if (size && (size > INT_MAX || BIO_write(s->in, data, (int) size) != (int) size)) {
        snprintf(why, TLS_WHY_SIZE, "TLS: %s", reason());
        return TLS_FAILED;
    }
    if (!s->ready) {
        int result = SSL_do_handshake(s->ssl);
        s->ready = result == 1;
        status = s->ready ? TLS_OK : status_of(s, result, why);
    }
    while (s->ready && status == TLS_OK) {
        enum { CHUNK = 16384 };                 /* A record holds at most 2^14 bytes (RFC 8446 section 5.1). */
        int n = SSL_read(s->ssl, buf_put_uninit(plain, CHUNK), CHUNK);
        plain->size -= CHUNK - (n > 0 ? (size_t) n : 0);
        if (n <= 0) {
            status = status_of(s, n, why);
            break;
        }
    }
    take_output(s, out);
    return status;
}

bool tls_session_send(struct tls_session *s, const void *data, size_t size, struct buf *out, char why[TLS_WHY_SIZE])
{
    const char *p = data;
    ERR_clear_error();
    while (size) {
        int n = SSL_write(s->ssl, p, (int) MIN(size, (size_t) INT_MAX));
        if (n <= 0) {           /* Memory BIOs take everything, so this is a real failure. */
            snprintf(why, TLS_WHY_SIZE, "TLS: %s", reason());
            return false;
        }
        p += n;
        size -= (size_t) n;
    }
    take_output(s, out);
    return true;
}

void tls_session_shutdown(struct tls_session *s, struct buf *out)
{
    ERR_clear_error();
    if (s->ready && SSL_shutdown(s->ssl) < 0) {
        ERR_clear_error();      /* The session had failed before: there is nobody to say goodbye to. */
    }
    take_output(s, out);
}

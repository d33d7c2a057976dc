#include "lib/stream_test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "lib/util.h"
#include "tests/unit.h"

unit_suite_fn stream_tls_test_suite;

static char dir[] = "/tmp/polder-tls-XXXXXX";

static const char *path(const char *name)
{
    static char paths[4][80];
    static unsigned next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

/* CUnit's asserts are for tests; this is what the suite's set-up needs. */
static void require(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "cannot set up the TLS tests: %s\n", what);
        exit(99);
    }
}

static void write_pem(const char *name, X509 *cert, EVP_PKEY *key, const char *passphrase)
{
    FILE *f = fopen(path(name), "w");
    require(f, "no file");
    require(cert ? PEM_write_X509(f, cert)
                 : PEM_write_PrivateKey(f, key, passphrase ? EVP_aes_128_cbc() : NULL, (const unsigned char *) passphrase,
                                        passphrase ? (int) strlen(passphrase) : 0, NULL, NULL), name);
    fclose(f);
}

/* A certificate for `name`, signed by the issuer, or by itself when that is NULL. */
static X509 *make_cert(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, long valid_s)
{
    static long serial = 1;
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), -7200);
    X509_gmtime_adj(X509_getm_notAfter(cert), valid_s);
    const char *common = strcmp(name, "wildcard") ? name : "*";
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *) common, -1, -1, 0);
    X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject);
    X509_set_pubkey(cert, key);
    if (!issuer) {
        X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
        X509_add_ext(cert, ext, -1);
        X509_EXTENSION_free(ext);
    }
    if (!strcmp(name, "named")) {
        X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "URI:dpid:0000000000000001,IP:127.0.0.1,DNS:host1");
        X509_add_ext(cert, ext, -1);
        X509_EXTENSION_free(ext);
    }
    require(X509_sign(cert, issuer_key ? issuer_key : key, EVP_sha256()) > 0, name);
    return cert;
}

static void make_pair(const char *name, X509 *ca, EVP_PKEY *ca_key, long valid_s)
{
    char file[40];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = make_cert(name, key, ca, ca_key, valid_s);
    snprintf(file, sizeof file, "%s.crt", name);
    write_pem(file, cert, NULL, NULL);
    snprintf(file, sizeof file, "%s.key", name);
    write_pem(file, NULL, key, NULL);
    if (!strcmp(name, "server")) {
        write_pem("locked.key", NULL, key, "secret");
    }
    X509_free(cert);
    EVP_PKEY_free(key);
}

static int suite_init(void)
{
    if (!mkdtemp(dir)) {
        return -1;
    }
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *other_key = EVP_EC_gen("P-256");
    X509 *ca = make_cert("test CA", ca_key, NULL, NULL, 3600), *other = make_cert("other CA", other_key, NULL, NULL, 3600);
    write_pem("ca.crt", ca, NULL, NULL);
    write_pem("other-ca.crt", other, NULL, NULL);
    make_pair("server", ca, ca_key, 3600);
    make_pair("client", ca, ca_key, 3600);
    make_pair("expired", ca, ca_key, -3600);
    make_pair("wildcard", ca, ca_key, 3600);
    make_pair("named", ca, ca_key, 3600);
    make_pair("stranger", other, other_key, 3600);
    X509_free(ca);
    X509_free(other);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(other_key);
    return 0;
}

static int suite_cleanup(void)
{
    static const char *const files[] = { "ca.crt", "other-ca.crt", "server.crt", "server.key", "client.crt", "client.key", "expired.crt", "expired.key",
                                         "stranger.crt", "stranger.key", "locked.key", "wildcard.crt", "wildcard.key", "named.crt", "named.key" };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        if (unlink(path(files[i]))) {
            return -1;
        }
    }
    return rmdir(dir);
}

static struct tls_config *config(const char *name, const char *ca)
{
    struct err err = ERR_INIT;
    char key[40], cert[40];
    snprintf(key, sizeof key, "%s.key", name);
    snprintf(cert, sizeof cert, "%s.crt", name);
    struct tls_config *c = tls_config_new(path(key), path(cert), ca ? path(ca) : NULL, &err);
    if (!c) {
        printf("%s: %s\n", err.field, err.message);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    return c;
}

/* The names that the server's next peers may have; NULL: any. */
static const char *const *names;

/* Server and client with the given certificates; both configurations are dropped here, so the streams' references carry them. */
static void start(struct rig *r, const char *server, const char *server_ca, const char *client, const char *client_ca)
{
    struct tls_config *s = config(server, server_ca), *c = config(client, client_ca);
    for (unsigned i = 0; names && names[i]; i++) {
        tls_config_require_name(s, names[i]);
    }
    rig_init(r, "ptls:0:127.0.0.1", s);
    CU_ASSERT_FATAL(rig_connect(r, c));
    tls_config_unref(s);
    tls_config_unref(c);
}

static void test_tls(void)
{
    struct rig r;
    start(&r, "server", "ca.crt", "client", "ca.crt");
    stream_write(r.client.s, "early", 5);
    CU_ASSERT_TRUE(rig_run_until(&r, &r.client.connected));
    CU_ASSERT_TRUE(rig_run_until_got(&r, &r.server, 5));
    CU_ASSERT_EQUAL(strncmp(stream_peer(r.server.s), "tls:127.0.0.1:", 14), 0);
    stream_write(r.server.s, "answer", 6);
    CU_ASSERT_TRUE(rig_run_until_got(&r, &r.client, 6));
    CU_ASSERT_STRING_EQUAL(buf_cstr(&r.client.got), "answer");
    stream_write(r.client.s, "bye", 3);
    stream_close(r.client.s);
    r.client.s = NULL;
    CU_ASSERT_TRUE(rig_run_until(&r, &r.server.closed));
    CU_ASSERT_STRING_EQUAL(buf_cstr(&r.server.got), "earlybye");
    CU_ASSERT_STRING_EQUAL(r.server.why, "the peer closed the connection");       /* Not a truncation. */
    rig_fini(&r);
}

static void add_name(const char *name, void *text) { buf_printf(text, "%s;", name); }

/* What a certificate calls its owner: common name, DNS names and URIs. */
static void test_peer_names(void)
{
    static const struct { const char *client, *names; } cases[] = { { "named", "named;dpid:0000000000000001;host1;" }, { "client", "client;" } };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rig r;
        struct buf text = BUF_INIT;
        start(&r, "server", "ca.crt", cases[i].client, "ca.crt");
        stream_write(r.client.s, "x", 1);
        CU_ASSERT_TRUE(rig_run_until_got(&r, &r.server, 1));            /* Both ends have seen the other's certificate. */
        CU_ASSERT_TRUE(stream_peer_names(r.server.s, add_name, &text));
        CU_ASSERT_STRING_EQUAL(buf_cstr(&text), cases[i].names);
        buf_clear(&text);
        CU_ASSERT_TRUE(stream_peer_names(r.client.s, add_name, &text));
        CU_ASSERT_STRING_EQUAL(buf_cstr(&text), "server;");
        buf_fini(&text);
        rig_fini(&r);
    }
}

static void test_bulk(void)
{
    enum { CHUNK = 100000, N = 100 };
    static uint8_t chunk[CHUNK];
    struct rig r;
    struct rng g;
    start(&r, "server", "ca.crt", "client", "ca.crt");
    CU_ASSERT_TRUE(rig_run_until(&r, &r.client.connected) && rig_run_until(&r, &r.server.connected));
    rng_seed(&g, unit_seed());
    for (size_t i = 0; i < CHUNK; i++) {
        chunk[i] = (uint8_t) rng_u64(&g);
    }
    stream_read_enable(r.server.s, false);
    stream_set_low_mark(r.client.s, 50000);
    for (int i = 0; i < N; i++) {
        stream_write(r.client.s, chunk, CHUNK);
    }
    rig_run_for(&r, 50);
    CU_ASSERT(stream_backlog(r.client.s) > 1 << 20 && r.client.n_drained == 0);
    r.server.quantum = 7777;
    stream_read_enable(r.server.s, true);
    CU_ASSERT_TRUE(rig_run_until_got(&r, &r.server, (size_t) CHUNK * N / 7777 * 7777));
    CU_ASSERT_EQUAL(r.client.n_drained, 1);
    for (size_t i = 0; i + CHUNK <= r.server.got.size; i += CHUNK) {
        CU_ASSERT_EQUAL(memcmp(r.server.got.data + i, chunk, CHUNK), 0);
    }
    rig_fini(&r);
}

/* Who is not signed by the CA that the other side trusts never gets a byte through. */
static void expect_refused(const char *server, const char *server_ca, const char *client, const char *client_ca, const char *why)
{
    struct rig r;
    start(&r, server, server_ca, client, client_ca);
    stream_write(r.client.s, "secret", 6);
    CU_ASSERT_TRUE(rig_run_until(&r, &r.client.closed));
    CU_ASSERT_TRUE(rig_run_until(&r, &r.server.closed));
    CU_ASSERT(r.server.got.size == 0 && r.client.got.size == 0);
    if (!strstr(r.client.why, why) && !strstr(r.server.why, why)) {
        printf("\nclient: %s; server: %s; not %s\n", r.client.why, r.server.why, why);
        CU_FAIL("another reason");
    }
    rig_fini(&r);
}

static void test_refused(void)
{
    expect_refused("stranger", "ca.crt", "client", "ca.crt", "the peer's certificate is refused");
    expect_refused("server", "ca.crt", "stranger", "ca.crt", "the peer's certificate is refused");
    expect_refused("server", "ca.crt", "expired", "ca.crt", "certificate has expired");
    expect_refused("server", "ca.crt", "client", "other-ca.crt", "the peer's certificate is refused");
}

/* A name more that the authority has signed opens nothing but what it names. */
static void test_names(void)
{
    static const char *const wanted[] = { "blue", "client", NULL }, *const others[] = { "lab.client", "*", "clien", NULL };
    names = wanted;
    test_tls();
    names = others;
    expect_refused("server", "ca.crt", "client", "ca.crt", "its name is not lab.client or * or clien");
    names = wanted;
    expect_refused("server", "ca.crt", "wildcard", "ca.crt", "its name is not blue or client");
    expect_refused("server", "ca.crt", "stranger", "ca.crt", "the peer's certificate is refused");
    names = NULL;
}

static void test_not_tls(void)
{
    struct rig r;
    struct tls_config *s = config("server", "ca.crt");
    rig_init(&r, "ptls:0:127.0.0.1", s);
    CU_ASSERT_FATAL(rig_connect(&r, NULL));             /* A plain client. */
    stream_write(r.client.s, "GET / HTTP/1.0\r\n\r\n", 18);
    CU_ASSERT_TRUE(rig_run_until(&r, &r.server.closed));
    CU_ASSERT_EQUAL(strncmp(r.server.why, "TLS: ", 5), 0);
    CU_ASSERT_EQUAL(r.server.got.size, 0);
    rig_fini(&r);
    tls_config_unref(s);
}

static void test_truncated(void)
{
    struct rig r;
    struct tls_config *s = config("server", "ca.crt");
    rig_init(&r, "ptls:0:127.0.0.1", s);
    CU_ASSERT_FATAL(rig_connect(&r, NULL));
    CU_ASSERT_TRUE(rig_run_until(&r, &r.server.connected));
    stream_close(r.client.s);                           /* Ends in the middle of the handshake. */
    r.client.s = NULL;
    CU_ASSERT_TRUE(rig_run_until(&r, &r.server.closed));
    CU_ASSERT_STRING_EQUAL(r.server.why, "the peer closed the connection without ending TLS");
    rig_fini(&r);
    tls_config_unref(s);
}

static void test_config_errors(void)
{
    struct err err = ERR_INIT;
    CU_ASSERT(!tls_config_new(path("none"), path("server.crt"), NULL, &err) && !strcmp(err.field, "private_key"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/none"));
    CU_ASSERT(!tls_config_new(path("server.key"), path("none"), NULL, &err) && !strcmp(err.field, "certificate"));
    CU_ASSERT(!tls_config_new(path("server.key"), path("server.crt"), path("none"), &err) && !strcmp(err.field, "ca_certificate"));
    CU_ASSERT(!tls_config_new(path("client.key"), path("server.crt"), NULL, &err) && !strcmp(err.field, "private_key"));
    CU_ASSERT(!tls_config_new(path("locked.key"), path("server.crt"), NULL, &err) && !strcmp(err.field, "private_key"));
    CU_ASSERT(!tls_config_new(path("server.key"), NULL, NULL, &err) && !strcmp(err.field, "certificate"));
    CU_ASSERT(!tls_config_new(NULL, path("server.crt"), NULL, &err) && !strcmp(err.field, "private_key"));
    struct tls_config *c = tls_config_new(NULL, NULL, path("ca.crt"), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_PTR_NOT_NULL(tls_config_ssl_ctx(c));
    tls_config_unref(tls_config_ref(c));
    tls_config_unref(c);
}

void stream_tls_test_suite(void)
{
    UNIT_SUITE("stream TLS", { "both ways", test_tls }, { "bulk and backpressure", test_bulk }, { "refused certificates", test_refused }, { "names of peers", test_names },
               { "what a certificate names", test_peer_names },
               { "peer does not speak TLS", test_not_tls }, { "truncated", test_truncated }, { "configuration errors", test_config_errors });
    CU_pSuite suite = CU_get_suite("stream TLS");
    suite->pInitializeFunc = suite_init;
    suite->pCleanupFunc = suite_cleanup;
}

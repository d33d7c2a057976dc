#include "controller/auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include "lib/json.h"
#include "lib/util.h"

#define TOKENS_MAX_SIZE (4 << 20)

struct token { uint8_t digest[SHA256_DIGEST_LENGTH]; struct principal principal; };
struct tokens { struct token *v; size_t n; };

static void digest_of(const char *token, uint8_t out[SHA256_DIGEST_LENGTH])
{
    SHA256((const uint8_t *) token, strlen(token), out);
}

/* RFC 6750 section 2.1: b64token. */
static bool token_valid(const char *s)
{
    size_t n = strlen(s), body = strcspn(s, "=");
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    return n >= TOKEN_MIN && n <= TOKEN_MAX && strspn(s, alphabet) == body && strspn(s + body, "=") == n - body;
}

static void read_token(struct json_reader *r, struct token *t)
{
    const char *token = json_string(r, "token", NULL), *name = json_string(r, "name", NULL);
    const char *role = json_string(r, "role", NULL), *tenant = json_string_opt(r, "tenant");
    if (r->err->code != ERR_NONE || !token || !name || !role) {
        json_end(r);
        return;
    }
    if (!token_valid(token)) {
        json_fail(r, "token", "use %d to %d of A-Z a-z 0-9 - . _ ~ + /", TOKEN_MIN, TOKEN_MAX);
    }
    if (!*name || strlen(name) >= sizeof t->principal.name) {
        json_fail(r, "name", "use 1 to %zu bytes", sizeof t->principal.name - 1);
    }
    if (!strcmp(role, "tenant")) {
        if (!tenant || !name_valid(tenant)) {
            json_fail(r, "tenant", "needed for the role tenant: a tenant's name");
        } else {
            str_copy(t->principal.tenant, sizeof t->principal.tenant, tenant);
        }
    } else if (strcmp(role, "operator")) {
        json_fail(r, "role", "%s is neither operator nor tenant", role);
    } else if (tenant) {
        json_fail(r, "tenant", "not allowed for the role operator");
    }
    str_copy(t->principal.name, sizeof t->principal.name, name);
    digest_of(token, t->digest);
    json_end(r);
}

struct tokens *tokens_load(const char *path, struct err *err)
{
    struct stat st;
    if (!stat(path, &st) && st.st_mode & (S_IRWXO | S_IWGRP)) {
        err_set(err, ERR_INVALID, NULL, "%s can be read or changed by other users", path);
        err_hint(err, "chmod 0600 %s", path);
        return NULL;
    }
    cJSON *tree = json_load(path, TOKENS_MAX_SIZE, err);
    if (!tree) {
        return NULL;
    }
    struct tokens *tokens = XNEW(struct tokens);
    struct json_reader root;
    json_root(&root, tree, err);
    if (!cJSON_IsArray(tree)) {
        json_fail(&root, NULL, "%s: expected an array of tokens", path);
    } else {
        size_t n = json_array_size(&root);
        tokens->v = xcalloc(n + 1, sizeof *tokens->v);
        for (; tokens->n < n && err->code == ERR_NONE; tokens->n++) {
            struct json_reader e;
            json_element(&root, tokens->n, &e);
            if (json_is_object(&e)) {
                read_token(&e, &tokens->v[tokens->n]);
            }
            for (size_t i = 0; i < tokens->n && err->code == ERR_NONE; i++) {
                if (!memcmp(tokens->v[i].digest, tokens->v[tokens->n].digest, SHA256_DIGEST_LENGTH)) {
                    json_fail(&e, "token", "the same token is given twice");
                }
            }
        }
    }
    cJSON_Delete(tree);
    if (err->code != ERR_NONE) {
        tokens_free(tokens);
        return NULL;
    }
    return tokens;
}

void tokens_free(struct tokens *t)
{
    if (t) {
        free(t->v);
        free(t);
    }
}

const struct principal *tokens_find(const struct tokens *t, const char *authorization)
{
    if (!t || !authorization || strncasecmp(authorization, "Bearer ", 7)) {
        return NULL;
    }
    const char *token = authorization + 7;
    while (*token == ' ') {
        token++;
    }
    if (strlen(token) > TOKEN_MAX) {
        return NULL;
    }
    uint8_t digest[SHA256_DIGEST_LENGTH];
    digest_of(token, digest);
    const struct principal *found = NULL;
    for (size_t i = 0; i < t->n; i++) {         /* All of them, found or not. */
        if (!CRYPTO_memcmp(digest, t->v[i].digest, sizeof digest)) {
            found = &t->v[i].principal;
        }
    }
    return found;
}

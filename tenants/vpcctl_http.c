/* controllerd's REST API over a unix socket or HTTPS. */
#include "tenants/vpcctl.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/util.h"

#define MAX_ANSWER (256u << 20)

bool read_token_file(const char *path, char **token, struct err *err)
{
    char text[1024];
    FILE *f = fopen(path, "re");
    if (!f) {
        return err_set(err, ERR_FAILED, "--token-file", "cannot open %s: %s", path, strerror(errno));
    }
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    text[strcspn(text, " \t\r\n")] = '\0';
    if (!text[0]) {
        return err_set(err, ERR_INVALID, "--token-file", "%s holds no token", path);
    }
    *token = xstrdup(text);
    return true;
}

char *api_path(const char *prefix, const char *name)
{
    struct buf b = BUF_INIT;
    buf_puts(&b, prefix);
    for (; *name; name++) {
        bool plain = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9') || strchr("-_./", *name);
        buf_printf(&b, plain ? "%c" : "%%%02X", (unsigned char) *name);
    }
    return buf_steal_cstr(&b);
}

static size_t on_data(char *data, size_t size, size_t n, void *answer_)
{
    struct buf *answer = answer_;
    if (answer->size + size * n > MAX_ANSWER) {
        return 0;
    }
    buf_put(answer, data, size * n);
    return size * n;
}

/* Host and path of the request as curl wants them. */
static bool set_server(CURL *curl, const struct vpcctl *v, const char *path, struct err *err)
{
    bool is_unix = !strncmp(v->server, "unix:", 5);
    if (!is_unix && strncmp(v->server, "https://", 8)) {
        err_set(err, ERR_USAGE, "--server", "%s is neither unix:PATH nor https://HOST:PORT", v->server);
        return false;
    }
    size_t n = strlen(v->server);
    while (!is_unix && n && v->server[n - 1] == '/') {
        n--;
    }
    char *url = is_unix ? xasprintf("http://localhost%s", path) : xasprintf("%.*s%s", (int) n, v->server, path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    if (is_unix) {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, v->server + 5);
    }
    free(url);
    return true;
}

static struct curl_slist *headers_of(const struct vpcctl *v, const char *if_match)
{
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    list = curl_slist_append(list, "Expect:");
    if (v->token) {
        char *header = xasprintf("Authorization: Bearer %s", v->token);
        list = curl_slist_append(list, header);
        free(header);
    }
    if (if_match) {
        char *header = xasprintf("If-Match: \"%s\"", if_match);
        list = curl_slist_append(list, header);
        free(header);
    }
    return list;
}

static bool transport_error(const struct vpcctl *v, CURL *curl, CURLcode code, const char *detail, struct err *err)
{
    const char *what = detail[0] ? detail : curl_easy_strerror(code);
    long os_error = 0;
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_error);
    if (code == CURLE_COULDNT_CONNECT && os_error) {
        what = strerror((int) os_error);        /* curl's own text names the host and port that a unix socket does not have. */
    }
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        err_set(err, ERR_TIMEOUT, NULL, "controllerd at %s does not answer: %s", v->server, what);
        return err_hint(err, "try a longer --timeout, and look at controllerd's log");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        err_set(err, ERR_UNREACHABLE, NULL, "cannot trust the server at %s: %s", v->server, what);
        return err_hint(err, "give the certificate authority's file with --ca");
    default:
        err_set(err, ERR_UNREACHABLE, NULL, "cannot reach controllerd at %s: %s", v->server, what);
        return err_hint(err, "is controllerd running? --server or POLDER_SERVER says where");
    }
}

/* The server's own error, or one made from the status. */
static bool status_error(long status, const cJSON *json, struct err *err)
{
    enum err_code code = status == 400 ? ERR_INVALID : status == 401 || status == 403 ? ERR_DENIED : status == 404 ? ERR_NOT_FOUND
        : status == 409 || status == 412 ? ERR_CONFLICT : status == 408 || status == 504 ? ERR_TIMEOUT : status == 503 ? ERR_UNREACHABLE : ERR_FAILED;
    if (!json_to_err(json, err)) {
        err_set(err, code, NULL, "the server answered with HTTP status %ld", status);
    }
    return false;
}

static bool finish(long status, struct buf *text, cJSON **answer, struct err *err)
{
    struct err parse = ERR_INIT;
    cJSON *json = text->size ? json_parse(buf_cstr(text), text->size, MAX_ANSWER, &parse) : NULL;
    bool ok = false;
    if (status < 200 || status > 299) {
        status_error(status, json, err);
    } else if (!json && (answer || text->size)) {
        err_set(err, ERR_FAILED, NULL, "the server's answer is no JSON: %.200s", text->size ? parse.message : "it is empty");
        err_hint(err, "is something else than controllerd listening there?");
    } else {
        ok = true;
    }
    if (ok && answer) {
        *answer = json;
    } else {
        cJSON_Delete(json);
    }
    return ok;
}

bool api_call(const struct vpcctl *v, const char *method, const char *path, const cJSON *body, const char *if_match, unsigned timeout_ms, cJSON **answer, struct err *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    struct buf text = BUF_INIT;
    CURL *curl = curl_easy_init();
    bool ok = false;
    long status = 0;
    if (!curl) {
        return err_set(err, ERR_FAILED, NULL, "libcurl cannot start");
    }
    char *body_text = body ? json_text(body, false) : NULL;
    struct curl_slist *headers = headers_of(v, if_match);
    if (set_server(curl, v, path, err)) {
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_PROXY, "");              /* The API is never meant to go through one. */
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) timeout_ms);
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &text);
        if (v->ca) {
            curl_easy_setopt(curl, CURLOPT_CAINFO, v->ca);
        }
        if (body_text) {
            curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) strlen(body_text));
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body_text);
        }
        CURLcode code = curl_easy_perform(curl);
        if (code != CURLE_OK) {
            transport_error(v, curl, code, detail, err);
        } else {
            curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
            ok = finish(status, &text, answer, err);
        }
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    free(body_text);
    buf_fini(&text);
    return ok;
}

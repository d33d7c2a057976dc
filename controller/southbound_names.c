/*
 * Which switch a certificate is good for.
 *
 * All switches' certificates are signed by one authority, so the signature alone would let any host be any switch. A name "dpid:" and a datapath id, as a URI of
 * the certificate's subjectAltName, a DNS name of it, or its subject's CN, says which ones its owner may be; and whose certificate has such a name is no other switch. One
 * that has none may be any, unless openflow.tls.require_datapath_id is set: so a site names its hosts one by one, and then requires it.
 * Without TLS nothing is known of who is there.
 */
#define LOG_MODULE "southbound"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/substrate_impl.h"
#include "lib/log.h"

#define NAME_PREFIX "dpid:"
#define ID_DIGITS 16

struct names { uint64_t datapath_id; bool any, fits; struct buf text; };

/* Who misspells an id has a certificate for no switch. */
static void take_name(const char *name, void *names_)
{
    struct names *names = names_;
    const char *id = name + strlen(NAME_PREFIX);
    if (!strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX))) {
        bool is_id = strlen(id) == ID_DIGITS && strspn(id, "0123456789abcdefABCDEF") == ID_DIGITS;
        names->any = true;
        names->fits |= is_id && strtoull(id, NULL, 16) == names->datapath_id;
        buf_printf(&names->text, "%s%.40s", names->text.size ? ", " : "", name);
    }
}

bool southbound_may_be(const struct sb_conn *sb)
{
    struct substrate *s = sb->substrate;
    struct names names = { .datapath_id = sb->datapath_id, .text = BUF_INIT };
    bool tls = of_conn_peer_names(sb->conn, take_name, &names), required = s->controller->config.of_require_id;
    bool may = !tls || names.fits || (!names.any && !required);

    if (!may && names.any) {
        s->n_others_names++;
        LOG_RATE(LOG_WARN, 10, "%s: refused: it says that it is datapath id %016" PRIx64 ", and its certificate is for %s", of_conn_peer(sb->conn), sb->datapath_id,
                 buf_cstr(&names.text));
    } else if (!may) {
        s->n_no_names++;
        LOG_RATE(LOG_WARN, 10, "%s: refused: it says that it is datapath id %016" PRIx64 ", and its certificate has no name dpid:%016" PRIx64
                 ", which openflow.tls.require_datapath_id asks for", of_conn_peer(sb->conn), sb->datapath_id, sb->datapath_id);
    } else if (tls && !names.any) {
        LOG_RATE(LOG_WARN, 10, "%s: its certificate names no datapath id, so its owner could be any switch: give it the name dpid:%016" PRIx64
                 ", and set openflow.tls.require_datapath_id when all have theirs", of_conn_peer(sb->conn), sb->datapath_id);
    }
    buf_fini(&names.text);
    return may;
}

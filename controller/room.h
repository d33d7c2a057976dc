/*
 * Room in the edges' tables for tenants' entries: shares of it are guaranteed.
 *
 * An edge takes so many rules (edge.flow_entries; 0: it is not known how many), Polder's own among them. Of the others each
 * tenant that has a virtual switch there is guaranteed its quota edge_entries; what nobody is guaranteed is for whoever
 * comes first. So an entry finds room if its tenant is within its guarantee on each edge that it takes, or else if one more
 * fits when every tenant counts with its guarantee or with what it uses, whichever is more. A neighbour can take all of
 * the rest, and nothing of a share.
 *
 * That the guarantees of all fit is looked at when a document asks for more of them, or for a smaller table (tenants/validate_room.c). They may still
 * come not to fit, when Polder's own rules become more: then the edge's status and a warning say so, each tenant goes on up to its guarantee, and what the switch itself refuses
 * goes back to who wrote it. What stands behind a guarantee where the size is not known, nobody can say; a warning tells of that, too.
 *
 * Use is counted as entries come and go, by tenant and edge. The sum of an edge is kept too, and made anew when somebody
 * asks for it after quotas or sizes changed. Which edges a virtual switch is on is a snapshot, so that an entry gives back
 * what it took however its ports move meanwhile; room_vsw_update() makes the next one. Of slices only; Polder's own rules are all
 * that the edge should hold besides. Loop thread only.
 */
#ifndef CONTROLLER_ROOM_H
#define CONTROLLER_ROOM_H 1

#include "controller/vsw.h"

#define ROOM_EVERYWHERE 0u      /* On each edge of the virtual switch; else an edge's index, or */
#define ROOM_NOWHERE UINT32_MAX

/* Where an entry with this match has rules. */
uint32_t room_where(const struct vsw *, const struct minimatch *);
/* Whether an entry more may be there. */
bool room_for(const struct vsw *, uint32_t where);
/* One has come (1) or gone (-1). */
void room_take(struct vsw *, uint32_t where, int n);
/* Its edges are others: those of its network now. All that it took is given back; the caller takes it again. */
void room_vsw_update(struct vsw *);
void room_vsw_fini(struct vsw *);
/* A quota or an edge's size is another. */
void room_changed(struct fabric *);
/* Polder's own rules on the edge, the model's model_own_rules_fn. */
uint32_t room_own_rules(const struct edge *, void *controller);
/* Into an edge's status: "tenant_entries", "guaranteed_entries", "own_entries"; "overcommitted_entries" if what is guaranteed does not fit. */
void room_status_json(const struct fabric *, const struct edge *, cJSON *);
#endif

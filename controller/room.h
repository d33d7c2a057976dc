/*
 * Room in the edges' tables for tenants' entries: shares of it are guaranteed.
 *
 * An edge takes so many rules for tenants' entries (edge.flow_entries; 0: it is not known how many). Of them each tenant
 * that has a virtual switch there is guaranteed its quota edge_entries; what nobody is guaranteed is for whoever comes
 * first. So an entry finds room if its tenant is within its guarantee on each edge that it takes, or else if one more
 * fits when every tenant counts with its guarantee or with what it uses, whichever is more. A neighbour can take all of
 * the rest, and nothing of a share. That the guarantees of all fit is the operator's: if they do not, a warning says so.
 *
 * Use is counted as entries come and go, by tenant and edge. The sum of an edge is kept too, and made anew when somebody
 * asks for it after quotas or sizes changed. Which edges a virtual switch is on is a snapshot, so that an entry gives back
 * what it took however its ports move meanwhile; room_vsw_update() makes the next one. Slices only: what Polder itself
 * writes is not counted. Loop thread only.
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
/* Into an edge's status: "tenant_entries", "guaranteed_entries". */
void room_status_json(const struct fabric *, const struct edge *, cJSON *);
#endif

/* What fabric.c, intern.c and trace.c share. */
#ifndef CONTROLLER_FABRIC_IMPL_H
#define CONTROLLER_FABRIC_IMPL_H 1

#include "controller/controller.h"
#include "controller/fabric.h"
#include "controller/vsw.h"

struct fabric {
    struct controller *controller;
    struct hmap vsws;           /* struct vsw by network id. */
    struct event *work;         /* Compiles what is dirty, once per loop turn. */
    bool work_pending, switches_dirty;
    uint64_t *devices; unsigned n_devices;      /* Datapath ids of edges whose device ports changed. */
    uint64_t *known; unsigned n_known;  /* Datapath ids of the model's edges and fabric switches, as last seen. */
    uint64_t n_compiles, compile_ns;
    struct intern *intern;
};

void fabric_schedule(struct fabric *);
struct vsw *fabric_find_vsw(const struct fabric *, uint32_t network_id);

/* intern.c: provider ids for address pairs that no port registered. */
struct intern *intern_new(struct fabric *);
void intern_free(struct intern *);
void intern_packet_in(struct intern *, struct sw *, struct of_packet_in *);
bool intern_reply(struct intern *, struct sw *, struct of_msg *);
/* Ports moved or left: pairs of senders on edges that are no longer in the network go. */
void intern_network_changed(struct intern *, struct vsw *);
void intern_metrics(struct intern *, struct buf *);
#endif

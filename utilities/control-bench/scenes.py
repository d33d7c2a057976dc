"""The sites that are measured, as documents for `vpcctl apply`.

Every tenant has the same: a slice "lab" with switches s1 to sN, of the same datapath ids, ports, MACs and addresses as every other tenant's.
"""

FABRIC_DPID = 0xfab             # Of control-sim's star.
LISTEN_PORT = 16500
PLENTY = 10000000               # Of what is not to limit a measurement: messages a second.


def edge(i):
    return f"e{i % 1000 + 1}"


class Scene:
    """n_edges simulated edges, and n_tenants with `switches` switches of which each spans `span` edges with `ports` ports on each.

    limited: numbers of tenants that have the usual quotas, and not plenty of everything.
    listening: those whose switches also listen, on LISTEN_PORT and so on.
    vswitchd: the edges are like vswitchd, and not like Open vSwitch.
    """

    def __init__(self, n_tenants=1, n_edges=1, switches=1, span=1, ports=2, flows=300000, wiring="star", first_port=16600, limited=(), listening=(), vswitchd=False):
        self.n_tenants, self.n_edges, self.switches, self.span, self.ports, self.flows = n_tenants, n_edges, switches, span, ports, flows
        self.wiring = "alone" if n_edges == 1 else wiring
        self.first_port, self.limited, self.listening, self.vswitchd = first_port, limited, listening, vswitchd
        self.bound = [0] * n_edges      # Devices of each edge that are taken.

    def substrate(self):
        doc = {"edges": [{"name": edge(i), "datapath_id": f"{i + 1:016x}"} for i in range(self.n_edges)]}
        if self.wiring == "star":
            doc["fabric_switches"] = [{"name": "fabric", "datapath_id": f"{FABRIC_DPID:016x}"}]
        return doc

    def _port(self, number, at):
        self.bound[at] += 1
        return {"name": f"p{number}", "number": number, "edge": edge(at), "ofport_of": f"d{self.bound[at]}",
                "mac": f"52:54:00:00:00:{number:02x}", "ips": [f"10.0.0.{number}"]}

    def _switch(self, tenant, k):
        at = [(tenant * 7 + k * self.span + i * 3) % self.n_edges for i in range(self.span)]
        ports = [self._port(i * self.ports + j + 1, place) for i, place in enumerate(at) for j in range(self.ports)]
        switch = {"name": f"s{k + 1}", "datapath_id": f"{k + 1:016x}", "edges": [edge(place) for place in at], "ports": ports}
        if tenant in self.listening:
            switch["listen"] = [f"ptcp:{LISTEN_PORT + tenant * self.switches + k}:127.0.0.1"]
        if tenant not in self.limited:
            switch["quota"] = {"flows": self.flows, "packet_in_rate": PLENTY, "flow_mod_rate": PLENTY}
        return switch

    def tenants(self):
        names = [f"t{i}" for i in range(self.n_tenants)]
        quota = {"flow_entries": PLENTY, "packet_in_rate": PLENTY, "flow_mod_rate": PLENTY, "connection_rate": 10000}
        return {"tenants": [{"name": name} if i in self.limited else {"name": name, "quota": quota} for i, name in enumerate(names)],
                "slices": [{"name": "lab", "tenant": name, "edges": [edge(i) for i in range(self.n_edges)],
                            "controllers": [f"tcp:127.0.0.1:{self.first_port + i}"],
                            "switches": [self._switch(i, k) for k in range(self.switches)]} for i, name in enumerate(names)]}

    def arguments(self):
        """For control-sim, but for its phases."""
        return ["--edges", str(self.n_edges), "--devices", str(max(self.bound + [2])), "--wiring", self.wiring, "--tenants", str(self.n_tenants),
                "--switches", str(self.switches), "--port", str(self.first_port),
                *(["--vswitchd"] if self.vswitchd else []),
                *[word for tenant in self.listening for word in ("--flood-at", f"tcp:127.0.0.1:{LISTEN_PORT + tenant * self.switches}")]]

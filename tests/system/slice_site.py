"""A site whose tenants have slices: each tenant's endpoints are ports of virtual switches that its own OpenFlow controller programs.

    site = SliceSite(lab, fabric="ovs")
    a = site.endpoint("red", "a", 0, MAC_A, "10.0.0.11")
    b = site.endpoint("red", "b", 1, MAC_B, "10.0.0.12")
    site.start()
    site.ofctl("red", "add-flow", "actions=flood")      # as red's controller would

Every tenant has one big switch over all hosts, "lab/big", unless `switches` says otherwise; its ports are numbered from 1 in the order of the endpoints.  It listens on loopback of the
control host for ovs-ofctl, and with site.learning(tenant) it is also told of a controller: an os-ken learning switch.
"""
import os
import re

from tests.system.site import Site
from utilities.lab.cleanup import LabError

HERE = os.path.dirname(os.path.abspath(__file__))
LISTEN, CONTROLLER = 7001, 6701     # First ports of virtual switches that listen, and of tenants' controllers.
PLENTY = 100000


class SliceSite(Site):
    def __init__(self, *args, switches=None, quota=None, **kwargs):
        """switches: function (site, tenant) -> (list of switches, list of links) as in an apply document, without listeners."""
        super().__init__(*args, **kwargs)
        self._switches, self.quota, self.with_controller = switches or SliceSite.big_switch, quota or {}, set()
        self.listeners = {}         # (tenant, switch) -> port

    # --- The model ---

    def tenants(self):
        return list(dict.fromkeys(e.tenant for e in self.endpoints))

    def controller_port(self, tenant):
        return CONTROLLER + self.tenants().index(tenant)

    def big_switch(self, tenant):
        mine = self.of(tenant)
        return [{"name": "big", "edges": [host.name for host in self.hosts], "ports": [self.switch_port(e, n) for n, e in enumerate(mine, 1)]}], []

    def switch_port(self, endpoint, number):
        endpoint.full_name = f"{endpoint.tenant}/lab/big/{endpoint.name}"
        endpoint.number = number
        return {**endpoint.port(), "number": number}

    def slice(self, tenant):
        switches, links = self._switches(self, tenant)
        for switch in switches:
            port = self.listeners.setdefault((tenant, switch["name"]), LISTEN + len(self.listeners))
            switch["listen"] = [f"ptcp:{port}:127.0.0.1"]
            if self.quota:
                switch["quota"] = self.quota
        controllers = [f"tcp:127.0.0.1:{self.controller_port(tenant)}"] if tenant in self.with_controller else []
        return {"name": "lab", "tenant": tenant, "edges": [host.name for host in self.hosts], "controllers": controllers,
                "switches": switches, "links": links}

    def document(self):
        tenants = self.tenants()
        return {**self.substrate(), "tenants": [{"name": tenant} for tenant in tenants], "slices": [self.slice(tenant) for tenant in tenants]}

    def learning(self, *tenants):
        """Before start(): each of them has an os-ken learning switch for its controller."""
        for tenant in tenants:
            self.with_controller.add(tenant)
            self.ctl.host.spawn(f"osken-{tenant}", ["osken-manager", os.path.join(HERE, "controllers", "learning.py"), "--ofp-listen-host", "127.0.0.1",
                                                    "--ofp-tcp-listen-port", str(self.controller_port(tenant))], env={"LEARNING_VERSION": "1.3"})

    # --- What a tenant's tools and controller see ---

    def ofctl(self, tenant, command, *args, switch="big", check=True, version="OpenFlow13"):
        """ovs-ofctl to a virtual switch; its output, or with check=False its Result."""
        target = f"tcp:127.0.0.1:{self.listeners[tenant, switch]}"
        result = self.ctl.host.run(["ovs-ofctl", "-O", version, command, target, *args], check=check)
        return result.output if check else result

    def flows(self, tenant, switch="big"):
        """{text of the entry without what changes by itself: packets}"""
        found = {}
        for line in self.ofctl(tenant, "dump-flows", switch=switch).splitlines():
            if "actions=" in line:
                packets = int(re.search(r"n_packets=(\d+)", line)[1])
                found[re.sub(r"(duration|n_packets|n_bytes|idle_age|hard_age)=\S+,? ?", "", line).strip()] = packets
        return found

    def refuses(self, tenant, error, *command, switch="big"):
        """The virtual switch answers with this error, by its name in the specification."""
        result = self.ofctl(tenant, *command, switch=switch, check=False)
        if error not in result.output:
            raise LabError(f"{' '.join(command)} is not refused with {error}: {result}")

    # --- What the substrate holds ---

    def physical(self, edge, tenant=None):
        """The rules of an edge (of one tenant's switches), without what changes by itself."""
        ids = self.ids(tenant) if tenant else None
        lines = [re.sub(r"(duration|n_packets|n_bytes)=\S+,? ?", "", line).strip() for line in edge.ofctl("dump-flows").splitlines() if "actions=" in line]
        return sorted(line for line in lines if ids is None or int(re.search(r"cookie=(0x[0-9a-f]+|0)", line)[1], 0) >> 32 in ids)

    def ids(self, tenant):
        return {int(item["status"]["id"]) for item in self.ctl.json("get", "switches")["items"] if item["name"].startswith(tenant + "/")}

    def edge_tools(self):
        """For isolation.check()."""
        return {edge.host.name: edge.ofctl for edge in self.edges}

    def memory_kb(self):
        with open(f"/proc/{self.ctl.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))

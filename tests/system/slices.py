"""Slices for tests: virtual switches over the hosts of a Site, and a tenant's own controller.

    site = SliceSite(lab)
    a = site.endpoint("red", "a", 0, MAC_A, "10.0.0.1")         # a device of the first host
    b = site.endpoint("red", "b", 1, MAC_B, "10.0.0.2")
    site.slice("red", [site.switch("s1", [0], {"a": 1}), site.switch("s2", [1], {"b": 1})], [("l1", "s1/to2", "s2/to1")])
    site.controller("red", "learning", LEARNING_VERSION="1.3")
    site.start()
"""
import json
import os

from tests.system.site import Site

HERE = os.path.dirname(os.path.abspath(__file__))


class SliceSite(Site):
    """A Site whose tenants have a slice each instead of a VPC."""

    def __init__(self, lab, **kwargs):
        super().__init__(lab, **kwargs)
        self.ctl.host.run(["ip", "link", "set", "lo", "up"])
        self.slices, self.ports, self.controllers = {}, {}, {}

    def switch(self, name, hosts, ports, **spec):
        """A virtual switch over these hosts (indices) with the endpoints' ports {name: number}."""
        return {"name": name, "edges": [self.hosts[i].name for i in hosts], "ports": ports, **spec}

    def slice(self, tenant, switches, links=()):
        self.slices[tenant] = (switches, links)

    def _port(self, tenant, name, number):
        e = next(e for e in self.of(tenant) if e.name == name)
        return {"name": name, "number": number, "edge": e.host.name, "ofport_of": e.device, **e.spec}

    def document(self):
        document = {**self.substrate(), "tenants": [{"name": tenant} for tenant in sorted(self.slices)], "slices": []}
        for tenant, (switches, links) in sorted(self.slices.items()):
            document["slices"].append({
                "name": "lab", "tenant": tenant, "controllers": [f"tcp:127.0.0.1:{self.port_of(tenant)}"],
                "switches": [{**s, "ports": [self._port(tenant, name, number) for name, number in s["ports"].items()]} for s in switches],
                "links": [{"name": name, "ends": [a, b]} for name, a, b in links]})
        return document

    def port_of(self, tenant):
        return 6653 + sorted(self.slices).index(tenant)

    def osken(self, tenant, name, *args, **environment):
        """The tenant's controller: an os-ken program of controllers/, or a path."""
        path = name if "/" in name or "." in name else os.path.join(HERE, "controllers", name + ".py")
        self.controllers[tenant] = self.ctl.host.spawn(f"osken-{tenant}", [
            "osken-manager", path, *args, "--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", str(self.port_of(tenant))], env=environment)
        return self.controllers[tenant]

    def switch_status(self, name):
        return json.loads(self.ctl.request("GET", f"/v1/switches/{name}")[2])["status"]

    def wait_controllers(self, tenant, seconds=30):
        """Until every virtual switch of the tenant is connected to its controller."""
        def connected():
            return all(any(c["state"] == "up" for c in self.switch_status(f"{tenant}/lab/{s['name']}")["controllers"]) for s in self.slices[tenant][0])
        self.lab.wait_for(f"{tenant}'s controller", connected, seconds, of=[self.controllers[tenant]])

"""Slices that come and go leave nothing behind."""
import json
import os

from tests.system import isolation
from tests.system.slice_site import SliceSite
from utilities.lab.cleanup import LabError

CYCLES = int(os.environ.get("POLDER_SLICE_CYCLES") or 150)
WARM_UP = 50
MAY_GROW_KB = 512               # Of memory, whatever the number of cycles.


def test_cycles(lab):
    """A slice is made and removed again and again: rules, groups, addresses and memory are as before."""
    site = SliceSite(lab, fabric="ovs")
    for tenant in ("red", "blue"):
        for i, name in enumerate("ab"):
            site.endpoint(tenant, name, i, f"52:54:00:00:00:0{i + 1}", f"10.0.0.{11 + i}")
    site.start()
    red = json.dumps({"slices": [site.slice("red")]})
    blue = [site.physical(edge, "blue") for edge in site.edges]

    def request(method, path, body=None):
        status, _, text = site.ctl.request(method, path, body, {"Content-Type": "application/json"} if body else None)
        if status != 200:
            raise LabError(f"{method} {path}: {status} {text}")

    def everything():
        return [(site.physical(edge), edge.ofctl("dump-groups").split("\n", 1)[1]) for edge in site.edges]
    request("DELETE", "/v1/slices/red/lab")
    site.wait_synced()
    bare = everything()
    assert [site.physical(edge, "blue") for edge in site.edges] == blue
    memory = None
    for n in range(WARM_UP + CYCLES):
        if n == WARM_UP:
            memory = site.memory_kb()
        request("POST", "/v1/apply", red)
        if n % 25 == 0:                 # Now and then with all that it brings: rules, a tenant's entries, groups.
            site.wait_synced()
            isolation.check(site.ctl, site.edge_tools())
            site.ofctl("red", "add-group", "group_id=1,type=all,bucket=output:1,bucket=output:2")
            site.ofctl("red", "add-flow", "actions=group:1")
            assert len(site.flows("red")) == 1
        request("DELETE", "/v1/slices/red/lab")
        done = n + 1 - WARM_UP
        if done > 0 and done % 1000 == 0:
            print(f"     {done} cycles: {site.memory_kb()} KB, {memory} KB after the warm-up", flush=True)
    site.wait_synced()
    grown = site.memory_kb() - memory
    lab.wait_for("the switches to be as before", lambda: everything() == bare, 10)
    assert grown <= MAY_GROW_KB, f"controllerd grew by {grown} KB in {CYCLES} cycles"


test_cycles.seconds = 120 + CYCLES

"""Slices: tenants' own controllers program virtual switches over real edges."""
from tests.system.slices import SliceSite
from utilities.lab.cleanup import LabError

MAC = {name: f"52:54:00:00:00:0{i + 1}" for i, name in enumerate("abcd")}


def make_site(lab, tenants=("red",), **kwargs):
    """a and c on host1, b and d on host2, the same in every tenant."""
    site = SliceSite(lab, **kwargs)
    ends = {}
    for tenant in tenants:
        for i, name in enumerate("abcd"):
            ends[f"{tenant}/{name}"] = site.endpoint(tenant, name, i % 2, MAC[name], f"10.0.0.{i + 1}")
    return site, ends


def configure(site):
    for e in site.endpoints:
        e.configure()
        e.box.run(["ethtool", "-K", "eth0", "tx", "off"], check=False)


def reaches(a, b, tries=4):
    return any(a.box.run(["ping", "-c", "1", "-W", "1", b.ipv4], check=False).rc == 0 for _ in range(tries))


def all_reach(ends):
    for a in ends:
        for b in ends:
            if a is not b and not reaches(a, b):
                flows = "".join(f"{edge.name}\n{edge.ofctl('dump-flows')}" for edge in a.site.edges)
                raise LabError(f"{a} does not reach {b}\n{a.host_story()}{flows}")


def per_edge(site, tenant):
    """A virtual switch on each host, and a virtual link between them."""
    site.slice(tenant, [site.switch("s1", [0], {"a": 1, "c": 2}), site.switch("s2", [1], {"b": 1, "d": 2})], [("l1", "s1/to2", "s2/to1")])


def big(site, tenant):
    site.slice(tenant, [site.switch("s", [0, 1], {"a": 1, "b": 2, "c": 3, "d": 4})])


def learning(lab, shape, version, **kwargs):
    site, ends = make_site(lab, **kwargs)
    shape(site, "red")
    site.start()
    configure(site)
    if reaches(ends["red/a"], ends["red/c"], 1):
        raise LabError("a ping got through before there was a controller")
    site.osken("red", "learning", LEARNING_VERSION=version)
    site.wait_controllers("red")
    all_reach(list(ends.values()))
    return site, ends


def test_switch_per_edge(lab):
    learning(lab, per_edge, "1.3")


def test_big_switch(lab):
    learning(lab, big, "1.3")


def test_big_switch_10(lab):
    learning(lab, big, "1.0")

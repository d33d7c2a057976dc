"""Open vSwitch as every edge, in a Mininet network: a line and a ring of five, tenants with identical hosts, cables that are cut and mended."""
from tests.system import isolation
from tests.system.mininet_site import MininetSite

TENANTS = ("red", "blue", "green")


def cut_and_mend(site, cables, tenants=None):
    for a, b in cables:
        site.set_cable(a, b, False)
        site.check(tenants)
        site.set_cable(a, b, True)
        site.check(tenants)


def test_vpcs_on_a_line(lab):
    site = MininetSite(lab, TENANTS).start()
    site.apply(site.vpcs())
    site.check()
    cut_and_mend(site, [(2, 3)])
    site.stop()


def test_vpcs_on_a_ring(lab):
    site = MininetSite(lab, TENANTS, ring=True).start()
    site.apply(site.vpcs())
    site.check()
    cut_and_mend(site, [(2, 3), (5, 1)])
    site.stop()


def learning(lab, ring, cables, **shapes):
    """Tenants' own controllers: learning switches on switches of their choice."""
    site = MininetSite(lab, TENANTS, ring=ring).start()
    site.apply(site.slices(**shapes))
    site.check(seconds=30)
    isolation.check(site.ctl, site.edge_tools())
    cut_and_mend(site, cables)
    isolation.check(site.ctl, site.edge_tools())
    site.stop()


def test_learning_on_a_line(lab):
    learning(lab, False, [(2, 3)], red="big", blue="chain", green="big")


def test_learning_on_a_ring(lab):
    learning(lab, True, [(2, 3), (5, 1)], red="big", blue="chain", green="big")


test_learning_on_a_line.seconds = test_learning_on_a_ring.seconds = 180

"""Open vSwitch as every edge, in a Mininet network: a line and a ring of five, tenants with identical hosts, cables that are cut and mended."""
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

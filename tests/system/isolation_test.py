"""The isolation oracle finds what it is there for (run by make check)."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.dont_write_bytecode = True

from tests.system import isolation      # noqa: E402

OWNERS = isolation.Owners({1: "red", 2: "blue", 3: "red"}, {2: "red", 3: "blue", 4: "red"})


def flow(cookie, table, match, actions, priority=100):
    return f" cookie={cookie:#x}, duration=0.13s, table={table}, n_packets=0, n_bytes=0, priority={priority},{match} actions={actions}\n"


GOOD = (flow(1, 0, "in_port=1", "goto_table:1")
        + flow(0x100000001, 0, "in_port=2", "load:0x1->NXM_NX_REG0[],load:0x1->NXM_NX_REG1[],goto_table:16")
        + flow(0x200000001, 1, "dl_dst=02:00:01:00:00:02/ff:ff:ff:00:ff:ff", "load:0x2->NXM_NX_REG0[],goto_table:2")
        + flow(0x100000010, 16, "arp,reg0=0x1", "clone(load:0x2->NXM_NX_REG2[],resubmit(,240)),load:0x3->NXM_NX_REG2[],resubmit(,240)")
        + flow(0x100000001, 240, "reg0=0x1,reg2=0x2", "output:2")
        + flow(0x100000001, 240, "reg0=0x1,reg2=0x9", "load:0x3->NXM_NX_REG0[],load:0x1->NXM_NX_REG1[],resubmit(,16)")
        + flow(0x100000001, 240, "reg0=0x1,reg2=0xfffffffb", "group:2147483649")
        + flow(0x100000011, 17, "reg0=0x1", "note:50.4f.4c.00.00.21", 0)
        + " cookie=0x1, duration=0.9s, table=245, n_packets=0, n_bytes=0, priority=100,dl_dst=02:00:02:00:00:00/ff:ff:ff:ff:00:00 actions=output:1\n")
GOOD_GROUPS = " group_id=2147483649,type=all,bucket=actions=load:0x1->NXM_NX_REG2[],resubmit(,240),bucket=actions=output:4\n"
BAD = {
    "another tenant's port": flow(0x100000001, 240, "reg0=0x1,reg2=0x5", "output:3"),
    "no network in the match": flow(0x100000010, 16, "arp", "drop"),
    "a mask": flow(0x100000010, 16, "reg0=0x1/0x1", "drop"),
    "another's network in the match": flow(0x100000010, 16, "reg0=0x2", "drop"),
    "a port of another": flow(0x100000001, 0, "in_port=3", "load:0x1->NXM_NX_REG0[],goto_table:16"),
    "any port": flow(0x100000001, 0, "dl_vlan=3", "load:0x1->NXM_NX_REG0[],goto_table:16"),
    "into another's network": flow(0x100000001, 240, "reg0=0x1,reg2=0x7", "load:0x2->NXM_NX_REG0[],resubmit(,16)"),
    "a tenant writes the register": flow(0x100000010, 16, "reg0=0x1", "move:NXM_OF_ETH_SRC[0..31]->NXM_NX_REG0[],resubmit(,240)"),
    "a tenant loads its own network": flow(0x100000010, 16, "reg0=0x1", "load:0x1->NXM_NX_REG0[],resubmit(,240)"),
    "a tenant jumps": flow(0x100000010, 16, "reg0=0x1", "resubmit(,241)"),
    "a part of the register": flow(0x100000001, 240, "reg0=0x1", "load:0x1->NXM_NX_REG0[0..3],output:2"),
    "nobody's rule in a tenant's table": flow(1, 16, "reg0=0x1", "drop"),
    "nobody's rule to a tenant's port": flow(1, 245, "", "output:3"),
    "a network that is gone": flow(0x900000001, 240, "reg0=0x9", "drop"),
    "a shared group": flow(0x200000001, 240, "reg0=0x2,reg2=0xfffffffb", "group:2147483649"),
    "a group that is gone": flow(0x200000001, 240, "reg0=0x2,reg2=0xfffffffb", "group:7"),
}
BAD_GROUPS = {
    "a bucket to another's port": GOOD_GROUPS.replace("output:4", "output:3"),
    "a bucket into another's network": GOOD_GROUPS.replace("output:4", "load:0x2->NXM_NX_REG0[],resubmit(,16)"),
    "a chain to another's port": GOOD_GROUPS.replace("output:4", "group:5") + " group_id=5,type=indirect,bucket=actions=output:3\n",
}


class Oracle(unittest.TestCase):
    def test_good(self):
        self.assertEqual(isolation.problems(GOOD, GOOD_GROUPS, OWNERS), [])

    def test_bad_rules(self):
        for name, line in BAD.items():
            with self.subTest(name):
                self.assertTrue(isolation.problems(GOOD + line, GOOD_GROUPS, OWNERS))

    def test_bad_groups(self):
        for name, text in BAD_GROUPS.items():
            with self.subTest(name):
                self.assertTrue(isolation.problems(GOOD, text, OWNERS))

    def test_unreadable(self):
        with self.assertRaises(ValueError):
            isolation.problems("gibberish actions=drop\n", "", OWNERS)


if __name__ == "__main__":
    unittest.main()

"""A random program on a slice behaves like the same program on one real Open vSwitch: frame by frame, counter by counter, error by error.

POLDER_DIFF_SEED repeats a run, POLDER_DIFF_PACKETS makes it longer, POLDER_DIFF_PROGRAM=N runs one program of it alone.  tests/system/differential/README.md has the rest.
"""
import os
import random

from utilities.lab.host import say

from .differential.campaign import Campaign
from .differential.edges import nothing_refused
from .differential.ring import RingBench, RingCampaign
from .differential.slices import SliceBench

N_PACKETS = int(os.environ.get("POLDER_DIFF_PACKETS") or 10_000)


def run(bench, make, n_packets, **kwargs):
    """make(bench, seed, n_packets, …): a campaign."""
    seed = int(os.environ.get("POLDER_DIFF_SEED") or random.SystemRandom().getrandbits(32))
    say(f" seed {seed}")
    campaign = make(bench, seed, n_packets, **kwargs)
    if program := os.environ.get("POLDER_DIFF_PROGRAM"):
        campaign.only(int(program))
    else:
        campaign.run()
    nothing_refused(bench.ctl)


def compare(bench, n_packets, **kwargs):
    run(bench, Campaign, n_packets, per_program=250, plain=True, changes=True, **kwargs)


def test_one_edge(lab):
    compare(SliceBench(lab), N_PACKETS)


def test_three_edges(lab):
    """A big switch: packets enter and leave on different hosts."""
    compare(SliceBench(lab, n_edges=3), N_PACKETS // 2, whole=True)


def test_open_vswitch_of_three_edges(lab):
    """One of the three hosts has Open vSwitch."""
    compare(SliceBench(lab, n_edges=3, ovs_edge=1), N_PACKETS // 4, whole=True, rounds=False)


def test_ring(lab):
    """Three virtual switches on one edge, joined to a ring."""
    run(RingBench(lab), RingCampaign, N_PACKETS // 4)


def test_open_vswitch_ring(lab):
    """The same with Open vSwitch as the edge."""
    run(RingBench(lab, ovs_edge=True), RingCampaign, N_PACKETS // 8)


test_one_edge.seconds = test_three_edges.seconds = test_open_vswitch_of_three_edges.seconds = test_ring.seconds = test_open_vswitch_ring.seconds = 240 + N_PACKETS // 100

"""Random programs and packets through vswitchd and Open vSwitch's userspace datapath: the same frames on the same ports, the same packet-ins, the same counters.

POLDER_DIFF_SEED repeats a run, POLDER_DIFF_PACKETS makes it longer, POLDER_DIFF_PROGRAM=N runs one program of it alone.  tests/system/differential/README.md has the rest.
"""
import os
import random

from utilities.lab.host import say

from .differential import special
from .differential.bench import Bench
from .differential.campaign import Campaign

N_PACKETS = int(os.environ.get("POLDER_DIFF_PACKETS") or 100_000)


def test_random_programs(lab):
    seed = int(os.environ.get("POLDER_DIFF_SEED") or random.SystemRandom().getrandbits(32))
    say(f" seed {seed}")
    campaign = Campaign(Bench(lab), seed, N_PACKETS)
    if program := os.environ.get("POLDER_DIFF_PROGRAM"):
        campaign.only(int(program))
    else:
        campaign.run()


def test_received_frames(lab):
    """The same through vswitchd's receive path."""
    seed = int(os.environ.get("POLDER_DIFF_SEED") or random.SystemRandom().getrandbits(32))
    say(f" seed {seed}")
    Campaign(Bench(lab), seed, N_PACKETS // 10, per_program=500).receive()


def test_select_normal_expiry(lab):
    """Select groups of several buckets, OFPP_NORMAL, and how entries end."""
    seed = int(os.environ.get("POLDER_DIFF_SEED") or random.SystemRandom().getrandbits(32))
    say(f" seed {seed}")
    bench = Bench(lab)
    groups, normal, expiry = special.select_groups(bench, seed), special.normal(bench, seed), special.expiry(bench, seed)
    say(f"     {groups} packets through select groups, {normal} through OFPP_NORMAL, {expiry} through entries that time out: the same")


test_received_frames.seconds = 240 + N_PACKETS // 400
test_random_programs.seconds = 240 + N_PACKETS // 400

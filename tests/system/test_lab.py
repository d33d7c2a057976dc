"""The lab by itself: what the other tests believe of it (utilities/lab/selftest.py)."""
import sys

from utilities.lab.image import TOP


def selftest(lab, name, seconds):
    done = lab.execute([sys.executable, "-m", "utilities.lab.selftest", name], timeout=seconds, check=False,
                       env={"PYTHONPATH": TOP, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.rc == 0, done.output


def test_proof(lab):
    selftest(lab, "proof", 30)


def test_guests(lab):
    """Two guests on Open vSwitch with DPDK; the command channel under what loses a line."""
    selftest(lab, "guests", 150)


test_guests.seconds = 180


def test_cleanup(lab):
    selftest(lab, "cleanup", 170)


test_cleanup.seconds = 200

"""A guest's virtqueues from the guest's side: every kind of ring and buffer, with rte_vhost as the twin (vswitch/vhost_twin.c); changes under traffic; who is woken, and when.

POLDER_VHOST_SEED repeats a run; POLDER_VHOST_SCALE (default 1) makes it longer.
"""
import os
import random
import struct
import time

from tests.system import vhost_frontend as v
from tests.system import vhost_random as chance
from tests.system.vhost_driver import Driver, Pair
from tests.system.test_vswitch import patch, vhost
from utilities.lab.daemons import Vswitchd, program

SCALE = float(os.environ.get("POLDER_VHOST_SCALE", "1"))
SEED = int(os.environ.get("POLDER_VHOST_SEED", "0")) or random.randrange(1, 1 << 32)
FEATURES = (v.MRG_RXBUF, v.VERSION_1, v.EVENT_IDX, v.INDIRECT_DESC, v.IN_ORDER)
SIZES = (2, 4, 8, 16, 32, 64, 128, 256, 256, 512, 1024)


def seeded():
    print(f" (seed {SEED}) ", end="", flush=True)
    return random.Random(SEED)


def switch(lab, n_pairs, **more):
    """vswitchd with pairs of ports that are patched to each other, and the sockets of the pairs."""
    host = lab.host("host1")
    names = [f"g{i + 1}" for i in range(2 * n_pairs)]
    sw = Vswitchd(host, 1, ports=[vhost(host, name, i + 1, role="server", mtu=9216) for i, name in enumerate(names)], **more)
    for i in range(n_pairs):
        patch(sw, 2 * i + 1, 2 * i + 2)
    paths = [host.path(name + ".sock") for name in names]
    return sw, list(zip(paths[::2], paths[1::2]))


def twin_switch(lab, n_pairs):
    """The sockets of pairs of ports that rte_vhost alone connects."""
    host = lab.host("twin")
    paths = [host.path(f"t{i + 1}.sock") for i in range(2 * n_pairs)]
    process = host.spawn("vhost_twin", [program("vhost_twin"), f"{host.namespace}-twin", *paths])
    lab.wait_for("the twin", lambda: all(os.path.exists(path) for path in paths), of=[process])
    return list(zip(paths[::2], paths[1::2]))


def sane(sw):
    assert sw.process.alive(), sw.process.log_tail()
    assert sw.stop() == 0, sw.process.log_tail()


# --- The same by vswitchd and by rte_vhost alone ---

class Clock:
    """A pair of ports: a frame that came through has seen the poll-mode thread pass by all rings."""

    def __init__(self, paths):
        self.memory = [v.Memory(), v.Memory()]
        self.send, self.receive = [v.Frontend(path, memory, 1 << v.VERSION_1, (16, 16)) for path, memory in zip(paths, self.memory)]
        self.send.start()
        self.receive.start()
        self.memory[0].write(v.BUFFERS + 12, chance.DST + chance.SRC + b"\x88\xb5")
        self.send.tx.describe(0, v.BUFFERS, 72)
        self.receive.rx.describe(0, v.BUFFERS, 2048, v.WRITE)

    def tick(self):
        self.receive.rx.offer(0)
        self.send.tx.offer(0)
        self.send.tx.kick()
        v.until("a frame of the clock", lambda: not self.receive.rx.pending)


class Side:
    """Guest 1 and guest 2 on a pair of ports."""

    def __init__(self, paths, clock):
        self.paths, self.clock, self.memory, self.guests = paths, clock, [v.Memory(), v.Memory()], []
        self.pattern = random.Random(1).randbytes(0x200000)

    def connect(self, features, sizes, bases, log):
        for guest in self.guests:
            guest.stop()                        # Else it would go on in memory that is written anew.
            guest.close()
        self.guests = [v.Frontend(path, memory, features, size, base, log) for path, memory, size, base in zip(self.paths, self.memory, sizes, bases)]
        for guest in self.guests:
            guest.start()
        self.tx, self.rx = self.guests[0].tx, self.guests[1].rx
        for region in self.memory[1].regions[1:]:
            region.map[:] = self.pattern

    def state(self):
        return self.tx.used_index, self.rx.used_index


class Twins:
    def __init__(self, lab):
        self.sw, pairs = switch(lab, 2)
        twins = twin_switch(lab, 2)
        self.ours, self.twin = Side(pairs[0], Clock(pairs[1])), Side(twins[0], Clock(twins[1]))
        self.sides = self.ours, self.twin

    def scenario(self, r):
        self.features = sum(1 << bit for bit in FEATURES if r.random() < 0.5)
        self.header = 12 if self.features & (1 << v.MRG_RXBUF | 1 << v.VERSION_1) else 10
        self.sending = r.random() < 0.5         # Guest 1 is the strange one; else guest 2.
        sizes = [(16, r.choice(SIZES) if self.sending else 64), (128 if self.sending else r.choice(SIZES), 16)]
        bases = [tuple(r.choice([0, 65535, 65536 - size // 2, r.randrange(65536)]) for size in pair) for pair in sizes]
        log = r.random() < 0.3
        self.about = f"features {self.features:#x}, sizes {sizes}, bases {bases}, {'sending' if self.sending else 'receiving'}{', logged' if log else ''}"
        for side in self.sides:
            side.connect(self.features, sizes, bases, log and side is self.ours)
            if self.sending:
                chance.Large(side.rx)
        for self.number in range(r.randrange(8, 25)):
            if not (self.send if self.sending else self.receive)(r):
                break

    def send(self, r):
        """One store of an index by guest 1.  False: its ring stands still, and so it shall."""
        out = chance.sends(r, self.ours.tx, self.header, r.choice([1, 2, 5, 32, 33, 64]))
        self.go(r, out, None)
        used = [side.rx.taken() for side in self.sides]
        frames = [chance.Large.frames(side.memory[1], u, self.header) for side, u in zip(self.sides, used)]
        self.same("receive ring", *used)
        self.same("frames", *([frame[self.header:] for frame in some] for some in frames))
        came = iter([frame[self.header:] for frame in frames[0]])
        assert all(frame in came for frame in out.good), f"{self}: frames did not come, or not in their order"
        for frame in frames[0]:
            assert frame[:self.header] == bytes(10) + b"\1\0"[:self.header - 10], f"{self}: header {frame[:self.header].hex()}"
        for side in self.sides:
            side.rx.offer(*(head for head, _ in used[0]))
        return not out.stuck

    def receive(self, r):
        """Guest 2 makes buffers available, and guest 1 sends a burst that does not depend on who takes it."""
        n, size = r.choice([(1, r.choice(chance.FRAMES)), (8, None), (32, 60)])
        sizes = [size] if size else [s for s in chance.FRAMES if s <= chance.ROOM]
        into = chance.receives(r, self.ours.rx, self.header, r.choice([0, 1, 3, 8, 40]), sizes)
        for again in range(3):
            out = chance.sends_plain(r, self.ours.tx, self.header, n, size)
            self.go(r, out, None if again else into)
            self.check_headers(into)
            self.used = [side.rx.taken() for side in self.sides]
            self.same("receive ring", *self.used)
            for ours, twin in zip(*(side.memory[1].regions[1:] for side in self.sides)):
                if ours.map[:] != twin.map[:]:
                    at = [i for i, (a, b) in enumerate(zip(ours.map[:], twin.map[:])) if a != b]
                    raise AssertionError(f"{self}: memory differs at {ours.at + at[0]:#x} to {ours.at + at[-1]:#x}, buffers {into.descs}, "
                                         f"used {self.used}, frames {[len(frame) for frame in out.good]}")
            if not self.ours.rx.pending or into.stuck:
                break
        if self.ours.rx.pending and not into.stuck:
            self.restart()
        return not into.stuck

    def go(self, r, out, into):
        asked = self.ask(r)
        for side in self.sides:
            if into:
                into.apply(side.memory[1], side.rx)
            out.apply(side.memory[0], side.tx)
        same = 0
        while same < (3 if not self.ours.tx.pending and not self.twin.tx.pending else 12):
            before = [side.state() for side in self.sides]
            for side in self.sides:
                side.clock.tick()
            same = same + 1 if before == [side.state() for side in self.sides] else 0
        self.same("state", *(side.state() for side in self.sides))
        self.same("send ring", *(side.tx.taken() for side in self.sides))
        assert out.stuck or not self.ours.tx.pending, f"{self}: {self.ours.tx.pending} are left"
        self.check_calls(asked)

    def ask(self, r):
        """When each ring's guest wants to be called: (index of the used ring, what was asked)."""
        asked = []
        for ring in ("tx", "rx"):
            index, now = r.randrange(-2, 40), r.random() < 0.5
            for side in self.sides:
                it = getattr(side, ring)
                it.calls()
                it.ask_at(it.used_index + index) if it.event_idx else it.no_interrupt(not now)
            asked.append((ring, self.ours.state()[ring == "rx"], index if it.event_idx else now))
        return asked

    def check_calls(self, asked):
        """Sections 2.6.7.2 and 2.6.8.2.  How often is a matter of bursts.  Of those who ask by an index some are called besides (vhost_random.py)."""
        for name, old, what in asked:
            ring = getattr(self.ours, name)
            moved = (ring.used_index - old) & 0xffff
            wanted = 0 <= what < moved if ring.event_idx else bool(what and moved)
            calls = [getattr(side, name).calls() for side in self.sides]
            assert bool(calls[0]) == wanted or ring.event_idx and not wanted, f"{self}: {name} moved by {moved}, {what} was asked for, {calls[0]} calls"
            assert calls[1] or not wanted, f"{self}: the twin did not call"
            self.n_unasked += calls[0] and not wanted
            self.n_unwanted += moved and not wanted

    def check_headers(self, into):
        """num_buffers where only one of the two writes it; then it is the same in both memories."""
        if self.features >> v.MRG_RXBUF & 1 or not self.features >> v.VERSION_1 & 1:
            return
        ring = self.ours.rx
        for i in range((ring.used_index - ring.seen) & 0xffff):
            head = int.from_bytes(ring.map[(to := ring.used + 4 + 8 * ((ring.seen + i) % ring.size)):to + 4], "little")
            for at, byte in zip(into.bytes_of(head, 10, 2), b"\1\0"):
                ours, twin = (side.memory[1].read(at, 1)[0] for side in self.sides)
                assert ours == byte, f"{self}: num_buffers"
                self.n_headers += ours != twin
                self.twin.memory[1].write(at, bytes([ours]))

    def restart(self):
        """Both guests' drivers stop their rings, whatever is in them, and begin anew where they were."""
        bases = []
        for side in self.sides:
            for guest in side.guests:
                bases += guest.stop()
                for ring, base in zip(guest.rings, bases[-2:]):
                    ring.reset(base)
                    guest.start_ring(ring)
                guest.message(v.GET_FEATURES)
        self.same("bases", bases[:4], bases[4:])

    n_headers = n_unasked = n_unwanted = 0

    def same(self, what, ours, twin):
        assert ours == twin, f"{self}: {what}: {short(ours)} and, by the library, {short(twin)}"

    def __str__(self):
        return f"{self.about}, step {self.number}"


def short(what):
    return str([x if not isinstance(x, bytes) else f"{len(x)} bytes" for x in what])[:2000] if isinstance(what, (list, tuple)) else f"{len(what)} bytes"


def test_rings_as_the_library_serves_them(lab):
    r, twins = seeded(), Twins(lab)
    for _ in range(int(60 * SCALE)):
        twins.scenario(random.Random(r.getrandbits(32)))
    assert twins.n_headers > 0, "both were served by the same"
    assert 5 * twins.n_unasked < twins.n_unwanted, f"{twins.n_unasked} calls that nobody asked for, of {twins.n_unwanted}"
    sane(twins.sw)


# --- Changes while frames are under way ---

def test_changes_under_traffic(lab):
    """Memory moves, descriptors are exchanged, writes are logged, machines announce themselves: nothing is lost, and nothing doubled."""
    r = seeded()
    sw, (paths,) = switch(lab, 1)
    pair, pages, announced = Pair(paths, r.choice([0, 1 << v.EVENT_IDX])), 0, {guest: [] for guest in (0, 1)}
    for _ in range(int(400 * SCALE)):
        guest = r.randrange(2)
        driver = pair.guests[guest]
        pair.pump()
        what = r.choice(["table", "table", "eventfds", "log", "announce", "announce"])
        if what == "table":
            driver.new_table(r)
        elif what == "eventfds":
            driver.new_eventfds(r)
        elif what == "log":
            pages += driver.log(lambda: [pair.pump() for _ in range(3)])
        else:
            announced[guest].append(r.randbytes(6))
            driver.front.announce(announced[guest][-1])
            v.until("the announcement", lambda: (pair.pump(), pair.guests[1 - guest].announced == announced[guest])[1])
    pair.arrived(pair.a, pair.b)
    pair.arrived(pair.b, pair.a)
    assert pages > 0, "nothing was logged"
    pair.close()
    sane(sw)


def test_announcements(lab):
    """A machine that has come announces itself: whether the ring is busy, or idle, or the announcement still under way."""
    r = seeded()
    sw, (paths,) = switch(lab, 1)
    pair, macs = Pair(paths), []
    for _ in range(int(500 * SCALE)):
        for _ in range(r.randrange(3)):
            pair.pump(r.choice([1, 8, 64]))
        macs.append(r.randbytes(6))
        pair.a.front.announce(macs[-1])
        v.until("the announcement", lambda: (pair.b.receive(), pair.b.announced == macs)[1])
    pair.arrived(pair.a, pair.b)
    pair.close()
    sane(sw)


def test_rings_that_stop(lab):
    """A guest's rings stop, its connection ends: it goes on where it was.  Nothing that it sends is lost or doubled, and nothing that it is sent is doubled."""
    r = seeded()
    sw, (paths,) = switch(lab, 1)
    pair = Pair(paths, r.choice([0, 1 << v.EVENT_IDX]))
    for _ in range(int(300 * SCALE)):
        pair.pump()
        r.choice([pair.a.restart, pair.a.reconnect, pair.a.disable, pair.a.disable])(r)
        pair.pump()
    pair.arrived(pair.a, pair.b)
    pair.close()
    sane(sw)


# --- Who is woken ---

def ping_pong(pair, n):
    """One frame at a time; each guest sleeps until it is called."""
    for guest in pair.guests:
        guest.rx.calls()
    for i in range(n):
        for sender, receiver in ((pair.a, pair.b), (pair.b, pair.a)):
            sender.send(1)
            while receiver.last != sender.next - 1:
                assert receiver.rx.sleep(v.SECONDS), f"frame {i}: nobody was woken"
                receiver.receive()


def test_wake_ups(lab):
    sw, (paths,) = switch(lab, 1)
    for features in (0, 1 << v.EVENT_IDX):
        pair = Pair(paths, features)
        begun = time.monotonic()
        ping_pong(pair, int(5000 * SCALE))
        print(f" {int(5000 * SCALE) / (time.monotonic() - begun):.0f} round trips/s ", end="", flush=True)
        for guest in pair.guests:
            guest.rx.no_interrupt(True)
            guest.tx.no_interrupt(True)
            for ring in guest.front.rings:
                ring.ask_at(ring.used_index - 1)
                ring.calls()
        for _ in range(20):
            pair.pump(32)
        pair.arrived(pair.a, pair.b)
        pair.arrived(pair.b, pair.a)
        assert not [ring.calls() for guest in pair.guests for ring in guest.front.rings if ring.calls()], "a guest was called that does not want that"
        pair.close()
    sane(sw)


def test_new_kick_descriptors(lab):
    """A switch that sleeps is woken by the descriptor that it was told of last, not only by its own time-out."""
    sw, (paths,) = switch(lab, 1)
    pair = Pair(paths)

    def trip():
        time.sleep(0.001)                       # Long enough for the switch to sleep.
        begun = time.monotonic()
        pair.a.send(1)
        v.until("a frame", pair.b.receive)
        return time.monotonic() - begun

    def trips():
        return sorted(trip() for _ in range(31))[15]
    old = trips()
    pair.a.new_eventfds(random.Random(1))
    new = trips()
    assert new < 3 * old + 0.002, f"{new * 1000:.2f} ms, with the first descriptors {old * 1000:.2f}"
    pair.close()
    sane(sw)


def test_wake_up_after_a_long_time(lab):
    """A guest that looked at its ring without sleeping for exactly 2^16 frames, and a few less and more, is called when it sleeps: indices wrap, and seem not to have moved."""
    sw, (paths,) = switch(lab, 1)
    pair = Pair(paths, 1 << v.EVENT_IDX)
    a, b = pair.guests
    for distance in (0, 31, 65535):
        b.rx.ask_at(b.rx.seen)
        a.send(1)
        v.until("a frame", b.receive)
        v.until("a call", b.rx.calls)
        first, target = b.rx.seen, 65536 + distance - 32
        while target:
            b.rx.ask_at(b.rx.seen - 1)          # Long ago.
            n = a.send(min(target, 256))
            target -= n
            v.until("the frames", lambda: (b.receive(), b.last == a.next - 1)[1])
        assert (b.rx.seen - first) & 0xffff == (distance - 32) & 0xffff
        b.rx.calls()
        b.rx.ask_at(b.rx.seen)
        a.send(32)
        v.until("a call", b.rx.calls, 2)
        v.until("the frames", lambda: (b.receive(), b.last == a.next - 1)[1])
    pair.close()
    sane(sw)


def test_a_ring_that_stops_alone(lab):
    """One of a pair's rings stops, and goes on; the other one was never stopped, and is served as before."""
    r = seeded()
    sw, (paths,) = switch(lab, 1)
    pair = Pair(paths)
    for _ in range(int(100 * SCALE)):
        pair.pump()
        front = r.choice(pair.guests).front
        ring = r.choice(front.rings)
        front.start_ring(ring, front.stop_ring(ring))
        front.message(v.GET_FEATURES)
        for guest in pair.guests:               # What was sent while the rings did not run is lost; from here on nothing is.
            guest.send()
        v.until("both rings to be served", lambda: [guest.receive() for guest in pair.guests] and not any(guest.tx.pending for guest in pair.guests))
    for guest, peer in ((pair.a, pair.b), (pair.b, pair.a)):
        guest.send(1)
        v.until("the last frame", lambda: (peer.receive(), peer.last == guest.next - 1)[1])
    pair.close()
    sane(sw)


def test_a_second_front_end(lab):
    """One that connects to a socket where a guest is running has no say in that guest's rings, and takes its turn when the guest is gone."""
    sw, (paths,) = switch(lab, 1)
    pair, memory = Pair(paths), v.Memory()
    pair.pump()
    second = v.Frontend(paths[1], memory, pair.b.features, (64, 64))
    second.start()
    pair.pump()
    for ring in second.rings:
        second.enable(ring, False)
    for _ in range(20):
        pair.pump()
    pair.arrived(pair.a, pair.b)
    pair.arrived(pair.b, pair.a)
    pair.b.front.close()
    second.enable(second.rx)
    second.enable(second.tx)
    second.message(v.GET_FEATURES)
    second.rx.describe(0, v.BUFFERS, 2048, v.WRITE)
    second.rx.offer(0)

    def arrives():
        second.message(v.GET_FEATURES)          # The library looks at each message whether it may run now.
        pair.a.send(1)
        return second.rx.taken()
    v.until("a frame for the second", arrives)
    second.close()
    memory.close()
    pair.a.close()
    sane(sw)


# --- What no driver does ---

def hostile(lab):
    """A switch, the sockets of two guests, the first guest with one frame of 2,000 bytes in its descriptor 0, the second one, and both memories."""
    sw, (paths,) = switch(lab, 1)
    memory = [v.Memory(), v.Memory()]
    a, b = [v.Frontend(path, m, 1 << v.VERSION_1 | 1 << v.MRG_RXBUF, (64, 64)) for path, m in zip(paths, memory)]
    for guest in (a, b):
        guest.start()
    memory[0].write(v.BUFFERS, bytes(12) + chance.frame(random.Random(1), 2000))
    a.tx.describe(0, v.BUFFERS, 2012)
    return sw, paths, a, b, memory


def send_one(a):
    a.tx.offer(0)
    a.tx.kick()
    v.until("the switch to take the frame", lambda: not a.tx.pending)
    a.tx.taken()


def test_header_in_pieces(lab):
    """A receive chain whose header lies in three pieces or more, the second of them at the very end of a region: rte_vhost writes the frame behind it."""
    sw, _, a, b, memory = hostile(lab)
    end = v.ALONE + v.SIZES[v.ALONE]
    frame = memory[0].read(v.BUFFERS + 12, 2000)
    for number, pieces in enumerate([[1, 1], [1, 10], [4, 4, 3], [1] * 11, [1] * 30]):
        memory[1].write(v.BUFFERS, bytes(0x20000))
        places = [(v.BUFFERS + 0x1000 * i, size) for i, size in enumerate(pieces)] + [(v.BUFFERS + 0x10000 + 0x1000 * len(pieces), 9000)]
        if number % 2:
            places[1] = (end - pieces[1], pieces[1])
        for i, (at, size) in enumerate(places):
            last = i + 1 == len(places)
            b.rx.describe(i, at, size, v.WRITE | (0 if last else v.NEXT), 0 if last else i + 1)
        b.rx.offer(0)
        send_one(a)
        v.until("the frame", lambda: not b.rx.pending)
        assert b.rx.taken() == [(0, 2012)]
        got = b"".join(memory[1].read(at, size) for at, size in places)[:2012]
        assert got == bytes(10) + b"\1\0" + frame
        for at, size in places[:-1]:
            beside = memory[1].read(at + size, min(4000, end - at - size) if at >= v.ALONE else 4000 - size)
            assert not any(beside), f"bytes behind a piece of {size}"
    sane(sw)


def test_buffers_for_the_other_direction(lab):
    """Section 2.6.5.1: a device must not write to a buffer that is to be read, and should not read one that is to be written to.  The ring stands still."""
    sw, paths, a, b, memory = hostile(lab)
    b.rx.describe(0, v.BUFFERS, 4096)
    b.rx.describe(1, v.BUFFERS, 12, v.WRITE | v.NEXT, 0)
    b.rx.offer(0, 1)
    send_one(a)
    time.sleep(0.05)
    assert b.rx.pending == 2 and not any(memory[1].read(v.BUFFERS, 4096))
    a.tx.describe(1, v.BUFFERS, 2012, v.WRITE)
    a.tx.offer(1)
    a.tx.kick()
    time.sleep(0.05)
    assert a.tx.pending == 1
    for guest in (a, b):
        guest.stop()
        guest.close()
    pair = Pair(paths)
    pair.pump()
    pair.arrived(pair.a, pair.b)
    pair.close()
    sane(sw)


def test_descriptors_that_change(lab):
    """A guest that writes to its descriptors and tables while they are read: the switch goes on, and so do other guests."""
    r = seeded()
    sw, paths, a, b, memory = hostile(lab)
    end = v.ALONE + v.SIZES[v.ALONE]
    deadline = time.monotonic() + 3 * SCALE
    while time.monotonic() < deadline:
        for ring, flag in ((a.tx, 0), (b.rx, v.WRITE)):
            for table in (v.ALONE, end - 32):
                memory[ring is b.rx].write(table, struct.pack("<QIHHQIHH", v.BUFFERS, 6, flag | v.NEXT, 1, v.BUFFERS + 64, 2000, flag, 0))
            ring.place(*range(64))
            ring.publish(r.randrange(1, 64))
            ring.kick()
            for _ in range(200):
                at = r.choice([v.BUFFERS, v.SECOND - 1, v.ALONE, end - 32, end - 1, v.OUTSIDE, (1 << 64) - 1])
                ring.describe(r.randrange(64), at, r.choice([0, 1, 11, 32, 64, 1024, 2012, (1 << 32) - 1]),
                              r.choice([flag, flag | v.NEXT, v.INDIRECT, v.INDIRECT | v.NEXT, r.randrange(8)]), r.randrange(66))
            assert sw.process.alive(), sw.process.log_tail()
    for guest in (a, b):
        guest.stop()
        guest.close()
    pair = Pair(paths)
    for _ in range(20):
        pair.pump()
    pair.arrived(pair.a, pair.b)
    pair.close()
    sane(sw)


def test_packed_rings_are_not_offered(lab):
    sw, (paths,) = switch(lab, 1)
    guest = v.Frontend(paths[0], v.Memory(), 1 << v.VERSION_1, (64, 64))
    assert not guest.offered >> v.RING_PACKED & 1 and not guest.offered >> v.ACCESS_PLATFORM & 1 and guest.offered >> v.IN_ORDER & 1
    guest.close()
    sane(sw)


def test_index_out_of_the_ring(lab):
    """A guest claims to have made more available than its ring holds: it spoils its own ring, and nothing else.

    rte_vhost writes down what it gives back in an array as large as the ring, and does not look where that ends."""
    r = seeded()
    sw, (paths,) = switch(lab, 1)
    for size in (2, 4, 16, 256):
        memory = [v.Memory(), v.Memory()]
        features = 1 << v.VERSION_1 | 1 << v.MRG_RXBUF | (1 << v.EVENT_IDX if r.random() < 0.5 else 0)
        a, b = [v.Frontend(path, m, features, (size, size)) for path, m in zip(paths, memory)]
        for guest in (a, b):
            guest.start()
        memory[0].write(v.BUFFERS, bytes(12) + chance.frame(r, 2000))
        for i in range(size):                   # Chains: not plain.
            a.tx.describe(i, v.BUFFERS, 12, v.NEXT, (i + 1) % size)
            b.rx.describe(i, v.ALONE, 12, v.WRITE)                              # So small that a frame takes many.
        a.tx.describe(size - 1, v.BUFFERS, 12 + 2000)
        a.tx.place(*[0] * size)
        b.rx.place(*range(size))
        for _ in range(20):
            for ring in (b.rx, a.tx):
                ring.publish(r.choice([size + 1, 3 * size + 40, 32767]))
                ring.kick()
            time.sleep(0.002)
        for guest in (a, b):
            guest.stop()
            guest.close()
        for m in memory:
            m.close()
    pair = Pair(paths)                          # The switch is well, and so are other guests.
    for _ in range(20):
        pair.pump()
    pair.arrived(pair.a, pair.b)
    pair.close()
    sane(sw)

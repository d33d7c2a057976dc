"""A guest that sends and receives numbered frames as fast as it can, and sees what is lost, doubled, out of order or spoilt."""
import os
import struct

from tests.system import vhost_frontend as v
from tests.system.vhost_random import DST, SRC

TX, RX = 256, 1024                      # Ring sizes: what a guest sends between two looks of its peer always finds room.
SLOT = 1536
RARP = b"\x80\x35"


def numbered(number, header=12):
    size = 60 + number * 37 % 1400
    return bytes(header) + (DST + SRC + b"\x88\xb5" + struct.pack(">I", number) * 400)[:size]


class Driver:
    """One guest; its receive buffers are in a region where nobody else writes."""

    def __init__(self, path, features=0):
        self.path, self.memory, self.features = path, v.Memory(), features | 1 << v.VERSION_1 | 1 << v.MRG_RXBUF
        self.connect()
        for i in range(RX):
            self.rx.describe(i, v.ALONE + i * SLOT, SLOT, v.WRITE)
        self.rx.offer(*range(RX))
        self.free, self.next = list(range(TX)), 1
        self.last, self.lost, self.announced = 0, 0, []
        self.front.start()

    def connect(self):
        self.front = v.Frontend(self.path, self.memory, self.features, (RX, TX))
        self.rx, self.tx = self.front.rings

    def close(self):
        self.front.close()
        self.memory.close()

    # --- Traffic ---

    def send(self, n=TX):
        self.free += [head for head, _ in self.tx.taken()]
        heads, self.free = self.free[:n], self.free[n:]
        for head in heads:
            frame = numbered(self.next)
            at = v.BUFFERS + head * SLOT
            self.memory.write(at, frame)
            self.tx.describe(head, at, len(frame))
            self.next += 1
        if heads:
            self.tx.offer(*heads)
            self.tx.kick(always=False)
        return len(heads)

    def receive(self):
        """The number of frames that came."""
        used = self.rx.taken()
        for head, size in used:
            frame = self.memory.read(v.ALONE + head * SLOT, size)
            if frame[24:26] == RARP:
                self.announced.append(frame[18:24])
                continue
            number, = struct.unpack_from(">I", frame, 26)
            assert frame[12:] == numbered(number)[12:] and frame[:12] == bytes(10) + b"\1\0", f"frame {number} is spoilt: {frame.hex()}"
            assert number > self.last, f"frame {number} came after {self.last}: doubled, or out of order"
            self.lost += number - self.last - 1
            self.last = number
        if used:
            self.rx.offer(*(head for head, _ in used))
        return len(used)

    # --- Changes ---

    def new_table(self, r):
        """The same memory elsewhere in the switch's address space; where it was is nothing, or something else."""
        regions = self.memory.regions
        if len(regions) > len(v.SIZES):
            regions.remove(next(x for x in regions if x.at == v.OUTSIDE))
        else:
            regions.append(v.Region(v.OUTSIDE, r.randrange(1, 512) * v.PAGE))
        r.shuffle(regions)
        self.front.set_memory()

    def new_eventfds(self, r):
        for ring in r.sample(self.front.rings, 2):
            for what in r.sample(("kick", "call"), 2):
                old = getattr(ring, what + "_fd")
                setattr(ring, what + "_fd", ring.eventfd())
                (self.front.set_kick if what == "kick" else self.front.set_call)(ring)
                os.close(old)

    def restart(self, r):
        """Both rings stop and go on where they were, entries and all."""
        rings = r.sample(self.front.rings, 2)
        bases = [self.front.stop_ring(ring) for ring in rings]
        assert bases == [ring.used_index for ring in rings], "what the device took is not what it gave back"
        for ring, base in zip(rings, bases):
            self.front.start_ring(ring, base)
        self.front.message(v.GET_FEATURES)

    def reconnect(self, _):
        """As a front end does whose peer is gone: from the last entry that was given back."""
        self.front.socket.close()
        old = self.front.rings
        self.front.rings = []
        self.front.close()
        self.front = v.Frontend(self.path, self.memory, self.features, (RX, TX), rings=old)
        for ring in old:
            ring.calls()
        self.front.start([ring.used_index for ring in old])

    def disable(self, r):
        """The ring is left alone from the moment that the switch has said so."""
        ring = r.choice(self.front.rings)
        self.front.enable(ring, False)
        index = ring.used_index
        for _ in range(r.randrange(200)):
            os.sched_yield()
        assert ring.used_index == index, "a ring was served that is not enabled"
        self.front.enable(ring)
        self.front.message(v.GET_FEATURES)

    def log(self, busy):
        """As for a migration that is given up: what the device writes while `busy` runs is in the log.  The number of pages that it wrote to.

        Not so when it says whether it wants to be kicked: rte_vhost does that beside the log (rte_vhost_enable_guest_notification())."""
        front = self.front
        front.set_log()
        front.set_features()
        for ring in front.rings:
            front.set_address(ring)
        places = [(v.ALONE, v.SIZES[v.ALONE])] + [(ring.used + 2, 2 + 8 * ring.size) for ring in front.rings]
        before = [self.memory.read(*place) for place in places]
        busy()
        after = [self.memory.read(*place) for place in places]
        front.set_features()            # A burst that was under way is over, and logged, when this is done.
        n = 0
        for (at, size), old, new in zip(places, before, after):
            for page in range(at // v.PAGE * v.PAGE, at + size, v.PAGE):
                piece = slice(max(page - at, 0), page + v.PAGE - at)
                if new[piece] != old[piece]:
                    assert front.is_dirty(page), f"the page at {page:#x} was written to and is not in the log"
                    n += 1
        front.features &= ~(1 << v.LOG_ALL)
        front.set_features()
        for ring in front.rings:
            front.set_address(ring)
        return n


class Pair:
    """Two guests that send to each other."""

    def __init__(self, paths, features=0):
        self.guests = self.a, self.b = [Driver(path, features) for path in paths]

    def pump(self, n=TX):
        for guest in self.guests:
            guest.send(n)
        return sum(guest.receive() for guest in self.guests)

    def arrived(self, sender, receiver):
        """All that was sent has come."""
        def done():
            self.a.receive()
            self.b.receive()
            return receiver.last == sender.next - 1
        v.until(f"frame {sender.next - 1} to come", done)
        assert not receiver.lost, f"{receiver.lost} frames were lost"

    def close(self):
        for guest in self.guests:
            guest.close()

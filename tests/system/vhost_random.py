"""What a guest may do with its rings, at random: once on vswitchd's ports (vswitch/vhost_ring.h), with the guest's pages logged or not, and once, the same again,
on ports that rte_vhost serves: the twin (vswitch/vhost_twin.c).

Frames go from guest 1's tx ring to guest 2's rx ring.  A step is one store of an index by each guest; then a third pair of ports, the clock, tells when the poll-mode
thread has been around.  What chance chooses is written down as a Step first and then done on both sides, so that they differ in nothing but who serves them.

Where rte_vhost does something else than virtio 1.1 says:
- num_buffers is left as it was in the guest's buffer unless VIRTIO_NET_F_MRG_RXBUF is negotiated; by section 5.1.6.4.1 it is 1.
- the first time that it gives something back in a ring with VIRTIO_F_EVENT_IDX, the guest is called though it did not ask (a guest must bear that, 2.6.7.1).
- VRING_DESC_F_WRITE is not looked at: a buffer that the guest wants to be read is written to, and the other way around (2.6.5.1 forbids both).
- it writes behind the second piece of a header that is cut in three.
The last two are not tried here, but in test_vhost.py, without a twin.
"""
import struct

from tests.system import vhost_frontend as v

HOLES = 64                  # Between buffers, to see what is written beside them.
FRAMES = [60, 61, 64, 128, 590, 1514, 1518, 2034, 2036, 2037, 2038, 2048, 2049, 4000, 9000]
ROOM = 2048                 # MBUF_ROOM.
SRC, DST = bytes.fromhex("525400000001"), bytes.fromhex("525400000002")


def frame(r, size):
    """Whatever its size; the pipeline shall not care: an experimental EtherType."""
    return (DST + SRC + b"\x88\xb5" + r.randbytes(max(0, size - 14)))[:size]


class Room:
    """Places for buffers, given out one after the other."""

    def __init__(self, r, *areas):
        self.r, self.areas = r, [list(area) for area in areas]

    def take(self, size):
        area = self.r.choice([a for a in self.areas if a[0] + size + HOLES <= a[1]])
        at = area[0] + self.r.randrange(8)
        area[0] = at + size + HOLES
        return at


class Step:
    """What one guest does before it makes `heads` available: descriptors and bytes, by their place."""

    def __init__(self, ring):
        self.size, self.free, self.heads, self.descs, self.bytes, self.pieces = ring.size, list(range(ring.size)), [], [], [], {}
        self.good, self.stuck = [], False       # tx: frames that must come out; whether the device can go no further.

    def chain(self, r, pieces, flags=0, indirect=None):
        """Descriptors for [(address, size)], the first of which becomes available; indirect: where their table is."""
        whole = pieces
        if indirect is not None:
            table = b"".join(struct.pack("<QIHH", at, size, flags | (v.NEXT if i + 1 < len(pieces) else 0), i + 1) for i, (at, size) in enumerate(pieces))
            self.bytes.append((indirect, table))
            pieces, flags = [(indirect, len(table))], v.INDIRECT
        ids = [self.free.pop(r.randrange(len(self.free))) for _ in pieces]
        for i, (at, size) in enumerate(pieces):
            last = i + 1 == len(pieces)
            self.descs.append((ids[i], at, size, flags | (0 if last else v.NEXT), 0 if last else ids[i + 1]))
        self.heads.append(ids[0])
        self.pieces[ids[0]] = whole

    def bytes_of(self, head, first, n):
        """Where those bytes of a chain are; none, if it is not one of this step."""
        return [at + i for at, size in self.pieces.get(head, ()) for i in range(size)][first:first + n]

    def apply(self, memory, ring):
        for at, data in self.bytes:
            memory.write(at, data)
        for desc in self.descs:
            ring.describe(*desc)
        ring.offer(*self.heads)
        ring.kick()


def cut(r, size, n, header):
    """Sizes of n pieces; the header alone, or cut in two, as chance will have it."""
    marks = {r.randrange(1, size) for _ in range(n - 1)} if size > 1 else set()
    if marks and r.random() < 0.4:
        marks.pop()
        marks.add(min(header, size - 1))
    marks = [0, *sorted(marks), size]
    return [b - a for a, b in zip(marks, marks[1:])]


# --- What guest 1 sends ---

def send_one(r, step, room, header, kind):
    data = r.randbytes(header) + frame(r, r.choice(FRAMES))
    good = True
    if kind == "runt":
        data, good = data[:header + r.randrange(15)], False
    elif kind == "no header":
        data, good = data[:r.randrange(header)], False
    if kind in ("chain", "indirect", "long table"):
        sizes = cut(r, len(data), min(r.randrange(2, 7), len(step.free) if kind == "chain" else step.size), header)     # Section 2.6.5.3.1: at most that long.
    else:
        sizes = [len(data)]
    pieces, done = [], 0
    for size in sizes:
        at = v.SECOND - r.randrange(1, size) if kind == "crossing" and size > 1 else room.take(size)
        step.bytes.append((at, data[done:done + size]))
        pieces.append((at, size))
        done += size
    table = None
    if kind == "indirect":
        table = room.take(16 * len(pieces))
    elif kind == "long table":                  # Its own bytes are in two regions.
        table = v.SECOND - 16 * r.randrange(1, max(2, len(pieces)))
    step.chain(r, pieces, 0, table)
    if good:
        step.good.append(data[header:])


def send_stuck(r, step, room, kind):
    """Where a device has to stop, for it cannot tell where the frame is."""
    at = room.take(128)
    if kind == "outside":
        step.chain(r, [(r.choice([v.OUTSIDE, v.ALONE + v.SIZES[v.ALONE] - 64, (1 << 64) - 64, v.ALONE - 1]), 128)])
    elif kind == "outside, in a chain":
        step.chain(r, [(at, 64), (v.OUTSIDE, 64)][:len(step.free)])
        if len(step.descs) and step.descs[-1][1] != v.OUTSIDE:
            step.descs[-1] = (step.descs[-1][0], v.OUTSIDE, 64, 0, 0)
    elif kind == "no such descriptor":
        step.descs += [(step.size, at, 128, 0, 0), (step.size + 1, at, 128, v.WRITE, 0)]       # What lies behind the ring looks as if it were in it.
        step.heads.append(r.choice([step.size, step.size + 1, 0x8000, 0xffff]))
    elif kind == "loop":
        step.chain(r, [(at, 64)])
        head = step.heads[-1]
        step.descs[-1] = (head, at, 64, v.NEXT, head)
    elif kind == "chain out of the ring":
        step.chain(r, [(at, 64)])
        step.descs[-1] = (step.heads[-1], at, 64, v.NEXT, r.choice([step.size, 0xffff]))
    elif kind == "table too long":
        step.chain(r, [(at, 64)], indirect=at + 64)
        step.descs[-1] = (step.heads[-1], at, 16 * (step.size + 1), v.INDIRECT, 0)
    elif kind == "table outside":
        step.chain(r, [(at, 64)])
        step.descs[-1] = (step.heads[-1], v.OUTSIDE, 16, v.INDIRECT, 0)
    step.stuck = True


STUCK = ["outside", "outside, in a chain", "no such descriptor", "loop", "chain out of the ring", "table too long", "table outside"]
SENT = ["plain"] * 12 + ["chain"] * 3 + ["indirect"] * 2 + ["long table", "runt", "no header", "crossing"]


def sends(r, ring, header, n):
    step, room = Step(ring), Room(r, (v.BUFFERS, v.SECOND - 0x10000), (v.SECOND + 0x10000, v.SECOND + 0x100000 - 4096), (v.ALONE, v.ALONE + 0x100000))
    kinds = [r.choice(SENT) for _ in range(n)] if r.random() < 0.7 else ["plain"] * n
    while kinds.count("crossing") + kinds.count("long table") > 1:              # There is one such place.
        kinds[kinds.index("crossing" if "crossing" in kinds else "long table")] = "plain"
    stuck_at = r.randrange(n) if r.random() < 0.1 else None
    for i, kind in enumerate(kinds):
        if not step.free:
            break
        if i == stuck_at:
            send_stuck(r, step, room, r.choice(STUCK))
            break                               # What comes behind is never looked at.
        send_one(r, step, room, header, kind if len(step.free) > 1 or kind != "chain" else "plain")
    return step


def sends_plain(r, ring, header, n, size=None):
    """Frames of one buffer each: all of them are one burst, for whoever takes them."""
    step, room = Step(ring), Room(r, (v.BUFFERS, v.SECOND))
    for _ in range(min(n, ring.size)):
        data = r.randbytes(header) + frame(r, size or r.choice([s for s in FRAMES if s <= ROOM]))
        at = room.take(len(data))
        step.bytes.append((at, data))
        step.chain(r, [(at, len(data))])
        step.good.append(data[header:])
    return step


# --- What guest 2 receives into ---

RECEIVED = ["large"] * 6 + ["exact", "small", "small", "chain", "chain", "indirect", "crossing", "header alone"]
RECEIVED_STUCK = ["outside", "no such descriptor", "loop", "table outside"]
RX_ROOM = (v.BUFFERS + 0x100000, v.SECOND - 0x10000), (v.ALONE + 0x100000, v.ALONE + 0x200000)


def receives(r, ring, header, n, sizes):
    """Buffers of all kinds; sizes: of the frames that will come."""
    step, room = Step(ring), Room(r, *RX_ROOM)
    kinds = [r.choice(RECEIVED) for _ in range(n)] if r.random() < 0.8 else ["large"] * n
    stuck_at = r.randrange(n) if n and r.random() < 0.1 else None
    crossed = False
    for i, kind in enumerate(kinds):
        if not step.free:
            break
        if i == stuck_at:
            send_stuck(r, step, room, r.choice(RECEIVED_STUCK))
            break
        size = {"exact": header + r.choice(sizes) + r.choice([0, 0, 1, -1]), "small": r.randrange(header, header + 256), "header alone": header}.get(kind, header + 9018)
        n_pieces = min(r.randrange(2, 6), len(step.free) if kind == "chain" else step.size) if kind in ("chain", "indirect") else 1
        # The library writes behind the second piece of a header that is cut in three.
        pieces = [(room.take(s), s) for s in (cut(r, size - header, n_pieces, header) if n_pieces > 1 else [size])]
        if n_pieces > 1:
            pieces[0] = (room.take(pieces[0][1] + header), pieces[0][1] + header)
            if r.random() < 0.3 and kind == "indirect" and len(pieces) + 2 <= step.size:
                half = r.randrange(1, header)
                pieces[:0] = [(room.take(half), half), (room.take(header), header)]
        if kind == "crossing" and not crossed:
            pieces, crossed = [(v.SECOND - r.randrange(1, size), size)], True
        step.chain(r, pieces, v.WRITE, room.take(16 * len(pieces)) if kind == "indirect" else None)
    return step


class Large:
    """Guest 2 as a driver is: each descriptor has its own large buffer, and is made available again, one after the other."""

    SIZE = 9088

    def __init__(self, ring):
        for i in range(ring.size):
            ring.describe(i, v.ALONE + i * self.SIZE, self.SIZE, v.WRITE)
        ring.offer(*range(ring.size))

    @classmethod
    def frames(cls, memory, used, header):
        """What came in one buffer each, with its header."""
        return [memory.read(v.ALONE + head * cls.SIZE, size) for head, size in used]

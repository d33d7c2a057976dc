"""The guest's side of a vhost-user port, by hand: what QEMU says on the socket, and a driver's split virtqueues, in shared memory that a test writes byte by byte.

    memory = Memory()
    guest = Frontend(path, memory, features=1 << VERSION_1)
    guest.start()
    guest.tx.describe(0, BUFFERS, 72)
    guest.tx.offer(0)                                   # descriptor 0 is the device's now
    guest.tx.kick()
    guest.tx.taken()                                    # [(0, 0)] once it is given back

Quoted are the vhost-user protocol (QEMU's docs/interop/vhost-user.rst) and virtio 1.1.
"""
import contextlib
import ctypes
import mmap
import os
import select
import socket
import struct
import threading
import time

# Bits of features, virtio 1.1 section 5.1.3 and 6; the last two are the protocol's own.
MRG_RXBUF, MQ, INDIRECT_DESC, EVENT_IDX, VERSION_1, ACCESS_PLATFORM, RING_PACKED, IN_ORDER = 15, 22, 28, 29, 32, 33, 34, 35
LOG_ALL, PROTOCOL_FEATURES = 26, 30
P_MQ, P_LOG_SHMFD, P_RARP, P_REPLY_ACK = 0, 1, 2, 3

# Messages.
GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE, SET_LOG_BASE = 1, 2, 3, 5, 6
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL = 8, 9, 10, 11, 12, 13
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE, SEND_RARP = 15, 16, 17, 18, 19
REPLIES = (GET_FEATURES, SET_LOG_BASE, GET_VRING_BASE, GET_PROTOCOL_FEATURES, GET_QUEUE_NUM)
VERSION, REPLY, NEED_REPLY = 1, 4, 8

NEXT, WRITE, INDIRECT = 1, 2, 4         # Of a descriptor, section 2.6.5.
NO_INTERRUPT, NO_NOTIFY = 1, 1          # Of the available and the used ring.
PAGE = 4096
SECONDS = 20                            # So long may an answer take on a busy machine; longer, and the switch hangs.

# Where things are in a guest: rings, then buffers in two regions that meet, and one that stands alone.
RINGS, BUFFERS, SECOND, ALONE, OUTSIDE = 0, 0x100000, 0x300000, 0x80000000, 0x40000000
SIZES = {RINGS: 0x40000, BUFFERS: 0x200000, SECOND: 0x200000, ALONE: 0x200000}

_barrier = threading.Lock()


def fence():
    """A full barrier: what Python does to take a lock is a locked instruction."""
    with _barrier:
        pass


def until(what, condition, seconds=SECONDS):
    """As Lab.wait_for, without its steps: what is waited for here takes microseconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not after {seconds} s")
        os.sched_yield()


class Region:
    def __init__(self, at, size):
        self.at, self.size, self.fd = at, size, os.memfd_create("guest")
        os.ftruncate(self.fd, size)
        self.map = mmap.mmap(self.fd, size)

    def close(self):
        self.map.close()
        os.close(self.fd)


class Memory:
    """A guest's memory: a file for each region, at the addresses that the guest knows."""

    def __init__(self):
        self.regions = [Region(at, size) for at, size in SIZES.items()]
        self.shift = 0x7f0000000000     # From a guest's address to the one that the front end itself is supposed to have.

    def close(self):
        for region in self.regions:
            region.close()

    def _pieces(self, at, size):
        while size:
            region = next(r for r in self.regions if r.at <= at < r.at + r.size)
            n = min(size, region.at + region.size - at)
            yield region.map, at - region.at, n
            at, size = at + n, size - n

    def read(self, at, size):
        return b"".join(map_[offset:offset + n] for map_, offset, n in self._pieces(at, size))

    def write(self, at, data):
        done = 0
        for map_, offset, n in self._pieces(at, len(data)):
            map_[offset:offset + n] = data[done:done + n]
            done += n

    def table(self):
        """The payload of SET_MEM_TABLE, and its descriptors."""
        rows = b"".join(struct.pack("<QQQQ", r.at, r.size, r.at + self.shift, 0) for r in self.regions)
        return struct.pack("<II", len(self.regions), 0) + rows, [r.fd for r in self.regions]


class Ring:
    """A split virtqueue in the first region (section 2.6).  Its used ring has pages of its own: nothing but the device writes there."""

    def __init__(self, memory, number, size, base=0, event_idx=False):
        self.memory, self.number, self.size, self.event_idx = memory, number, size, event_idx
        self.desc = RINGS + number * 0x20000
        self.avail = self.desc + 0x8000
        self.used = self.desc + 0x10000
        self.map = memory.regions[0].map
        self.kick_fd, self.call_fd = self.eventfd(), self.eventfd()
        self.reset(base)

    @staticmethod
    def eventfd():
        return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def reset(self, base):
        """An empty ring whose next entry is number `base`, modulo 2^16."""
        self.map[self.desc:self.desc + 0x20000] = bytes(0x20000)
        self.offered = self.seen = self.told = base     # told: `offered` when the device was told of it.
        struct.pack_into("<H", self.map, self.avail + 2, base)
        struct.pack_into("<H", self.map, self.used + 2, base)

    def close(self):
        os.close(self.kick_fd)
        os.close(self.call_fd)

    # --- Descriptors ---

    def describe(self, number, at, size, flags=0, following=0):
        struct.pack_into("<QIHH", self.map, self.desc + 16 * number, at, size, flags, following)

    def place(self, *heads):
        """Entries of the available ring that offer() then publishes."""
        for i, head in enumerate(heads):
            struct.pack_into("<H", self.map, self.avail + 4 + 2 * ((self.offered + i) % self.size), head)

    def publish(self, n):
        self.offered = (self.offered + n) & 0xffff
        ctypes.c_uint16.from_buffer(self.map, self.avail + 2).value = self.offered

    def offer(self, *heads):
        self.place(*heads)
        self.publish(len(heads))

    @property
    def used_index(self):
        return ctypes.c_uint16.from_buffer(self.map, self.used + 2).value

    @property
    def pending(self):
        """How many the device has not given back."""
        return (self.offered - self.used_index) & 0xffff

    def taken(self):
        """(head, length) of each that the device has given back since the last call."""
        n = (self.used_index - self.seen) & 0xffff
        fence()
        got = [struct.unpack_from("<II", self.map, self.used + 4 + 8 * ((self.seen + i) % self.size)) for i in range(n)]
        self.seen = (self.seen + n) & 0xffff
        return got

    # --- Notifications (sections 2.6.7 and 2.6.8) ---

    def kick(self, always=True):
        """Tells the device; always=False: if it asked for that."""
        fence()
        if self.event_idx:
            event, = struct.unpack_from("<H", self.map, self.used + 4 + 8 * self.size)
            wanted = (self.offered - event - 1) & 0xffff < (self.offered - self.told) & 0xffff
        else:
            wanted = not struct.unpack_from("<H", self.map, self.used)[0] & NO_NOTIFY
        self.told = self.offered
        if wanted or always:
            os.eventfd_write(self.kick_fd, 1)

    def no_interrupt(self, yes):
        struct.pack_into("<H", self.map, self.avail, NO_INTERRUPT if yes else 0)

    def ask_at(self, index):
        """The device shall call when entry `index` is given back (VIRTIO_RING_F_EVENT_IDX)."""
        struct.pack_into("<H", self.map, self.avail + 4 + 2 * self.size, index & 0xffff)
        fence()

    def calls(self):
        """How often the device called since this was asked last."""
        with contextlib.suppress(BlockingIOError):
            return os.eventfd_read(self.call_fd)
        return 0

    def sleep(self, seconds):
        """Until something is given back, as a driver does: asks for a call, looks once more, sleeps.  False: nobody called."""
        if self.event_idx:
            self.ask_at(self.seen)
        if self.used_index != self.seen:
            return True
        called = bool(select.select([self.call_fd], [], [], seconds)[0])
        self.calls()
        return called


class Frontend:
    """One pair of rings, rx (number 0) and tx, on a connection to a port."""

    def __init__(self, path, memory, features, sizes=(256, 256), bases=(0, 0), log=False, rings=None):
        """features: bits, PROTOCOL_FEATURES and LOG_ALL apart; log: writes are logged from the beginning; rings: of a connection that ended, as they are."""
        self.memory, self.log, self.socket = memory, None, socket.socket(socket.AF_UNIX)
        self.features = features | 1 << PROTOCOL_FEATURES
        self.socket.connect(path)
        self.socket.settimeout(SECONDS)
        event_idx = bool(features >> EVENT_IDX & 1)
        self.rx, self.tx = self.rings = rings or [Ring(memory, i, sizes[i], bases[i], event_idx) for i in range(2)]
        self.header = 12 if features & (1 << VERSION_1 | 1 << MRG_RXBUF) else 10
        self.offered = self.negotiate()
        if log:
            self.set_log()

    def close(self):
        self.socket.close()
        for ring in self.rings:
            ring.close()
        if self.log:
            self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- Messages ---

    def _receive(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise ConnectionError("the switch ended the connection")
            data += more
        return data

    def message(self, request, payload=b"", fds=()):
        """Sends, and waits until the switch has done it: the payload of its answer, b"" for an acknowledgement."""
        acknowledged = request not in REPLIES and self.protocol_features >> P_REPLY_ACK & 1
        flags = VERSION | (NEED_REPLY if acknowledged else 0)
        socket.send_fds(self.socket, [struct.pack("<III", request, flags, len(payload)) + payload], fds)
        if request not in REPLIES and not acknowledged:
            return b""
        got, flags, size = struct.unpack("<III", self._receive(12))
        answer = self._receive(size)
        if got != request or not flags & REPLY:
            raise ConnectionError(f"answer to {got} instead of {request}")
        if acknowledged and answer != bytes(8):
            raise ConnectionError(f"the switch refuses message {request}")
        return b"" if acknowledged else answer

    protocol_features = 0

    def negotiate(self):
        offered, = struct.unpack("<Q", self.message(GET_FEATURES))
        assert not self.features & ~offered, f"not offered: {self.features & ~offered:#x}"
        protocol, = struct.unpack("<Q", self.message(GET_PROTOCOL_FEATURES))
        wanted = protocol & (1 << P_MQ | 1 << P_LOG_SHMFD | 1 << P_RARP | 1 << P_REPLY_ACK)
        self.message(SET_PROTOCOL_FEATURES, struct.pack("<Q", wanted))
        self.protocol_features = wanted
        assert wanted >> P_LOG_SHMFD & 1 and wanted >> P_RARP & 1 and wanted >> P_REPLY_ACK & 1
        assert struct.unpack("<Q", self.message(GET_QUEUE_NUM))[0] >= 1
        self.message(SET_OWNER)
        return offered

    def set_features(self):
        self.message(SET_FEATURES, struct.pack("<Q", self.features))

    def set_memory(self):
        self.message(SET_MEM_TABLE, *self.memory.table())

    def set_log(self):
        """Dirty pages are logged from the next set_features() and set_addresses() on; the log is a bit for each page of the guest."""
        size = ((max(r.at + r.size for r in self.memory.regions) // PAGE + 7) // 8 + PAGE - 1) // PAGE * PAGE
        fd = os.memfd_create("log")
        os.ftruncate(fd, size)
        if self.log:
            self.log.close()
        self.log = mmap.mmap(fd, size)
        self.message(SET_LOG_BASE, struct.pack("<QQ", size, 0), [fd])
        os.close(fd)
        self.features |= 1 << LOG_ALL

    def is_dirty(self, at):
        return self.log[at // PAGE // 8] >> at // PAGE % 8 & 1

    def set_address(self, ring):
        shift, logged = self.memory.shift, self.features >> LOG_ALL & 1
        self.message(SET_VRING_ADDR, struct.pack("<IIQQQQ", ring.number, logged, ring.desc + shift, ring.used + shift, ring.avail + shift, ring.used))

    def set_kick(self, ring):
        self.message(SET_VRING_KICK, struct.pack("<Q", ring.number), [ring.kick_fd])

    def set_call(self, ring):
        self.message(SET_VRING_CALL, struct.pack("<Q", ring.number), [ring.call_fd])

    def enable(self, ring, yes=True):
        self.message(SET_VRING_ENABLE, struct.pack("<II", ring.number, yes))

    def start_ring(self, ring, base=None):
        """base: what stop_ring() gave; without it, the ring is empty."""
        self.message(SET_VRING_NUM, struct.pack("<II", ring.number, ring.size))
        self.message(SET_VRING_BASE, struct.pack("<II", ring.number, ring.offered if base is None else base))
        self.set_address(ring)
        self.set_call(ring)
        self.set_kick(ring)

    def stop_ring(self, ring):
        """The number of the entry that the device would have taken next."""
        return struct.unpack("<II", self.message(GET_VRING_BASE, struct.pack("<II", ring.number, 0)))[1]

    def start(self, bases=(None, None)):
        self.set_features()
        self.set_memory()
        for ring, base in zip(self.rings, bases):
            self.start_ring(ring, base)
        for ring in self.rings:
            self.enable(ring)
        self.message(GET_FEATURES)      # The library lets the device run after it has acknowledged the last message.

    def stop(self):
        return [self.stop_ring(ring) for ring in self.rings]

    def announce(self, mac):
        self.message(SEND_RARP, mac + bytes(2))

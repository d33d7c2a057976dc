"""A controller that changes entries the traffic has nothing to do with, so many times a second.

Half of the changes add an entry in table 0 for a MAC address that no frame bears, half delete one that was added before.  Speaks OpenFlow 1.3 to the switch's management socket
from a thread of its own, ten changes at a time.  An error from the switch, or its going away, is raised by stop().
"""
import os
import select
import socket
import struct
import threading
import time

VERSION = 4
HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FLOW_MOD, BARRIER_REQUEST, BARRIER_REPLY = 0, 1, 2, 3, 14, 20, 21
ADD, DELETE_STRICT = 0, 4
NO_BUFFER = ANY = 0xffffffff
PRIORITY = 5
ANSWER_S = 10
KEPT = 500                              # Entries that are there at any time.


def message(kind, body=b"", xid=0):
    return struct.pack("!BBHI", VERSION, kind, 8 + len(body), xid) + body


def flow_mod(command, number):
    """eth_dst=06:…number → output:1, an address that no rule set and no traffic has."""
    oxm = struct.pack("!HBB", 0x8000, 3 << 1, 6) + b"\x06\xff" + struct.pack("!I", number)
    match = struct.pack("!HH", 1, 4 + len(oxm)) + oxm
    match += bytes(-len(match) % 8)
    output = struct.pack("!HHIH6x", 0, 16, 1, 0)
    instruction = struct.pack("!HH4x", 4, 8 + len(output)) + output
    head = struct.pack("!QQBBHHHIIIH2x", 0, 0, 0, command, 0, 0, PRIORITY, NO_BUFFER, ANY, ANY, 0)
    return message(FLOW_MOD, head + match + (instruction if command == ADD else b""))


class FlowMods:
    """with FlowMods(path, per_second, cpu): …"""

    def __init__(self, path, per_second, cpu):
        self.per_second, self.sent, self.failure, self._cpu = per_second, 0, None, cpu
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self._socket.settimeout(ANSWER_S)
        self._socket.sendall(message(HELLO))
        self._received = b""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, _error, _trace):
        self._end.set()
        self._thread.join(20)
        self._socket.close()
        if self.failure and kind is None:
            raise self.failure

    def _run(self):
        try:
            os.sched_setaffinity(0, {self._cpu})        # This thread's alone.
            self._stream()
            self._tidy()
        except (OSError, RuntimeError) as error:
            self.failure = RuntimeError(f"the stream of flow-mods broke after {self.sent}: {error}")

    def _stream(self):
        begun = time.monotonic()
        while not self._end.wait(0.01):
            due = int((time.monotonic() - begun) * self.per_second)
            batch = []
            while self.sent < due:
                number, deletes = divmod(self.sent, 2)
                if not deletes:
                    batch.append(flow_mod(ADD, number))
                elif number >= KEPT:
                    batch.append(flow_mod(DELETE_STRICT, number - KEPT))
                self.sent += 1
            self._socket.sendall(b"".join(batch))
            self._answer(block=False)

    def _tidy(self):
        """Deletes what is left and waits until the switch has done it."""
        last = (self.sent + 1) // 2
        left = [flow_mod(DELETE_STRICT, n) for n in range(max(0, last - KEPT - 1), last)]
        self._socket.sendall(b"".join(left) + message(BARRIER_REQUEST, xid=1))
        while BARRIER_REPLY not in self._answer(block=True):
            pass

    def _answer(self, block):
        """Reads what the switch says; returns the kinds of its messages."""
        kinds = []
        if select.select([self._socket], [], [], ANSWER_S if block else 0)[0]:
            data = self._socket.recv(65536)
            if not data:
                raise RuntimeError("the switch closed the connection")
            self._received += data
        elif block:
            raise RuntimeError(f"no answer within {ANSWER_S} s")
        while len(self._received) >= 8:
            _, kind, size, xid = struct.unpack("!BBHI", self._received[:8])
            if len(self._received) < size:
                break
            body, self._received = self._received[8:size], self._received[size:]
            kinds.append(kind)
            if kind == ERROR:
                raise RuntimeError(f"the switch answered with error {body[:4].hex()}")
            if kind == ECHO_REQUEST:
                self._socket.sendall(message(ECHO_REPLY, body, xid))
        return kinds

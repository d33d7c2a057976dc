"""A connection that takes its time: a relay between a switch and controllerd that delivers each byte later, in both directions and in order.

    with SlowRelay(lab.dir + "/slow.sock", ctl_socket) as relay:
        relay.delay_s = 0.5
"""
import collections
import os
import socket
import threading
import time


class SlowRelay:
    """Listens on a unix socket, and connects to another for each that comes."""

    def __init__(self, path, target):
        self.path, self._target, self.delay_s, self._sockets = path, target, 0.0, []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._run(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in [self._listener, *self._sockets]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass            # It has ended by itself.
            sock.close()
        os.unlink(self.path)

    @staticmethod
    def _run(work, *args):
        threading.Thread(target=work, args=args, daemon=True).start()

    def _accept(self):
        while True:
            try:
                one = self._listener.accept()[0]
            except OSError:
                return          # Closed.
            other = socket.socket(socket.AF_UNIX)
            other.connect(self._target)
            self._sockets += [one, other]
            for source, sink in ((one, other), (other, one)):
                waiting, changed = collections.deque(), threading.Condition()
                self._run(self._receive, source, waiting, changed)
                self._run(self._send, sink, waiting, changed)

    def _receive(self, source, waiting, changed):
        data = b"?"
        while data:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            with changed:
                waiting.append((time.monotonic() + self.delay_s, data))
                changed.notify()

    @staticmethod
    def _send(sink, waiting, changed):
        while True:
            with changed:
                changed.wait_for(lambda: waiting)
                due, data = waiting.popleft()
            time.sleep(max(0, due - time.monotonic()))
            try:
                if not data:
                    sink.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)
            except OSError:
                return

"""A user's own rules and traffic, as a line of the table beside the others: bench.py --rules FILE --traffic FILE.

The rules are lines as ovs-ofctl takes them: flow entries as for add-flows, and before them, where they are needed, groups (`group_id=1,type=select,bucket=…`, as for add-groups) and
meters (`meter=1,kbps,band=…`, as for add-meter).  "#" begins a comment.  The traffic is a flow file (flows.h), or a capture (pcap, pcapng), whose frames are sent as they are.
"""
import struct

from utilities.bench.cases import Case, FLOW_MODS, LATENCY_PPS

NAME = "own"
CAPTURES = (b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1", b"\x0a\x0d\x0d\x0a")


class Own:
    """Both files, read once.  ValueError, for the user, when they cannot be."""

    def __init__(self, rules, traffic):
        self.traffic = traffic
        self.groups, self.meters, self.entries = [], [], []
        for line in self._lines(rules):
            kind = self.groups if line.startswith("group_id=") else self.meters if line.startswith("meter=") else self.entries
            kind.append(line)
        if not self.entries:
            raise ValueError(f"--rules: {rules} holds no flow entry")
        self.is_capture = self._head(traffic) in CAPTURES
        self.flows = self._count_frames(traffic) if self.is_capture else sum(1 for _ in self._lines(traffic))
        if not self.flows:
            raise ValueError(f"--traffic: {traffic} holds no {'frame' if self.is_capture else 'flow'}")

    @staticmethod
    def _open(path, mode, **options):
        try:
            return open(path, mode, **options)              # pylint: disable=consider-using-with
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from None

    def _lines(self, path):
        with self._open(path, "r", encoding="utf-8", errors="replace") as file:
            for line in file:
                line = line.split("#")[0].strip()
                if line:
                    yield line

    def _head(self, path):
        with self._open(path, "rb") as file:
            return file.read(4)

    def _count_frames(self, path):
        """The frames of a pcap file; of a pcapng about so many: they only make the line's name and the length of the warm-up."""
        with self._open(path, "rb") as file:
            data = file.read()
        order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        if data[:4] == b"\x0a\x0d\x0d\x0a":
            return max(1, len(data) // 100)
        count, at = 0, 24
        while at + 16 <= len(data):
            at += 16 + struct.unpack_from(order + "I", data, at + 8)[0]
            count += 1
        return count

    def cases(self):
        """The line, and its variants, which are measured when they are named."""
        flows = str(self.flows)
        plain = Case(NAME, NAME, flows)
        if self.is_capture:
            return [plain, Case(f"{NAME}-mods", NAME, flows, flow_mods=FLOW_MODS)]
        return [plain, Case(f"{NAME}-fresh", NAME, flows, fresh=True), Case(f"{NAME}-mods", NAME, flows, flow_mods=FLOW_MODS),
                Case(f"{NAME}-latency", NAME, flows, rate=LATENCY_PPS), Case(f"{NAME}-1500", NAME, flows, size="1500"), Case(f"{NAME}-imix", NAME, flows, size="imix")]

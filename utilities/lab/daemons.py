"""Polder's own programs inside a Lab: vswitchd and controllerd as daemons, vpcctl and vswctl as commands.

The programs come from $POLDER_BUILD (or $POLDER_BUILDDIR, which the Makefile sets), else from the top directory.
Configurations are plain dictionaries in the daemons' own format (docs/vswitchd.8, docs/controllerd.8): a test changes any
key through `extra`.  Everything a daemon writes is in its run directory, below the host's folder.

    ctl = Controllerd(lab.host("ctl"))
    sw = Vswitchd(lab.host("host1"), dpid=1, uplinks=["fab0"], controllers=[ctl.openflow])
    ctl.vpcctl("apply", "-f", "red.yaml")
    sw.drops()                          # {("p7", "anti-spoof"): 3}

OpenFlow goes over a unix socket by default: namespaces share the file system, so no management network is needed.
"""
import http.client
import json
import os
import re
import socket

from .cleanup import LabError
from .image import TOP

PLACES = {"vswitchd": "vswitch", "vhost_twin": "vswitch", "controllerd": "controller", "vpcctl": "tenants", "vswctl": "utilities"}


def program(name):
    """The path of a program that the build made."""
    build = os.environ.get("POLDER_BUILD") or os.environ.get("POLDER_BUILDDIR") or TOP
    path = os.path.join(build, PLACES[name], name)
    if not os.access(path, os.X_OK):
        raise LabError(f"{path} is not built; run make, or set POLDER_BUILD to the build directory")
    return path


def sanitized():
    """Whether the programs were built with AddressSanitizer or ThreadSanitizer: figures of memory mean nothing then, and times little."""
    with open(program("vswitchd"), "rb") as file:
        return re.search(b"__[at]san_init", file.read()) is not None


def merge(base, extra):
    """`base` with the keys of `extra`; dictionaries merge, everything else is replaced."""
    for key, value in (extra or {}).items():
        base[key] = merge(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return base


def _accepts(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False


class Daemon:
    """What both have: a configuration, a socket that tells when it serves, start and stop."""

    program = None

    def __init__(self, host, name, config, socket_path):
        self.host, self.name, self.config, self.socket = host, name, config, socket_path
        self.config_path = host.path(name + ".json")
        self.process = None

    def start(self, seconds=30):
        """Writes the configuration, starts the daemon and waits until it serves its socket."""
        with open(self.config_path, "w", encoding="utf-8") as file:
            json.dump(self.config, file, indent=2)
        self.process = self.host.spawn(f"{self.program}-{self.name}", [program(self.program), "--config", self.config_path])
        self.host.lab.wait_for(f"{self.program} {self.name}", lambda: _accepts(self.socket), seconds, of=[self.process])
        return self

    def stop(self, signum=None):
        """Ends the daemon and returns its exit status."""
        try:
            return self.process.stop(signum=signum)
        finally:
            self.host.lab.forget(self.process)

    def restart(self, signum=None):
        self.stop(signum)
        return self.start()

    def _command(self, argv, check, timeout):
        return self.host.run(argv, check=check, timeout=timeout, merge=False)


# Every cached frame also walks the tables; a switch that saw the two disagree does not stop quietly.
CACHE_CHECK = bool(os.environ.get("POLDER_CACHE_CHECK"))


class Vswitchd(Daemon):
    """The switch of one hypervisor host."""

    program = "vswitchd"

    def __init__(self, host, dpid, uplinks=(), ports=(), controllers=(), name=None, poll=None, extra=None):
        """uplinks: interfaces of the host, each port of that name; ports: as in the configuration; controllers: targets."""
        name = name or host.name
        run_dir = host.path("run")
        # Without qdisc_bypass=0 a capture on the interface would not show what the switch sends.
        uplink_ports = [{"name": i, "type": "dpdk", "devargs": f"net_af_packet{n},iface={i},qdisc_bypass=0"} for n, i in enumerate(uplinks)]
        config = merge({
            "name": name, "datapath_id": f"{dpid:016x}", "run_dir": run_dir,
            "dpdk": {"hugepages": "off", "file_prefix": f"{host.namespace}-{name}"},
            "cpus": {"poll": str(self._cpu(host) if poll is None else poll)},
            "ports": uplink_ports + list(ports),
            "openflow": {"controllers": [{"target": target, "max_backoff_ms": 1000} for target in controllers]},
            "cache": {"check": CACHE_CHECK},
        }, extra)
        super().__init__(host, name, config, config.get("control_socket", os.path.join(run_dir, "vswitchd.sock")))
        self.run_dir = run_dir
        self.openflow_socket = os.path.join(run_dir, "openflow.sock")
        self.start()

    def stop(self, signum=None):
        found = CACHE_CHECK and self.vswctl("metrics", check=False).output
        status = super().stop(signum)
        wrong = [line for line in (found or "").splitlines() if line.startswith("polder_vswitch_cache_mismatches_total") and not line.endswith(" 0")]
        if wrong:
            raise AssertionError(f"{self.name}: cache and tables disagree: {wrong}")
        return status

    @staticmethod
    def _cpu(host):
        """Spreads the poll threads of the lab's hosts over the CPUs, from the last one down."""
        cpus = sorted(os.sched_getaffinity(0), reverse=True)
        return cpus[host.lab.hosts.index(host) % len(cpus)]

    def vswctl(self, *args, check=True, timeout=60):
        """Runs vswctl ARGS; the Result has stdout in output and stderr in errors."""
        return self._command([program("vswctl"), "-s", self.socket, *args], check, timeout)

    def json(self, *args):
        return json.loads(self.vswctl("-o", "json", *args).output)

    def ofctl(self, *args, version="OpenFlow13", check=True):
        """ovs-ofctl COMMAND, then the switch, then the rest: ofctl("add-flow", "in_port=1,actions=2")."""
        return self.host.run(["ovs-ofctl", "-O", version, args[0], f"unix:{self.openflow_socket}", *args[1:]], check=check).output

    def drops(self):
        """Packets by (port name, drop reason)."""
        return {(port["port"], reason["reason"]): int(reason["packets"])
                for port in self.json("drops")["drops"] for reason in port["reasons"]}


class Controllerd(Daemon):
    """The controller with its SQLite store, and vpcctl speaking to it."""

    program = "controllerd"

    def __init__(self, host, name="ctl", extra=None):
        run_dir = host.path("ctl")
        api = os.path.join(run_dir, "api.sock")
        self.openflow = f"unix:{run_dir}/openflow.sock"
        config = merge({"name": name, "run_dir": run_dir, "store": host.path("polder.db"),
                        "openflow": {"listen": [f"p{self.openflow}"]}}, extra)
        super().__init__(host, name, config, api)
        self.server = f"unix:{api}"
        self.start()

    def request(self, method, path, body=None, headers=None):
        """One request to the API's unix socket: (status, headers, body as text)."""
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.settimeout(60)
            connection.sock.connect(self.socket)
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def metrics(self):
        """Every metric by its name with labels, as Prometheus would read it."""
        lines = [line.rsplit(" ", 1) for line in self.request("GET", "/metrics")[2].splitlines() if line and line[0] != "#"]
        return {name: float(value) for name, value in lines}

    def vpcctl(self, *args, check=True, timeout=90):
        """Runs vpcctl ARGS; the Result has stdout in output and stderr in errors."""
        return self._command([program("vpcctl"), "--server", self.server, *args], check, timeout)

    def json(self, *args):
        return json.loads(self.vpcctl(*args, "-o", "json").output)

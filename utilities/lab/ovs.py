"""A private Open vSwitch, for tests that need a fabric switch or a peer that is not ours.

ovsdb-server and ovs-vswitchd are run by hand inside a host's namespace, from folders of the run; a system-wide Open
vSwitch, if there is one, is neither used nor disturbed.  Bridges are userspace ones (datapath_type=netdev): the kernel
module is not needed.

    ovs = Ovs(host)                     # or Ovs(host, dpdk=True), which adds vhost-user ports
    ovs.bridge("br0", dpid=0xfa, controller="tcp:10.255.0.1:6653")
    ovs.port("br0", "fab0", ofport=1)
"""
import json
import os

from .cleanup import LabError

PLAIN = "/usr/lib/openvswitch-switch/ovs-vswitchd"
DPDK = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class Ovs:
    """One ovsdb-server and one ovs-vswitchd on a host."""

    def __init__(self, host, dpdk=False, memory_mb=384, options=(), hugetlbfs=None):
        """options: more arguments of ovs-vswitchd.  hugetlbfs: where hugepages for DPDK are mounted (Lab.hugepages()); None: it does without."""
        self.host = host
        self.dir = host.path("ovs")
        os.mkdir(self.dir)
        self.env = {name: self.dir for name in ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR")}
        self.database = f"unix:{self.dir}/db.sock"
        binary = DPDK if dpdk else PLAIN
        if not os.path.exists(binary):
            raise LabError(f"{binary} is missing; ./check installs {'openvswitch-switch-dpdk' if dpdk else 'openvswitch-switch'}")
        self._run(["ovsdb-tool", "create", f"{self.dir}/conf.db", SCHEMA])
        server = host.spawn("ovsdb-server", ["ovsdb-server", f"{self.dir}/conf.db", f"--remote=p{self.database}",
                                             f"--unixctl={self.dir}/ovsdb.ctl", "-vconsole:warn"], env=self.env)
        host.lab.wait_for("ovsdb-server", lambda: os.path.exists(f"{self.dir}/db.sock"), of=[server])
        self.vsctl("--no-wait", "init")
        if dpdk:
            # Without hugepages DPDK's memory is a memfd; --no-huge excludes --in-memory, which Open vSwitch adds by
            # itself unless it is told --legacy-mem.
            memory = f"--huge-dir={hugetlbfs}" if hugetlbfs else "--no-huge --legacy-mem --no-shconf"
            extra = f"{memory} -m {memory_mb} --iova-mode=va --no-telemetry --file-prefix={host.namespace}"
            # A pool per port takes some 75 MB each; the shared one would ask for 262144 buffers at once.
            self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                       f"other_config:dpdk-extra={extra}", "other_config:per-port-memory=true")
        self.daemon = host.spawn("ovs-vswitchd", [binary, self.database, f"--unixctl={self.dir}/vswitchd.ctl",
                                                  "-vconsole:info", *options], env=self.env)
        host.lab.wait_for("ovs-vswitchd", lambda: self._started(dpdk), 30, of=[self.daemon])

    def _started(self, dpdk):
        if not os.path.exists(f"{self.dir}/vswitchd.ctl"):
            return False
        return not dpdk or self.vsctl("get", "Open_vSwitch", ".", "dpdk_initialized").strip() == "true"

    def _run(self, argv, **kwargs):
        return self.host.run(argv, env=self.env, **kwargs)

    def _vsctl(self):
        return ["ovs-vsctl", f"--db={self.database}"]

    def vsctl(self, *args):
        return self._run([*self._vsctl(), "--timeout=20", *args]).output

    def appctl(self, *args):
        return self._run(["ovs-appctl", "-t", f"{self.dir}/vswitchd.ctl", *args]).output

    def ofctl(self, *args, version="OpenFlow13"):
        """ovs-ofctl COMMAND BRIDGE…: the bridge's own management socket is in OVS_RUNDIR."""
        return self._run(["ovs-ofctl", "-O", version, *args]).output

    def bridge(self, name, dpid=None, controller=None, fail_mode="secure", protocols="OpenFlow10,OpenFlow13,OpenFlow14",
               datapath_type="netdev"):
        """Adds a bridge.  Without a controller fail_mode="standalone" makes it a learning switch."""
        args = ["add-br", name, "--", "set", "bridge", name, f"datapath_type={datapath_type}", f"fail-mode={fail_mode}",
                f"protocols={protocols}"]
        if dpid is not None:
            args.append(f"other-config:datapath-id={dpid:016x}")
        if controller:
            if controller.startswith("unix:"):
                # Open vSwitch connects to no unix socket but its own folder's BRIDGE.controller.
                link = f"{self.dir}/{name}.controller"
                os.symlink(controller[5:], link)
                controller = "unix:" + link
            args += ["--", "set-controller", name, controller, "--", "set", "controller", name,
                     "connection-mode=out-of-band", "inactivity_probe=0"]
        self.vsctl(*args)

    def port(self, bridge, name, ofport=None, type_=None, **options):
        """Adds a port: an interface of the namespace, or one of another type with its options (dashes as underscores)."""
        args = ["add-port", bridge, name, "--", "set", "interface", name]
        settings = [f"type={type_}"] if type_ else []
        settings += [f"ofport_request={ofport}"] if ofport else []
        settings += [f"options:{key.replace('_', '-')}={value}" for key, value in options.items()]
        self.vsctl(*(args + settings if settings else args[:3]))
        # ovs-vsctl waited until the daemon had taken the change, so an error stands in the database now.
        error = json.loads(self.vsctl("--format=json", "--columns=error", "list", "interface", name))["data"][0][0]
        if error not in ("", ["set", []]):
            raise LabError(f"Open vSwitch refuses port {name}: {error}")

    def vhost_port(self, bridge, name, path, ofport=None, server=False):
        """A vhost-user port that connects to QEMU's socket, or with server=True listens for QEMU."""
        if server:
            if os.path.dirname(path) != self.dir:
                raise LabError(f"Open vSwitch listens in its own folder only: {path} is not in {self.dir}")
            self.port(bridge, os.path.basename(path), ofport, "dpdkvhostuser")
        else:
            self.port(bridge, name, ofport, "dpdkvhostuserclient", vhost_server_path=path)

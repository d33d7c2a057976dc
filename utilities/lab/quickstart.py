"""What ./quickstart shows, after it has installed and built: five steps, each with what it proves.

1. two hypervisor hosts joined by a veth fabric, a vswitchd on each, one controllerd
2. two tenants with the same addresses, from examples/quickstart/*.yaml
3. four virtual machines, two on each host
4. proofs: inside each tenant everything passes, across tenants nothing does, and the fabric shows no tenant's address
5. hints for trying it by hand, until Ctrl-C; with --check it ends after 4 instead
"""
import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)    # until a Lab takes over, Ctrl-C just ends it: no traceback of imports

import ipaddress                                # noqa: E402
import os
import sys
import time

from . import image, proof
from .cleanup import Interrupted, LabError
from .daemons import Controllerd, Vswitchd, program
from .host import Lab, say
from .vm import VM, Nic, accelerator, tcp_transfer

EXAMPLES = os.path.join(image.TOP, "examples", "quickstart")
FABRIC = "fab0"
EXPERIMENT = bytes.fromhex("88b5")      # an ethertype for local experiments (IEEE 802)
GREETING_PORT = 7


class Proofs:
    """What was to be shown, and whether it was."""

    def __init__(self):
        self.held = self.failed = 0

    def that(self, holds, what):
        self.held += bool(holds)
        self.failed += not holds
        say(f"   {'yes' if holds else 'NO '}  {what}")


class Port:
    """A tenant's port as controllerd tells it, and its machine."""

    def __init__(self, ctl, item):
        self.name = item["name"]
        self.tenant = self.name.split("/")[0]
        self.short = self.tenant + "/" + self.name.split("/")[-1]
        spec, status = item["spec"], item["status"]
        self.edge, self.mac, self.ips = spec["edge"], spec["mac"], spec["ips"]
        self.device, self.socket = status["device"], status["vhost_socket"]
        self.provider_mac = proof.mac_bytes(status["provider_mac"])
        # What the fabric must not show: also the link-local address that the guest makes of its MAC.
        self.addresses = [self.mac, *(a["ip"] for a in status["addresses"])]
        network = ctl.json("get", "network", self.name.rsplit("/", 1)[0])["spec"]
        self.subnets = [ipaddress.ip_network(network[key]) for key in ("subnet", "subnet6") if network.get(key)]
        self.vm = None

    def with_length(self):
        """The addresses as a guest is given them: 10.0.0.11/24."""
        return [f"{ip}/{next(s.prefixlen for s in self.subnets if ipaddress.ip_address(ip) in s)}" for ip in self.ips]


class Quickstart:
    """The whole scene."""

    def __init__(self, lab, guest):
        self.lab, self.guest = lab, guest
        self.proofs = Proofs()
        self.edges, self.ports, self.ctl, self.capture = {}, {}, None, None

    # --- 1 to 3 ---

    def hosts(self):
        say("1. two hosts, a fabric link, a vswitchd on each, one controllerd")
        lab = self.lab
        host1, host2, control = lab.host("host1"), lab.host("host2"), lab.host("control")
        lab.link(host1, FABRIC, host2, FABRIC)
        self.capture = host1.capture(FABRIC, lab.dir + "/fabric.pcap")
        self.ctl = Controllerd(control)
        for number, host in enumerate((host1, host2), 1):
            self.edges[host.name] = Vswitchd(host, dpid=number, uplinks=[FABRIC], controllers=[self.ctl.openflow])
        say(f"   host1 —{FABRIC}— host2, all of it in {lab.dir}")

    def tenants(self):
        say("2. tenants red and blue: vpcctl apply -f examples/quickstart")
        done = self.ctl.vpcctl("apply", "-f", EXAMPLES, "--wait=installed", "--timeout", "30s")
        say("".join(f"   {line}\n" for line in (done.output + done.errors).splitlines()).rstrip())
        for item in self.ctl.json("get", "port")["items"]:
            port = Port(self.ctl, item)
            self.ports[port.short] = port
        if sorted(self.ports) != ["blue/a", "blue/b", "red/a", "red/b"]:
            raise LabError(f"{EXAMPLES} makes the ports {', '.join(sorted(self.ports))}; "
                           "the proofs want a and b in red and in blue")

    def machines(self):
        accel = accelerator(self.lab, self.guest, say=lambda line: say("   " + line))
        say(f"3. four virtual machines ({'KVM' if accel == 'kvm' else 'emulated: KVM does not work here'})")
        begun = time.monotonic()
        for port in self.ports.values():
            host = self.edges[port.edge].host
            port.vm = VM(host, port.short.replace("/", "-"), self.guest, [Nic(port.mac, port.socket)], accel=accel).start()
        for port in self.ports.values():
            port.vm.wait_boot()
            port.vm.configure("eth0", *port.with_length())
            say(f"   {port.short} runs on {port.edge}: {port.mac} {' '.join(port.ips)}   ({time.monotonic() - begun:.0f} s)")

    # --- 4 ---

    def prove(self):
        say("4. proofs")
        for tenant in ("red", "blue"):
            self.inside(tenant)
        self.across()
        self.fabric()
        for kind in ("tenants", "networks", "ports"):
            say(f"   vpcctl get {kind}")
            say("".join(f"      {line}\n" for line in self.ctl.vpcctl("get", kind).output.splitlines()).rstrip())

    def inside(self, tenant):
        """Ping, a service that says whose it is, and 8 MB over TCP, from host1 to host2."""
        a, b = self.ports[tenant + "/a"], self.ports[tenant + "/b"]
        for ip in b.ips:
            got = a.vm.ping(ip, 3)
            self.proofs.that(got == 3, f"{a.short} pings {ip}: {got} of 3 replies")
        b.vm.run(f"nc -ll -p {GREETING_PORT} -e echo {b.short} > /dev/null 2>&1 &", check=True)
        _, said = a.vm.run(f"for i in 1 2 3 4 5; do nc -w 5 {b.ips[0]} {GREETING_PORT} && break; sleep 0.2; done", timeout=60)
        self.proofs.that(said == b.short + "\n", f"{a.short} asks {b.ips[0]} who it is: {said.strip() or 'no answer'}")
        begun = time.monotonic()
        same = tcp_transfer(a.vm, b.vm, b.ips[0])
        self.proofs.that(same, f"{a.short} sends 8 MB over TCP to {b.ips[0]}, checksums equal ({time.monotonic() - begun:.1f} s)")

    def marked(self, target, source, marker):
        return target + source + EXPERIMENT + marker + bytes(46 - len(marker))

    def across(self):
        """Four attempts of red's to reach blue, each with a marker of its own that no machine of blue's may hear."""
        red_a, red_b, blue_a, blue_b = (self.ports[name] for name in ("red/a", "red/b", "blue/a", "blue/b"))
        own, host1, host2 = proof.mac_bytes(red_a.mac), self.edges[red_a.edge], self.edges[blue_b.edge]
        markers = [os.urandom(16).replace(b"\0", b"\1") for _ in range(4)]
        for port in (red_b, blue_a, blue_b):
            port.vm.frame_listen("eth0", 60)
        watch = host1.host.capture(FABRIC, self.lab.dir + "/marked.pcap")

        red_a.vm.frame_send("eth0", self.marked(b"\xff" * 6, own, markers[0]))
        red_a.vm.frame_send("eth0", self.marked(proof.mac_bytes(red_b.mac), own, markers[3]))
        self.attempt("red/a sends a frame to blue/b's provider address", host1, red_a.device, ("unknown-unicast",),
                     lambda: red_a.vm.frame_send("eth0", self.marked(blue_b.provider_mac, own, markers[1])))
        self.attempt("red/a sends a frame with a forged source", host1, red_a.device, ("anti-spoof",),
                     lambda: red_a.vm.frame_send("eth0", self.marked(proof.mac_bytes(blue_b.mac), red_b.provider_mac, markers[2])))
        watch.stop()
        on_fabric = [f.data for f in proof.frames(watch.path) if markers[3] in f.data]
        self.proofs.that(len(on_fabric) == 1, f"red/a's frame to red/b crosses the fabric {len(on_fabric)} time(s)")
        if on_fabric:
            # Whoever holds the fabric turns red's frame to blue's landing; the path class in byte 3 stays as it was.
            stolen = blue_b.provider_mac[:3] + on_fabric[0][3:4] + blue_b.provider_mac[4:] + on_fabric[0][6:]
            self.attempt("red/a's frame, turned to blue/b on the fabric", host2, FABRIC, ("foreign-source",),
                         lambda: host1.host.run([self.guest.frame, "send", FABRIC, stolen.hex()]))
        heard = {port.short: b"".join(port.vm.frames_heard()) for port in (red_b, blue_a, blue_b)}
        self.proofs.that(markers[0] in heard["red/b"] and markers[3] in heard["red/b"], "red/b hears red/a's broadcast and unicast")
        for name in ("blue/a", "blue/b"):
            count = sum(marker in heard[name] for marker in markers)
            self.proofs.that(not count, f"{name} hears {count} of red's {len(markers)} frames")

    def attempt(self, what, switch, device, reasons, act):
        """Does it, and looks for the drop that the switch counts."""
        keys = [(device, reason) for reason in reasons]
        before = switch.drops()
        act()
        deadline = time.monotonic() + 3
        while not (counted := [key for key in keys if (now := switch.drops()).get(key, 0) > before.get(key, 0)]) \
                and time.monotonic() < deadline:
            time.sleep(0.1)
        found = f"dropped at {switch.name} {device}, reason {counted[0][1]}" if counted else \
            f"no drop for {' or '.join(reasons)} at {switch.name} {device}; it counts {now}"
        self.proofs.that(counted, f"{what}: {found}")

    def fabric(self):
        self.capture.stop()
        addresses = sorted({address for port in self.ports.values() for address in port.addresses})
        count, hit = proof.find_address(self.capture.path, addresses)
        carried = sum(any(f.data[:3] == p.provider_mac[:3] and f.data[4:6] == p.provider_mac[4:] for p in self.ports.values())
                      for f in proof.frames(self.capture.path))
        self.proofs.that(carried > 1000 and not hit, f"the fabric carried {count} frames, {carried} of them between the machines; "
                         + (f"it showed {hit}" if hit else "no tenant's MAC or IP address was in any"))

    # --- 5 ---

    def hints(self):
        vpcctl = f"{os.path.relpath(program('vpcctl'))} --server {self.ctl.server}"
        vswctl = f"{os.path.relpath(program('vswctl'))} -s {self.edges['host1'].socket}"
        red_a, red_b = self.ports["red/a"], self.ports["red/b"]
        # So that there is something to look at.
        red_a.vm.run(f"ping {red_b.ips[0]} > /dev/null 2>&1 &", check=True)
        say(f"5. it stays up until Ctrl-C, and {red_a.short} goes on pinging {red_b.ips[0]}; "
            f"from another terminal, in {os.getcwd()}, for example:")
        for line in (f"{vpcctl} get ports -o wide", f"{vpcctl} get links", f"{vpcctl} trace {red_a.name} --to {red_b.ips[0]}",
                     f"{vpcctl} whois {self.ports['blue/b'].provider_mac.hex(':')}", f"{vswctl} ports", f"{vswctl} flows table=0",
                     f"{vswctl} drops", f"{vswctl} capture {red_a.device} -w /tmp/red-a.pcap -c 10"):
            say(f"   {line}")

    def stay(self):
        dead = set()
        try:
            while True:
                for process in self.lab.processes:
                    if process not in dead and not process.alive():
                        dead.add(process)
                        say(f"   {process.name} ended by itself, with status {process.popen.returncode}\n{process.log_tail()}")
                self.lab.signals.check()
                time.sleep(0.5)
        except Interrupted:
            say("taking everything down")


def run(check):
    with Lab() as lab:
        scene = Quickstart(lab, image.prepare(say))
        scene.hosts()
        scene.tenants()
        scene.machines()
        scene.prove()
        proofs = scene.proofs
        say(f"   {proofs.held} proofs held, {proofs.failed} failed")
        if not check:
            scene.hints()
            scene.stay()
    return 1 if proofs.failed or not proofs.held else 0


def main(argv):
    if argv not in ([], ["--check"]):
        print("usage: ./quickstart [--check]", file=sys.stderr)
        return 2
    begun = time.monotonic()
    try:
        status = run(bool(argv))
    except (LabError, image.ImageError, proof.PcapError) as error:
        print(f"quickstart: {error}", file=sys.stderr)
        return 1
    if argv:
        say(f"{'NOT every' if status else 'every'} proof held; everything is taken down ({time.monotonic() - begun:.0f} s)")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""VM: a stock Debian kernel under QEMU, its NICs on vhost-user sockets, and a command channel into the guest.

    vms = [VM(host, "vm1", image, [Nic("52:54:00:00:00:01", "/.../p1.sock")]), ...]
    for vm in vms: vm.start()
    for vm in vms: vm.wait_boot()
    vms[0].configure("eth0", "10.0.0.11/24")
    vms[0].ping("10.0.0.12", 3)

QEMU does not go on before every vhost-user socket is connected, in either role: start the switch first, or at least
before wait_boot().  start() returns at once, so several guests boot side by side.

Commands travel over the second serial port; guest-init, the other end, describes the framing.
"""
import base64
import itertools
import json
import os
import platform
import re
import select
import socket
import subprocess
import time

from .cleanup import LabError

QEMU = "qemu-system-x86_64"
KVM_PROBE_SECONDS = 10
ANSWER = re.compile(rb"\x01 (\d+) (\d+) (\d+)\n")
TRANSFER_PORT = 5001


class Nic:
    """One virtio-net card on a vhost-user socket.

    qemu_server: QEMU listens and the switch connects (its port has role "client", the default), or the reverse.
    offloads: False makes the guest finish checksums and cut segments itself, for backends that cannot.
    """

    def __init__(self, mac, path, qemu_server=True, queues=1, offloads=True, mtu=None):
        self.mac, self.path, self.qemu_server, self.queues, self.offloads, self.mtu = \
            mac, path, qemu_server, queues, offloads, mtu


class VM:
    """One guest.  Its QEMU runs inside `host`'s namespace and ends with the Lab."""

    def __init__(self, host, name, image, nics=(), memory_mb=96, accel=None):
        self.host, self.name, self.image, self.nics, self.memory_mb = host, name, image, list(nics), memory_mb
        self.accel = accel or accelerator(host.lab, image)
        self.process = None
        self.console_log = host.path(name + ".console")
        self._command_path = host.path(name + ".cmd")
        self._socket = None
        self._received = b""
        self._tokens = itertools.count(1)

    # --- life ---

    def arguments(self):
        machine = ["-accel", self.accel, "-cpu", "host" if self.accel == "kvm" else "max", "-smp", "1",
                   "-m", f"{self.memory_mb}M",
                   # The switch maps the guest's memory: it must be shared.
                   "-object", f"memory-backend-memfd,id=mem,size={self.memory_mb}M,share=on", "-numa", "node,memdev=mem",
                   "-kernel", self.image.kernel, "-initrd", self.image.initramfs,
                   "-append", "console=ttyS0 quiet panic=1 random.trust_cpu=on",
                   "-chardev", f"file,id=console,path={self.console_log}", "-serial", "chardev:console",
                   "-chardev", f"socket,id=cmd,path={self._command_path},server=on,wait=off", "-serial", "chardev:cmd"]
        for index, nic in enumerate(self.nics):
            machine += self._nic_arguments(index, nic)
        return [QEMU, "-name", self.name, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", *machine]

    def _nic_arguments(self, index, nic):
        role = "server=on,wait=off" if nic.qemu_server else "reconnect=1"
        queues = nic.queues if self.accel == "kvm" else 1
        device = f"virtio-net-pci,netdev=net{index},mac={nic.mac},romfile="
        if self.accel != "kvm":
            device += ",vectors=0"      # QEMU 7.2 crashes under TCG when a vhost-user NIC with MSI-X starts
        elif queues > 1:
            device += f",mq=on,vectors={2 * queues + 2}"
        if not nic.offloads:
            device += ",csum=off,gso=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off"
        if nic.mtu:
            device += f",host_mtu={nic.mtu}"
        return ["-chardev", f"socket,id=nic{index},path={nic.path},{role}",
                "-netdev", f"vhost-user,id=net{index},chardev=nic{index},queues={queues}", "-device", device]

    def start(self):
        """Starts QEMU; returns at once."""
        for path in (self._command_path, *(nic.path for nic in self.nics if nic.qemu_server)):
            if os.path.exists(path):
                os.unlink(path)         # of this VM's earlier life
        self.process = self.host.spawn(self.name, self.arguments(), kill=True)
        return self

    def wait_boot(self, seconds=90):
        """Returns when the guest answers commands."""
        try:
            self.host.lab.wait_for(f"{self.name} to boot", self._answers, seconds, of=[self.process])
        except LabError as error:
            raise LabError(f"{error}{self._console_tail()}") from None
        return self

    def stop(self):
        self.process.kill()
        self.host.lab.forget(self.process)
        if self._socket:
            self._socket.close()
            self._socket = None

    def _console_tail(self):
        try:
            with open(self.console_log, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()[-10:]
        except FileNotFoundError:
            lines = []
        return "".join(f"    {self.name} console: {line}\n" for line in lines)

    # --- the command channel ---

    def _answers(self):
        if self._socket is None:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                channel.connect(self._command_path)
            except (FileNotFoundError, ConnectionRefusedError):
                channel.close()
                return False
            self._socket = channel
        return self._exchange("true", 5, 0.5) is not None

    def _exchange(self, script, seconds, wait, pause=0):
        """Sends a script and waits for its own answer: (exit status, bytes), or None when `wait` seconds are over.

        `pause`: seconds between the halves of the request, as a machine under load may make them.
        """
        token = next(self._tokens)
        request = f"run {token} {seconds} {base64.b64encode(script.encode()).decode()}\n"
        deadline = time.monotonic() + wait
        try:
            self._socket.sendall(request[:len(request) // 2].encode())
            time.sleep(pause)
            self._socket.sendall(request[len(request) // 2:].encode())
            while True:
                if (answer := self._take_answer()) and answer[0] == token:
                    return answer[1:]
                if answer:
                    continue            # of a request that was given up
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self.host.lab.signals.check()
                if select.select([self._socket], [], [], min(left, 0.5))[0]:
                    data = self._socket.recv(65536)
                    if not data:
                        raise ConnectionError
                    self._received += data
        except OSError:
            raise LabError(f"{self.name}: QEMU closed the command channel\n{self.process.log_tail()}") from None

    def _take_answer(self):
        """The first whole answer received: (token, exit status, bytes), or None."""
        match = ANSWER.search(self._received)
        if not match:
            return None
        token, status, size = (int(g) for g in match.groups())
        end = match.end() + size
        if len(self._received) < end:
            return None
        output = self._received[match.end():end]
        self._received = self._received[end:]
        return token, status, output

    def run(self, script, timeout=30, check=False, pause=0):
        """Runs a shell script in the guest: (exit status, output).  137 is a script killed after `timeout` seconds."""
        answer = self._exchange(script, timeout, timeout + 30, pause)
        if answer is None:
            raise LabError(f"{self.name} did not answer {script!r}\n{self._console_tail()}")
        status, output = answer[0], answer[1].decode(errors="replace")
        if check and status:
            raise LabError(f"{self.name}: {script}: exit status {status}\n{output}")
        return status, output

    # --- what tests do in a guest ---

    def configure(self, interface, *addresses, mtu=None):
        """Brings an interface up with addresses like 10.0.0.1/24 or fd00::1/64 (usable at once: guest-init turns DAD off)."""
        lines = [f"ip addr add {a} dev {interface}" for a in addresses]
        lines.append(f"ip link set {interface} {f'mtu {mtu} ' if mtu else ''}up")
        self.run(" && ".join(lines), check=True)

    def ping(self, address, count=3, wait=2, size=56):
        """The number of echo replies."""
        program = "ping6" if ":" in address else "ping"
        _, output = self.run(f"{program} -c {count} -W {wait} -s {size} {address}", timeout=count * (wait + 1) + 10)
        match = re.search(r"(\d+) packets received", output)
        if not match:
            if "unreachable" in output:
                return 0
            raise LabError(f"{self.name}: ping {address} said:\n{output}")
        return int(match[1])

    def frame_send(self, interface, frame, count=1):
        """Puts the bytes `frame` on the wire."""
        self.run(f"frame send {interface} {bytes(frame).hex()} {count}", check=True)

    def frame_listen(self, interface, seconds):
        """Starts to collect what arrives, in the background; frames_heard() fetches it."""
        self.run(f"frame recv {interface} {seconds} > /tmp/heard 2> /tmp/heard.err & echo $! > /tmp/heard.pid\n"
                 "until grep -q listening /tmp/heard.err; do\n"
                 "    kill -0 $! || { cat /tmp/heard.err; exit 1; }\n"
                 "    usleep 20000\n"
                 "done", check=True)

    def frames_heard(self):
        """Ends frame_listen() and returns the frames, as bytes."""
        _, output = self.run("kill $(cat /tmp/heard.pid); wait; cat /tmp/heard", timeout=60)
        return [bytes.fromhex(line) for line in output.splitlines()]


def tcp_transfer(source, target, address, size=8 << 20, timeout=120):
    """Moves random data from `source` to `target` (which has `address`) over TCP; True when the checksums agree.

    The data is base64 of /dev/urandom: it cannot be compressed or guessed, and yet holds no zero byte, so it does not by
    chance contain an address like 10.0.0.11 that proof.py looks for.
    """
    bytes_in = size * 3 // 4
    target.run(f"rm -f /tmp/in; nc -l -p {TRANSFER_PORT} -e sh -c 'cat > /tmp/in' > /dev/null 2>&1 &", check=True)
    source.run(f"head -c {bytes_in} /dev/urandom | base64 -w 0 > /tmp/out", timeout=timeout, check=True)
    # The receiver needs a moment to listen.
    target.run(f"for i in $(seq 50); do netstat -tln | grep -q ':{TRANSFER_PORT} ' && exit 0; usleep 100000; done; exit 1",
               check=True)
    status, output = source.run(f"nc -w 10 {address} {TRANSFER_PORT} < /tmp/out", timeout=timeout)
    if status:
        target.run("killall nc")
        return False
    sums = [vm.run(f"sync; stat -c %s {path}; sha256sum < {path}", timeout=timeout, check=True)[1]
            for vm, path in ((source, "/tmp/out"), (target, "/tmp/in"))]
    return sums[0] == sums[1] and sums[0].startswith(f"{bytes_in // 3 * 4 + (4 if bytes_in % 3 else 0)}\n")


# --- KVM or not ---

def accelerator(lab, image, say=None):
    """"kvm" if a guest really boots under it here, else "tcg".

    /dev/kvm alone proves nothing: on some machines it opens, and the guest hangs.  One guest is booted with a time limit,
    and the verdict is kept in the cache until the machine, its kernel or QEMU changes.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    machine = _machine()
    path = os.path.join(image.cache, "accel.json")
    try:
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
        if known["machine"] == machine:
            return known["accel"]
    except (FileNotFoundError, ValueError, KeyError):
        pass                            # not known yet, or half written
    if say:
        say(f"trying whether a guest boots under KVM here (at most {KVM_PROBE_SECONDS} s, once)")
    accel = "kvm" if _boots_under_kvm(lab, image) else "tcg"
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({"machine": machine, "accel": accel}, file)
    os.replace(path + ".new", path)
    return accel


def _machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "?")
    version = subprocess.run([QEMU, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
    return [platform.node(), platform.release(), model, version]


def _boots_under_kvm(lab, image):
    host = lab.host("kvmprobe")
    vm = VM(host, "kvmprobe", image, accel="kvm").start()
    try:
        vm.wait_boot(KVM_PROBE_SECONDS)
        return True
    except LabError:
        return False
    finally:
        vm.stop()

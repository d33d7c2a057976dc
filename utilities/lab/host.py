"""Lab, a run that owns everything it makes, and Host, a network namespace that stands for one machine.

    with Lab() as lab:
        a, b = lab.host("a"), lab.host("b")
        lab.link(a, "fab0", b, "fab0")
        a.spawn("sleeper", ["sleep", "1000"])
        print(a.run(["ip", "-br", "link"]).output)

When the block ends, for whatever reason, all of it is gone (cleanup.py says how).  One Lab at a time in a process, used
from the main thread only: the kernel ends a child when the *thread* that started it ends, and Python handles signals in
the main thread.
"""
import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

from . import cleanup
from .cleanup import LabError

MAX_SOCKET_PATH = 107                   # sun_path of unix(7), less its final zero byte


def say(line):
    """Prints a line at once; a terminal that went away is no reason to stop tidying up."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


class Result:
    """What a finished command gave: exit status and output (stdout only when stderr was kept apart)."""

    def __init__(self, argv, rc, output, errors=""):
        self.argv, self.rc, self.output, self.errors = argv, rc, output, errors

    def __repr__(self):
        return f"{' '.join(self.argv)}: exit status {self.rc}\n{self.output}{self.errors}".rstrip()


class Process:
    """A daemon of the lab, with a log."""

    def __init__(self, name, argv, popen, log, kill):
        self.name, self.argv, self.popen, self.log = name, argv, popen, log
        self._kill = kill               # nothing to tidy up: is killed, not asked

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def ask_to_end(self):
        if self.alive():
            self.popen.send_signal(signal.SIGKILL if self._kill else signal.SIGTERM)

    def stop(self, seconds=10, signum=None):
        """Ends the process and returns its exit status; LabError if it had to be killed."""
        if signum is None:
            self.ask_to_end()
        elif self.alive():
            self.popen.send_signal(signum)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError(f"{self.name} did not end within {seconds} s; it was killed\n{self.log_tail()}") from None

    def kill(self):
        if self.alive():
            self.popen.kill()
        self.popen.wait()

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_tail(self, lines=20):
        tail = self.log_text().splitlines()[-lines:]
        return "".join(f"    {self.name}: {line}\n" for line in tail) or f"    {self.name}: (nothing logged)\n"


class Lab:
    """One run.  Makes hosts and links; ends and removes everything at the end of the with block."""

    def __init__(self, keep_logs=None):
        self.keep_logs = keep_logs or os.environ.get("POLDER_KEEP_LOGS")    # a folder that gets a copy of the run's files
        self.dir = None
        self.hosts = []
        self.processes = []
        self.signals = cleanup.Signals()
        self._lock_fd = None
        self._closed = False

    # --- life ---

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            raise LabError("a Lab is for the main thread")
        if os.geteuid() != 0:
            raise LabError("the lab makes network namespaces: run it as root")
        self.signals.install()
        atexit.register(self.close)     # for a signal that comes just before or after the with block
        with self.signals.hold():
            cleanup.sweep(say)
            self.dir, self._lock_fd = cleanup.create_folder()
            if len(os.path.join(self.dir, "hostname", "somelongport.sock")) > MAX_SOCKET_PATH:
                raise LabError(f"{self.dir} is too long for unix sockets; set TMPDIR to a shorter path")
            os.chmod(self.dir, 0o755)   # tcpdump and other tools that drop privileges still reach their files
        return self

    def __exit__(self, _kind, error, _trace):
        if isinstance(error, cleanup.Interrupted):
            say("interrupted: taking everything down")
        elif error is not None:
            self._show_logs()
        self.close()

    def close(self):
        """Ends everything; a second call does nothing."""
        self.signals.hold_for_good()
        if self._closed:
            return
        try:
            self._end_processes()
            if self.dir:
                self._copy_logs()
                cleanup.destroy(self.dir)
        finally:
            self._closed = True
            if self._lock_fd is not None:
                os.close(self._lock_fd)
            atexit.unregister(self.close)
            self.signals.restore()

    def _end_processes(self):
        """In the reverse order of starting, each given the same few seconds to tidy up its sockets."""
        for process in reversed(self.processes):
            process.ask_to_end()
        deadline = time.monotonic() + 5
        for process in reversed(self.processes):
            try:
                process.popen.wait(max(0.01, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                say(f"{process.name} did not end on SIGTERM and is killed")
                process.kill()

    def _copy_logs(self):
        if not self.keep_logs:
            return
        def not_plain(folder, names):
            return [n for n in names
                    if not (os.path.isfile(os.path.join(folder, n)) or os.path.isdir(os.path.join(folder, n)))
                    or os.path.ismount(os.path.join(folder, n))]
        try:
            target = os.path.join(self.keep_logs, os.path.basename(self.dir))
            shutil.copytree(self.dir, target, ignore=not_plain)
            say(f"logs kept in {target}")
        except (OSError, shutil.Error) as error:
            say(f"logs could not be kept: {error}")

    def _show_logs(self):
        for process in self.processes:
            with contextlib.suppress(OSError):
                print(process.log_tail(), end="", file=sys.stderr, flush=True)

    # --- parts ---

    def host(self, name):
        host = Host(self, name)
        self.hosts.append(host)
        return host

    def link(self, a, a_name, b, b_name, mtu=1500):
        """A cable: a veth pair between two hosts.  The kernels at its ends keep quiet and finish their checksums."""
        with self.signals.hold():
            self._ip("link", "add", "name", a_name, "netns", a.namespace, "mtu", str(mtu), "type", "veth",
                     "peer", "name", b_name, "netns", b.namespace, "mtu", str(mtu))
        for host, name in ((a, a_name), (b, b_name)):
            host.run(["ethtool", "-K", name, "tx", "off"])
            host.run(["ip", "link", "set", name, "arp", "off", "up"])

    def hugepages(self, megabytes):
        """Adds 2 MB hugepages for the run and mounts a hugetlbfs of its own; returns the mount point."""
        with self.signals.hold():
            cleanup.add_hugepages(self.dir, (megabytes + 1) // 2)
            point = os.path.join(self.dir, "hugetlbfs")
            os.mkdir(point)
            self.execute(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "polder-lab", point])
        return point

    def _ip(self, *args):
        return self.execute(["ip", *args])

    # --- commands and daemons ---

    def environment(self, extra=None, folder=None):
        """The environment of every child: marked as this run's, with places for temporary and runtime files inside it."""
        place = folder or self.dir
        return {**os.environ, cleanup.MARK: self.dir, "TMPDIR": place, "RUNTIME_DIRECTORY": place, "LC_ALL": "C.UTF-8",
                **(extra or {})}

    def popen(self, argv, env=None, folder=None, **kwargs):
        """Popen in a session of its own (a terminal's Ctrl-C is the lab's to handle) that dies with the lab."""
        assert threading.current_thread() is threading.main_thread()
        try:
            return subprocess.Popen(argv, env=self.environment(env, folder), start_new_session=True,
                                    preexec_fn=cleanup.dying_with_parent(os.getpid()), **kwargs)
        except FileNotFoundError:
            raise LabError(f"{argv[0]} is missing; build Polder, or let ./quickstart install the packages") from None

    def execute(self, argv, check=True, timeout=60, env=None, folder=None, stdin="", merge=True):
        """Runs a command to its end.  With check, LabError unless it succeeds; merge puts stderr into the output."""
        with self.signals.hold():
            popen = self.popen(argv, env, folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT if merge else subprocess.PIPE, text=True, errors="replace")
        try:
            output, errors = popen.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            popen.kill()
            output, _ = popen.communicate()
            raise LabError(f"{' '.join(argv)}: not finished after {timeout} s\n{output}") from None
        except BaseException:
            popen.kill()
            popen.wait()
            raise
        result = Result(argv, popen.returncode, output, errors or "")
        if check and result.rc:
            raise LabError(repr(result))
        return result

    def start(self, name, argv, env=None, folder=None, log=None, kill=False):
        """Starts a daemon that stays in the foreground; its output goes to a log in the run's folder."""
        folder = folder or self.dir
        log = log or os.path.join(folder, name + ".log")
        with self.signals.hold(), open(log, "ab") as out:
            popen = self.popen(argv, env, folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=folder)
            process = Process(name, argv, popen, log, kill)
            self.processes.append(process)
        return process

    def forget(self, process):
        """The process was ended on purpose."""
        self.processes.remove(process)

    def wait_for(self, what, condition, seconds=20, of=()):
        """Polls until `condition()` is true and returns its value.  LabError when time is up or a process in `of` died."""
        deadline = time.monotonic() + seconds
        pause = 0.01
        while True:
            self.signals.check()
            if value := condition():
                return value
            for process in of:
                if not process.alive():
                    raise LabError(f"waiting for {what}: {process.name} ended with status {process.popen.returncode}\n"
                                   f"{process.log_tail()}")
            if time.monotonic() > deadline:
                raise LabError(f"waited {seconds} s for {what} in vain\n" + "".join(p.log_tail() for p in of))
            time.sleep(pause)
            pause = min(0.2, pause * 1.5)


class Host:
    """A network namespace with a folder.  Its interfaces have no addresses and speak no IPv6 by themselves."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.namespace = cleanup.namespace_prefix(lab.dir) + name
        self.dir = os.path.join(lab.dir, name)
        os.mkdir(self.dir)
        with lab.signals.hold():
            lab.execute(["ip", "netns", "add", self.namespace])
        # Every interface that comes later takes the default, so router solicitations and DAD never reach a fabric.
        self.run(["sh", "-c", "cd /proc/sys/net/ipv6/conf && echo 1 > default/disable_ipv6 && ip link set lo up"])

    def path(self, name):
        return os.path.join(self.dir, name)

    def _inside(self, argv):
        # Not "ip netns exec": it mounts a /sys of its own, and so asks that / is a mount point, which it is not in a chroot.
        return ["nsenter", f"--net={os.path.join(cleanup.NETNS_DIR, self.namespace)}", *argv]

    def run(self, argv, **kwargs):
        """Runs a command inside; arguments as Lab.execute()."""
        return self.lab.execute(self._inside(argv), folder=self.dir, **kwargs)

    def spawn(self, name, argv, env=None, log=None, kill=False):
        """Starts a daemon inside; `name` is unique on this host."""
        return self.lab.start(name, self._inside(argv), env=env, folder=self.dir, log=log, kill=kill)

    def capture(self, interface, path, expression=""):
        """Captures what passes an interface into a pcap file until stop() of the Capture."""
        return Capture(self, interface, path, expression)


class Capture:
    """tcpdump on one interface of a host."""

    def __init__(self, host, interface, path, expression):
        self.path = path
        self._lab = host.lab
        name = f"tcpdump-{interface}-{len(host.lab.processes)}"
        self._process = host.spawn(name, ["tcpdump", "-i", interface, "-n", "-U", "-s", "0", "-B", "16384", "-Z", "root",
                                          "--immediate-mode", "-w", path, *expression.split()])
        host.lab.wait_for("tcpdump to listen", lambda: "listening on" in self._process.log_text(), of=[self._process])

    def stop(self):
        """Ends the capture; LabError if the kernel dropped frames, for then it proves nothing."""
        self._process.stop()
        self._lab.forget(self._process)
        text = self._process.log_text()
        if "0 packets dropped by kernel" not in text.splitlines():
            raise LabError(f"the capture of {self.path} is not whole:\n{self._process.log_tail()}")
        return self.path

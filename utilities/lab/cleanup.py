"""Who owns what a run of the lab creates, and how all of it goes away again.

A run owns one folder, TMPDIR/polder-lab-XXXXXX, and everything else it makes can be found from that folder's name:
    processes    carry POLDER_LAB=<folder> in their environment (so do their children, whoever forked them)
    namespaces   are called polder-XXXXXX-<host>; veth ends live in them only, and die with them
    mounts       lie below the folder
    hugepages    that were added are counted in <folder>/hugepages-added
So destroy(folder) needs no memory of the run: the run's own end, and the next run's sweep() after a SIGKILL, are the
same code.  The owner holds a lock (flock) on the folder for as long as it lives, which is how sweep() knows the dead
from the living; the kernel lets go of it however the owner ends.

Every process also dies with its owner (PR_SET_PDEATHSIG), so a SIGKILL leaves nothing running in the meantime.

Signals: SIGINT, SIGTERM and SIGHUP raise Interrupted once, in the main thread, and not inside a hold() block; from then
on they are only remembered.  So the first one starts the unwinding, and no later one can stop it.
"""
import contextlib
import ctypes
import errno
import fcntl
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time

FOLDER_PREFIX = "polder-lab-"
MARK = "POLDER_LAB"
NR_HUGEPAGES = "/proc/sys/vm/nr_hugepages"
HUGEPAGES_ADDED = "hugepages-added"
NETNS_DIR = "/run/netns"
PR_SET_PDEATHSIG = 1                    # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something the lab did or waited for failed; the message is for people."""


class Interrupted(SystemExit):
    """A signal asked the run to end; the exit status is the shell's, 128 + signal."""

    def __init__(self, signum):
        super().__init__(128 + signum)
        self.signum = signum


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into one Interrupted."""

    CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self.signum = None              # the first signal that came
        self._held = 0
        self._old = {}

    def install(self):
        for signum in self.CAUGHT:
            self._old[signum] = signal.signal(signum, self._arrived)

    def restore(self):
        """Gives the handlers back; in a run that is ending on a signal, later ones are ignored up to its last instruction."""
        while self._old:
            signum, old = self._old.popitem()
            signal.signal(signum, old if self.signum is None else signal.SIG_IGN)

    def _arrived(self, signum, _frame):
        first = self.signum is None
        if first:
            self.signum = signum
        if first and not self._held:
            raise Interrupted(signum)

    @contextlib.contextmanager
    def hold(self):
        """No Interrupted inside the block; it is raised at the block's end instead."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        self.check()

    def hold_for_good(self):
        self._held += 1

    def check(self):
        """Raises Interrupted again if one was swallowed on its way (in a destructor, say) or held back."""
        if self.signum is not None and not self._held:
            raise Interrupted(self.signum)


def dying_with_parent(parent):
    """A preexec_fn: the child is killed when its parent (this thread of process `parent`) ends."""
    def in_child():
        if _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(127)               # the parent died in between: nobody would ever end this child
    return in_child


def create_folder():
    """Makes and locks a run's folder.  Returns (path, descriptor that holds the lock)."""
    while True:
        path = tempfile.mkdtemp(prefix=FOLDER_PREFIX)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue                    # another run's sweep() came between mkdtemp() and here
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(path).st_ino == os.fstat(fd).st_ino:
                return path, fd
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.ENOENT):
                raise
        os.close(fd)


def sweep(say):
    """Destroys what runs left behind whose owner is dead."""
    for path in glob.glob(os.path.join(tempfile.gettempdir(), FOLDER_PREFIX + "*")):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue                    # gone meanwhile, or not a folder of ours
        try:
            if os.fstat(fd).st_uid != os.getuid():
                continue
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            say(f"removing what an earlier run left in {path}")
            destroy(path)
        except BlockingIOError:
            pass                        # its owner is alive
        finally:
            os.close(fd)


def living_runs():
    """Folders of the runs whose owner is alive, wherever their TMPDIR is: the owner keeps its folder open."""
    found = set()
    for link in glob.glob("/proc/[0-9]*/fd/[0-9]*"):
        with contextlib.suppress(OSError):      # closed or ended meanwhile
            target = os.readlink(link)
            if os.path.basename(target).startswith(FOLDER_PREFIX):
                found.add(target)
    return found


def hugepages_added(folders):
    """The number of hugepages that these runs have added to the machine's pool."""
    count = 0
    for folder in folders:
        with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, HUGEPAGES_ADDED), encoding="ascii") as file:
            count += int(file.read() or 0)
    return count


def namespace_prefix(folder):
    return "polder-" + os.path.basename(folder).removeprefix(FOLDER_PREFIX) + "-"


def destroy(folder):
    """Ends and removes everything of the run that owned `folder`, and the folder last.  LabError names what resisted."""
    errors = []
    for step in (_kill_processes, _delete_namespaces, _unmount, _return_hugepages, _remove_folder):
        try:
            step(folder)
        except (OSError, LabError, subprocess.SubprocessError) as error:
            errors.append(f"{step.__name__.strip('_')}: {error}")
    if errors:
        raise LabError(f"{folder} was not removed completely: " + "; ".join(errors))


def marked_processes(folder):
    """Ids of the processes, other than this one, that were started for the run of `folder`."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                if mark in file.read().split(b"\0"):
                    found.append(int(entry))
        except OSError:
            pass                        # ended meanwhile
    return found


def _kill_processes(folder):
    deadline = time.monotonic() + 10
    while processes := marked_processes(folder):
        if time.monotonic() > deadline:
            raise LabError(f"processes {processes} do not end")
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _delete_namespaces(folder):
    for path in glob.glob(os.path.join(NETNS_DIR, namespace_prefix(folder) + "*")):
        subprocess.run(["ip", "netns", "delete", os.path.basename(path)], check=True, timeout=20, start_new_session=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _mounts_below(folder):
    with open("/proc/self/mounts", encoding="utf-8") as file:
        points = [line.split()[1].encode().decode("unicode_escape") for line in file]
    return [point for point in points if point.startswith(folder + "/")]


def _unmount(folder):
    for point in reversed(_mounts_below(folder)):
        subprocess.run(["umount", point], check=True, timeout=20, start_new_session=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def read_hugepages():
    with open(NR_HUGEPAGES, encoding="ascii") as file:
        return int(file.read())


def write_hugepages(count):
    with open(NR_HUGEPAGES, "w", encoding="ascii") as file:
        file.write(f"{count}\n")


def add_hugepages(folder, count):
    """Adds `count` pages to the machine's pool for the run; fewer are refused.

    The number is written down before the pages are added, and given back as a difference, so that runs side by side
    do not undo each other's.
    """
    before = read_hugepages()
    with open(os.path.join(folder, HUGEPAGES_ADDED), "x", encoding="ascii") as file:
        file.write(f"{count}\n")
    write_hugepages(before + count)
    if read_hugepages() < before + count:
        raise LabError(f"the kernel gave {read_hugepages() - before} of {count} hugepages; free some memory")


def _return_hugepages(folder):
    journal = os.path.join(folder, HUGEPAGES_ADDED)
    if os.path.exists(journal):
        with open(journal, encoding="ascii") as file:
            count = int(file.read() or 0)
        write_hugepages(max(0, read_hugepages() - count))
        os.unlink(journal)


def _remove_folder(folder):
    if left := _mounts_below(folder):
        raise LabError(f"{left} still mounted")
    if os.path.exists(folder):
        shutil.rmtree(folder)

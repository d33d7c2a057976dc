"""The guest of the lab: a stock Debian kernel and an initramfs made from busybox-static, built once into a cache.

The kernel is the package that linux-image-cloud-amd64 depends on.  It and busybox-static are downloaded and unpacked, never
installed: the host's boot stays as it is, and so does a busybox that the host has.  What is in the cache is used without
asking the package index again; remove the cache to get newer ones.  The initramfs is made again whenever what goes into
it has changed: busybox, the kernel's modules, guest-init, frame.c or this file.

The cache is $POLDER_CACHE, or build-lab/ in the top directory.  It holds
    debian-VERSION/{vmlinuz,busybox,modules/*.ko}
    guest-DIGEST/{initramfs,frame}
    accel.json          whether a guest really boots under KVM here (see vm.py)
A folder appears under its name only when it is complete, and a lock serialises several runs.
"""
import contextlib
import fcntl
import glob
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
META_PACKAGE = "linux-image-cloud-amd64"
BUSYBOX_PACKAGE = "busybox-static"

# In load order: insmod does not resolve dependencies.
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci",
           "failover", "net_failover", "virtio_net")


class ImageError(Exception):
    """The guest could not be made; the message says what to do."""


class Image:
    """Paths of one complete guest."""

    def __init__(self, cache, debian_dir, guest_dir):
        self.cache = cache
        self.kernel = os.path.join(debian_dir, "vmlinuz")
        self.initramfs = os.path.join(guest_dir, "initramfs")
        self.frame = os.path.join(guest_dir, "frame")       # the static frame tool, for namespaces of the host too
        self.name = os.path.basename(debian_dir) + "+" + os.path.basename(guest_dir)


def cache_dir():
    return os.path.abspath(os.environ.get("POLDER_CACHE") or os.path.join(TOP, "build-lab"))


def prepare(say=print):
    """Returns the Image, building what is missing; `say` gets a line before each long step."""
    cache = cache_dir()
    os.makedirs(cache, exist_ok=True)
    with _locked(cache):
        for half_made in glob.glob(os.path.join(cache, "making-*")):
            shutil.rmtree(half_made)
        debian_dir = _packages(cache, say)
        guest_dir = _guest(cache, debian_dir, say)
    return Image(cache, debian_dir, guest_dir)


@contextlib.contextmanager
def _locked(cache):
    fd = os.open(cache, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _making(cache, name):
    """A scratch folder that becomes CACHE/NAME when the body succeeds and vanishes when it does not."""
    scratch = tempfile.mkdtemp(prefix="making-", dir=cache)
    try:
        yield scratch
        os.rename(scratch, os.path.join(cache, name))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _output(argv, **kwargs):
    """The command's stdout; a failure carries its own words."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, check=False, **kwargs)
    except FileNotFoundError:
        raise ImageError(f"{argv[0]} is not installed; ./quickstart installs what the lab needs") from None
    if done.returncode:
        raise ImageError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _packages(cache, say):
    """The folder with what comes out of Debian's packages."""
    have = sorted(glob.glob(os.path.join(cache, "debian-*")))
    if have:
        return have[-1]
    kernel = _kernel_package()
    if not kernel:
        say("reading the package index (apt-get update)")
        _output(["apt-get", "-q", "update"])
        kernel = _kernel_package()
    if not kernel:
        raise ImageError(f"apt-cache does not know what {META_PACKAGE} depends on; check the machine's package sources")
    say(f"downloading {kernel} and {BUSYBOX_PACKAGE} (about 28 MB; unpacked for the guests, not installed)")
    with tempfile.TemporaryDirectory(prefix="making-", dir=cache) as scratch:
        _download(scratch, kernel, BUSYBOX_PACKAGE)
        root = os.path.join(scratch, "root")
        for deb in glob.glob(os.path.join(scratch, "*.deb")):
            _output(["dpkg", "-x", deb, root])
        name = "debian-" + kernel.removeprefix("linux-image-")
        with _making(cache, name) as made:
            shutil.copy(_only(root, "boot/vmlinuz-*"), os.path.join(made, "vmlinuz"))
            shutil.copy(_only(root, "bin/busybox"), os.path.join(made, "busybox"))
            os.mkdir(os.path.join(made, "modules"))
            for module in MODULES:
                path = _only(root, f"lib/modules/*/kernel/**/{module}.ko")
                shutil.copy(path, os.path.join(made, "modules", module + ".ko"))
    return os.path.join(cache, name)


def _kernel_package():
    """The package behind META_PACKAGE, or None when the package index is empty."""
    done = subprocess.run(["apt-cache", "depends", "--important", META_PACKAGE], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    match = re.search(r"Depends: (linux-image-\S+-cloud-amd64)\s", done.stdout)
    return match and match[1]


def _download(folder, *packages):
    """Fetches the .deb files; once more after apt-get update, for the index may name versions that are gone."""
    argv = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages]
    try:
        _output(argv, cwd=folder)
    except ImageError:
        _output(["apt-get", "-q", "update"])
        _output(argv, cwd=folder)


def _only(root, pattern):
    found = glob.glob(os.path.join(root, pattern), recursive=True)
    if len(found) != 1:
        raise ImageError(f"the packages hold {len(found)} files {pattern} instead of one; "
                         f"image.py no longer fits {META_PACKAGE} or {BUSYBOX_PACKAGE}")
    return found[0]


def _guest(cache, debian_dir, say):
    init = os.path.join(HERE, "guest-init")
    busybox = os.path.join(debian_dir, "busybox")
    frame_source = os.path.join(HERE, "frame.c")
    modules = [os.path.join(debian_dir, "modules", name + ".ko") for name in MODULES]
    digest = hashlib.sha256()
    for path in (os.path.join(HERE, "image.py"), init, frame_source, busybox, *modules):
        digest.update(hashlib.sha256(_read(path)).digest())
    name = "guest-" + digest.hexdigest()[:16]
    path = os.path.join(cache, name)
    if os.path.isdir(path):
        return path
    say("making the guest's initramfs")
    with _making(cache, name) as made:
        frame = os.path.join(made, "frame")
        _output(["gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-static", "-s", "-o", frame, frame_source])
        archive = Cpio()
        for folder in ("bin", "dev", "modules"):
            archive.folder(folder)
        archive.file("init", _read(init), 0o755)
        archive.file("bin/busybox", _read(busybox), 0o755)
        archive.file("bin/frame", _read(frame), 0o755)
        archive.character_device("dev/console", 5, 1)
        archive.file("modules/order", "".join(m + "\n" for m in MODULES).encode(), 0o644)
        for module, module_path in zip(MODULES, modules):
            archive.file(f"modules/{module}.ko", _read(module_path), 0o644)
        with open(os.path.join(made, "initramfs"), "wb") as out:
            out.write(archive.finish())
    for old in glob.glob(os.path.join(cache, "guest-*")):
        if old != path and os.stat(old).st_mtime < time.time() - 86400:     # a run of today may be about to start it
            shutil.rmtree(old)
    return path


def _read(path):
    with open(path, "rb") as file:
        return file.read()


class Cpio:
    """Writes the "newc" archive of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

    Not compressed: the emulated guest would spend longer inflating it than QEMU spends loading it.
    """

    def __init__(self):
        self._parts = []
        self._inode = 0

    def folder(self, name):
        self._entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name, data, mode):
        self._entry(name, stat.S_IFREG | mode, data)

    def character_device(self, name, major, minor):
        self._entry(name, stat.S_IFCHR | 0o600, b"", major, minor)

    def finish(self):
        self._inode = -1
        self._entry("TRAILER!!!", 0, b"")
        return b"".join(self._parts)

    def _entry(self, name, mode, data, major=0, minor=0):
        self._inode += 1
        path = name.encode() + b"\0"
        # c_ino, c_mode, c_uid, c_gid, c_nlink, c_mtime, c_filesize, c_maj, c_min, c_rmaj, c_rmin, c_namesize, c_chksum
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(path), 0)
        header = b"070701" + b"".join(b"%08x" % f for f in fields) + path
        self._parts += [header, b"\0" * (-len(header) % 4), data, b"\0" * (-len(data) % 4)]

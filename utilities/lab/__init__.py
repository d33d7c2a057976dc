"""The lab: network namespaces, virtual machines and daemons for ./quickstart and tests/system/.

Read in this order:
    cleanup.py   who owns what a run creates, and how all of it goes away again
    host.py      Lab and Host: a run, and its network namespaces joined by veth links
    image.py     the guest: a Debian kernel and a busybox initramfs, made on the spot
    vm.py        VM: QEMU on vhost-user, and a command channel into the guest
    ovs.py       a private Open vSwitch, as fabric or as peer
    daemons.py   vswitchd, controllerd and their command lines
    proof.py     what a capture of the fabric must not hold
    selftest.py  the lab proved by itself
    quickstart.py  what ./quickstart shows

Only Python's standard library is used.  Everything runs as root: namespaces and captures need it.
"""

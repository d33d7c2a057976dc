# Sourced by ./quickstart and ./check (bash), from the top directory: installs what is missing, builds what has changed.
#
#   prepare run|test    says a line for each long step; ends the script with a message when something is not as needed
#
# Packages that were there already are left alone, and no package installed here leaves a service running or enabled.

logs=build-lab
policy=/usr/sbin/policy-rc.d
policy_mark='made by Polder, for the time of an installation'

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

check_machine() {
    [ "$(id -u)" = 0 ] || die "run it as root: it makes network namespaces and installs packages"
    local ID='' VERSION_ID='' PRETTY_NAME='an unknown system'
    [ ! -r /etc/os-release ] || . /etc/os-release
    [ "$ID-$VERSION_ID" = debian-12 ] ||
        die "made for Debian 12, and this is $PRETTY_NAME; elsewhere install what utilities/lab/packages lists and build by hand (README.md)"
    [ "$(uname -m)" = x86_64 ] || die "the lab's guests are x86_64 and this machine is $(uname -m)"
}

# wanted run|test: the names of the packages for it.
wanted() {
    awk -v test="$1" '!/^#/ && NF && ($2 == "run" || test == "test") { print $1 }' utilities/lab/packages
}

# missing NAME…: those that are not installed.
missing() {
    local name
    for name; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s\n' "$name"
    done
}

remove_our_policy() {
    if [ -f "$policy" ] && grep -q "$policy_mark" "$policy"; then rm -f "$policy"; fi
}

# Keeps invoke-rc.d from starting services; a policy of the machine's owner is left in place.
forbid_services() {
    [ -e "$policy" ] && return
    printf '#!/bin/sh\n# %s\nexit 101\n' "$policy_mark" > "$policy"
    chmod 755 "$policy"
}

# The units of packages that were just installed must not start at the next boot either.
disable_services() {
    command -v systemctl > /dev/null || return 0
    local unit
    for unit in $(dpkg -L "$@" | sed -n 's,^\(/usr\)\?/lib/systemd/system/\([^/@]*\.service\)$,\2,p' | sort -u); do
        systemctl disable --quiet "$unit" > /dev/null 2>&1 || say "  $unit could not be disabled; see systemctl status $unit"
        if systemctl is-active --quiet "$unit" 2>/dev/null; then systemctl stop "$unit"; fi
    done
}

apt_install() {
    apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@"
}

install_packages() {
    local absent before=$logs/packages.before after=$logs/packages.after
    # shellcheck disable=SC2046
    absent=$(missing $(wanted "$1") | tr '\n' ' ')
    [ -n "$absent" ] || return 0
    say "installing: $absent"
    remove_our_policy
    forbid_services
    dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' | sort > "$before"
    # shellcheck disable=SC2086
    logged $logs/install.log "installation" apt_install $absent
    dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' | sort > "$after"
    # shellcheck disable=SC2046
    disable_services $(comm -13 "$before" "$after" | sed -n 's/^installed //p')
    remove_our_policy
}

# logged LOG WHAT COMMAND…: runs it with its output in the log, and a line every ten seconds.
logged() {
    local log=$1 what=$2 lines=0 next=$((SECONDS + 10)) line
    shift 2
    "$@" 2>&1 | while IFS= read -r line; do
        printf '%s\n' "$line" >&3
        lines=$((lines + 1))
        if [ "$SECONDS" -ge "$next" ]; then say "  … $what: $lines lines of log"; next=$((SECONDS + 10)); fi
    done 3> "$log"
    local status=${PIPESTATUS[0]}
    [ "$status" = 0 ] || { tail -n 25 "$log" >&2; die "$what failed; the whole story is in $log"; }
}

build() {
    if [ ! -x configure ]; then
        say "making configure (autoreconf -i)"
        logged $logs/autoreconf.log "autoreconf" autoreconf -i
    fi
    if [ ! -f Makefile ]; then
        say "configuring"
        logged $logs/configure.log "configure" ./configure
    fi
    say "building (log: $logs/make.log)"
    logged $logs/make.log "make" make -j"$(nproc)"
}

prepare() {
    check_machine
    mkdir -p $logs
    trap 'remove_our_policy' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    install_packages "$1"
    build
    trap - EXIT INT TERM HUP
}

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

install_packages() {
    local absent before=$logs/packages.before after=$logs/packages.after
    # shellcheck disable=SC2046
    absent=$(missing $(wanted "$1") | tr '\n' ' ')
    [ -n "$absent" ] || return 0
    say "installing: $absent"
    remove_our_policy
    forbid_services
    dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' | sort > "$before"
    local DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    stop_how=ask
    # An installation that was cut off, ours or another's, is finished first: apt-get refuses to begin otherwise.
    [ -z "$(dpkg --audit)" ] || logged $logs/configure-packages.log "dpkg --configure -a" dpkg --configure -a
    logged $logs/update.log "apt-get update" apt-get -q update
    # The wait is for another installation, such as a new machine's own first update.
    # shellcheck disable=SC2086
    logged $logs/install.log "installation" apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install $absent
    stop_how=end
    dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' | sort > "$after"
    # shellcheck disable=SC2046
    disable_services $(comm -13 "$before" "$after" | sed -n 's/^installed //p')
    remove_our_policy
}

# A long step runs in a process group of its own, so that a signal to this script (a Ctrl-C among them) reaches the script
# alone, and it decides how the step ends; what the step wrote is in a log.
job=''
stop_how=end

# begin LOG COMMAND…: starts a step; its id is in $job.
begin() {
    local log=$1
    shift
    set -m
    "$@" > "$log" 2>&1 < /dev/null &
    job=$!
    set +m
}

# finish: waits for the step; gives its exit status.
finish() {
    wait "$job"
    local status=$?
    job=''
    return $status
}

# Ends the step that runs, if any.  apt-get finishes what dpkg has begun; everything else goes with its children.
stop_job() {
    trap '' INT TERM HUP
    [ -n "$job" ] || return 0
    if [ $stop_how = ask ]; then
        say "stopping; a package that is being unpacked is finished first"
        kill -INT "$job"
    else
        kill -TERM -- "-$job"
    fi 2> /dev/null
    wait "$job"
}

# tracked LOG WHAT COMMAND…: runs the step to its end, with a line every ten seconds; gives its exit status.
tracked() {
    local log=$1 what=$2 next=$((SECONDS + 10))
    shift 2
    begin "$log" "$@"
    while kill -0 "$job" 2> /dev/null; do
        sleep 0.1
        if [ "$SECONDS" -ge "$next" ]; then
            say "  … $what: $(wc -l < "$log") lines of log"
            next=$((SECONDS + 10))
        fi
    done
    finish
}

# logged LOG WHAT COMMAND…: tracked, and a failure ends the script.
logged() {
    tracked "$@" || { tail -n 25 "$1" >&2; die "$2 failed; the whole story is in $1"; }
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

# From here to the end of the script (or its exec) nothing outlives it.
prepare() {
    check_machine
    mkdir -p $logs
    trap 'remove_our_policy' EXIT
    trap 'stop_job; exit 130' INT
    trap 'stop_job; exit 143' TERM
    trap 'stop_job; exit 129' HUP
    install_packages "$1"
    build
}

# Completion of vswctl(8) for bash.

# Words that fit.  Readline puts them in behind the last word break ("=" or ":"), so what is before it is cut off.
_vswctl_words() {
    local word cut=${current%"${current##*[=:]}"}
    while read -r word; do
        [[ $word ]] && COMPREPLY+=("${word#"$cut"}")
    done < <(compgen -W "$1" -- "$current")
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}

_vswctl_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
}

# Names of the ports, each behind a prefix; nothing when vswitchd cannot be reached.
_vswctl_ports() {
    "${base[@]}" ports 2>/dev/null | awk -v prefix="$1" 'NR > 1 { print prefix $2 }'
}

# COMP_WORDS as far as the cursor into words, without readline's cuts at "=" and ":".
_vswctl_glue() {
    local word glued=
    words=()
    for word in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do
        if [[ ${#words[@]} -gt 0 && ( $glued || $word =~ ^[=:]+$ ) ]]; then
            words[-1]+=$word
            [[ $word =~ ^[=:]+$ ]] && glued=1 || glued=
        else
            words+=("$word")
        fi
    done
}

_vswctl() {
    local words current previous= command= base=(vswctl) i
    COMPREPLY=()
    _vswctl_glue
    current=${words[-1]} previous=${words[-2]}
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        case ${words[i]} in
        -s|--socket|-n|--name) base+=("${words[i]}" "${words[i + 1]}"); ((i++)) ;;
        -o|--output) ((i++)) ;;
        -*) ;;
        *) command=${words[i]}; break ;;
        esac
    done
    local position=$((${#words[@]} - 2 - i))    # Of the current word behind the command.
    if [[ -z $command ]]; then
        case $previous in
        -s|--socket) _vswctl_files ;;
        -n|--name) _vswctl_words "$(cd /run/polder 2>/dev/null && ls -d -- */vswitchd.sock 2>/dev/null | cut -d/ -f1)" ;;
        -o|--output) _vswctl_words "table json" ;;
        *) _vswctl_words "show ports flows groups drops trace capture port-add port-del queues port-queues perf metrics log-level stop
                          --socket --name --output --version --help" ;;
        esac
        return
    fi
    case $command in
    ports|port-del|queues) ((position == 0)) && _vswctl_words "$(_vswctl_ports "")" ;;
    perf) _vswctl_words "--total --reset --json" ;;
    drops) _vswctl_words "$(_vswctl_ports "") --all" ;;
    capture)
        case $previous in
        -w|--write) _vswctl_files ;;
        -d|--direction) _vswctl_words "rx tx both" ;;
        -c|--count|-s|--snaplen) ;;
        *)
            if ((position == 0)); then _vswctl_words "$(_vswctl_ports "")"; fi
            [[ $current == -* ]] && _vswctl_words "--write --count --direction --snaplen"
            ;;
        esac
        ;;
    flows) _vswctl_words "table=" ;;
    trace)
        if ((position == 0)); then
            _vswctl_words "$(_vswctl_ports in_port=)"
            compopt -o nospace 2>/dev/null
        elif ((position == 1)); then
            _vswctl_words --packet
        fi
        ;;
    port-add) ((position > 0)) && _vswctl_words "type=vhost-user type=dpdk path= role=client role=server queues= devargs= ofport= mtu=" ;;
    port-queues)
        if ((position == 0)); then _vswctl_words "$(_vswctl_ports "")"; else _vswctl_words "rate_mbps= queue="; fi
        ;;
    log-level) ((position == 0)) && _vswctl_words "error warn info debug" ;;
    esac
}
complete -F _vswctl vswctl

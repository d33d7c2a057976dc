# bash completion for vswctl(8)
_vswctl()
{
    local cur prev words cword
    _init_completion -n = || return
    local commands="show ports flows groups drops trace capture port-add port-del perf metrics log-level stop"
    local i command= base=(vswctl)
    for ((i = 1; i < cword; i++)); do
        case ${words[i]} in
        -s | --socket | -n | --name) base+=("${words[i]}" "${words[++i]}") ;;
        -o | --output) ((++i)) ;;
        -*) ;;
        *) command=${words[i]}; break ;;
        esac
    done
    case $prev in
    -s | --socket | -w | --write) _filedir; return ;;
    -n | --name) COMPREPLY=($(compgen -W "$(cd /run/polder 2>/dev/null && ls)" -- "$cur")); return ;;
    -o | --output) COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
    -d | --direction) COMPREPLY=($(compgen -W "rx tx both" -- "$cur")); return ;;
    esac
    if [[ -z $command ]]; then
        COMPREPLY=($(compgen -W "$commands -s -n -o --help --version" -- "$cur"))
        return
    fi
    case $command in
    ports | drops | port-del | capture)
        local names=$("${base[@]}" -o json ports 2>/dev/null | sed -n 's/^[[:space:]]*"name":[[:space:]]*"\(.*\)",*$/\1/p')
        local more=
        [[ $command = drops ]] && more=--all
        [[ $command = capture ]] && more="-w -c -d --snaplen"
        COMPREPLY=($(compgen -W "$names $more" -- "$cur"))
        ;;
    flows) COMPREPLY=($(compgen -W "table=" -- "$cur")); compopt -o nospace ;;
    trace) COMPREPLY=($(compgen -W "in_port= --packet" -- "$cur")); compopt -o nospace ;;
    port-add) COMPREPLY=($(compgen -W "type=vhost-user type=dpdk path= role=client role=server queues= devargs= ofport= mtu=" -- "$cur")); compopt -o nospace ;;
    log-level) COMPREPLY=($(compgen -W "error warn info debug" -- "$cur")) ;;
    esac
}
complete -F _vswctl vswctl

# Completion of vpcctl for bash: source <(vpcctl completion bash)

_vpcctl_words() {
    COMPREPLY+=($(compgen -W "$1" -- "${COMP_WORDS[COMP_CWORD]}"))
}

# Names of a kind, as the server has them now; nothing when it cannot be reached.
_vpcctl_names() {
    local server=() i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --server|-s|--token|--token-file|--ca) server+=("${COMP_WORDS[i]}" "${COMP_WORDS[i+1]}") ;;
        esac
    done
    _vpcctl_words "$(vpcctl "${server[@]}" --timeout 2s get "$1" 2>/dev/null | awk 'NR > 1 { print $1 }')"
}

_vpcctl() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local kinds="tenants vpcs networks ports edges fabric-switches links"
    local common="--server --token --token-file --ca --output --timeout --help"
    local command= position=0 kind= i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -s|-o|-f|--server|--token|--token-file|--ca|--output|--file|--timeout|--tenant|--subnet|--subnet6|--mac|--ip|--edge|--to|--if-revision|--wait) ((i++)) ;;
        -*) ;;
        *)
            if [ -z "$command" ]; then command=${COMP_WORDS[i]}; else ((position++)); [ $position = 1 ] && kind=${COMP_WORDS[i]}; fi
            ;;
        esac
    done
    case $previous in
    -f|--file|--token-file|--ca) COMPREPLY=($(compgen -f -- "$current")); return ;;
    -o|--output) _vpcctl_words "table wide json yaml"; return ;;
    --wait) _vpcctl_words installed; return ;;
    --edge) _vpcctl_names edges; return ;;
    --tenant) _vpcctl_names tenants; return ;;
    esac
    case $command in
    "") _vpcctl_words "apply diff get create delete trace whois version completion $common" ;;
    apply) _vpcctl_words "-f --wait=installed --dry-run $common" ;;
    diff) _vpcctl_words "-f $common" ;;
    get)
        if [ $position = 0 ]; then _vpcctl_words "$kinds"; elif [ $position = 1 ]; then _vpcctl_names "$kind"; fi
        [[ $current == -* ]] && _vpcctl_words "--tenant $common"
        ;;
    create)
        [ $position = 0 ] && _vpcctl_words "tenant vpc network port"
        [[ $current == -* ]] && _vpcctl_words "--subnet --subnet6 --mac --ip --edge --wait=installed $common"
        ;;
    delete)
        if [ $position = 0 ]; then _vpcctl_words "tenant vpc network port edge fabric-switch"; elif [ $position = 1 ]; then _vpcctl_names "$kind"; fi
        [[ $current == -* ]] && _vpcctl_words "--if-revision --wait=installed $common"
        ;;
    trace)
        [ $position = 0 ] && _vpcctl_names ports
        [[ $current == -* ]] && _vpcctl_words "--to $common"
        ;;
    completion) _vpcctl_words bash ;;
    esac
}
complete -F _vpcctl vpcctl

# Completion of vpcctl for bash: source <(vpcctl completion bash)

# Words that fit.  Readline puts them in behind the last word break ("=" or ":"), so what is before it is cut off.
_vpcctl_words() {
    local word cut=${current%"${current##*[=:]}"}
    while read -r word; do
        [[ $word ]] && COMPREPLY+=("${word#"$cut"}")
    done < <(compgen -W "$1" -- "$current")
}

# Names of a kind, as the server has them now; nothing when it cannot be reached.
_vpcctl_names() {
    _vpcctl_words "$(vpcctl "${server[@]}" --timeout 2s get "$1" 2>/dev/null | awk 'NR > 1 { print $1 }')"
}

# As _vpcctl_names, for the last of a list with commas.
_vpcctl_list() {
    local before= name
    [[ $current == *,* ]] && before=${current%,*},
    for name in $(vpcctl "${server[@]}" --timeout 2s get "$1" 2>/dev/null | awk 'NR > 1 { print $1 }'); do
        _vpcctl_words "$before$name"
    done
    compopt -o nospace 2>/dev/null
}

# COMP_WORDS as far as the cursor into words, without readline's cuts at "=" and ":".
_vpcctl_glue() {
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

_vpcctl() {
    local kinds="tenants vpcs networks ports slices switches switch-ports virtual-links edges fabric-switches links"
    local common="--server --token --token-file --ca --output --timeout --help"
    local words current previous= server=() command= kind= position=0 i
    COMPREPLY=()
    _vpcctl_glue
    current=${words[-1]}
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        case ${words[i]} in
        -s|--server|--token|--token-file|--ca) server+=("${words[i]}" "${words[i + 1]}"); ((i++)) ;;
        --server=*|--token=*|--token-file=*|--ca=*) server+=("${words[i]}") ;;
        -o|-f|--output|--file|--timeout|--tenant|--subnet|--subnet6|--mac|--ip|--edge|--to|--if-revision|--wait) ((i++)) ;;
        --topology|--edges|--controller|--listen|--number|--datapath-id|--ends) ((i++)) ;;
        -*) ;;
        *)
            if [[ -z $command ]]; then
                command=${words[i]}
            elif ((position++ == 0)); then
                kind=${words[i]}
            fi
            ;;
        esac
    done
    previous=${words[-2]}
    if [[ $current == --*=* ]]; then
        previous=${current%%=*} current=${current#*=}
    fi
    case $previous in
    -f|--file|--token-file|--ca) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    -o|--output) _vpcctl_words "table wide json yaml"; return ;;
    --wait) _vpcctl_words installed; return ;;
    --edge) _vpcctl_names edges; return ;;
    --edges) _vpcctl_list edges; return ;;
    --topology)
        _vpcctl_words "one-switch mirror"
        compopt -o filenames 2>/dev/null
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --controller) _vpcctl_words "tcp: tls:"; compopt -o nospace 2>/dev/null; return ;;
    --listen) _vpcctl_words "ptcp: ptls:"; compopt -o nospace 2>/dev/null; return ;;
    --tenant) _vpcctl_names tenants; return ;;
    -s|--server) _vpcctl_words "unix: https://"; compopt -o nospace 2>/dev/null; return ;;
    --token|--timeout|--subnet|--subnet6|--mac|--ip|--to|--if-revision|--number|--datapath-id|--ends) return ;;
    esac
    case $command in
    "") _vpcctl_words "apply diff get create delete trace whois path restore version completion $common --version" ;;
    apply) _vpcctl_words "-f --file --wait=installed --dry-run $common" ;;
    diff) _vpcctl_words "-f --file $common" ;;
    get)
        if [[ $current == -* ]]; then _vpcctl_words "--tenant $common"
        elif ((position == 0)); then _vpcctl_words "$kinds"
        elif ((position == 1)); then _vpcctl_names "$kind"; fi
        ;;
    create)
        if [[ $current == -* ]]; then
            case $kind in
            network) _vpcctl_words "--subnet --subnet6" ;;
            port) _vpcctl_words "--mac --ip --edge" ;;
            slice) _vpcctl_words "--topology --edges --controller" ;;
            switch) _vpcctl_words "--edges --datapath-id --listen" ;;
            switch-port) _vpcctl_words "--number --edge --mac --ip" ;;
            virtual-link) _vpcctl_words "--ends" ;;
            esac
            _vpcctl_words "--wait=installed $common"
        elif ((position == 0)); then _vpcctl_words "tenant vpc network port slice switch switch-port virtual-link"; fi
        ;;
    delete)
        if [[ $current == -* ]]; then _vpcctl_words "--if-revision --wait=installed $common"
        elif ((position == 0)); then _vpcctl_words "tenant vpc network port slice switch switch-port virtual-link edge fabric-switch"
        elif ((position == 1)); then _vpcctl_names "$kind"; fi
        ;;
    trace)
        if [[ $current == -* ]]; then _vpcctl_words "--to $common"
        elif ((position == 0)); then _vpcctl_names ports; _vpcctl_names switch-ports; fi
        ;;
    path) if [[ $current == -* ]]; then _vpcctl_words "$common"; elif ((position < 2)); then _vpcctl_names edges; fi ;;
    restore) if [[ $current == -* ]]; then _vpcctl_words "$common"; elif ((position == 0)); then _vpcctl_names links; fi ;;
    completion) if [[ $current == -* ]]; then _vpcctl_words "$common"; else _vpcctl_words bash; fi ;;
    *) _vpcctl_words "$common" ;;
    esac
}
complete -F _vpcctl vpcctl

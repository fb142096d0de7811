# bash completion for jorm(1)                                                -*- shell-script -*-

# The configurations of this host, and the tunnels that are up.
_jorm_tunnels() {
    local path name
    for path in /etc/jorm/*.conf /run/jorm/*.sock; do
        [[ -e $path ]] || continue
        name=${path##*/}
        printf '%s\n' "${name%.*}"
    done
}

# The peers of a running tunnel; nothing where one may not ask.
_jorm_peers() {
    jorm peer list "$1" 2>/dev/null | { read -r _; while read -r name _; do printf '%s\n' "$name"; done; }
}

_jorm_words() {
    local IFS=$'\n'
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_jorm_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$cur")
}

# Is this an option of the command that takes a value?
_jorm_takes_value() { # COMMAND OPTION
    case $1$2 in
    keygen--type | keygen-t | up--log-level | up-l | status--interval | status-i | leases--free | leases-f) ;;
    peer--allowed-ips | peer-a | peer--endpoint | peer-e | peer--keepalive | peer-k) ;;
    pad--size | pad-s | pad--source | pad-S | pad--sizes | pad--from | pad-o | pad--state | pad-d | pad--by | pad-b) ;;
    snek-vpn-[gcxan] | snek-vpn--gencert | snek-vpn--connect | snek-vpn--cert) ;;
    snek-vpn-kp | snek-vpn-dp | snek-vpn--keyport | snek-vpn--dataport | snek-vpn--address | snek-vpn--name) ;;
    otptunnel-[KAPd] | otptunnel--tap-* | otptunnel--local-* | otptunnel--state | otptunnel--start-at) ;;
    *) return 1 ;;
    esac
}

_jorm() {
    local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[1]} place=0 verb='' tunnel='' i
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _jorm_words $'keygen\nkeyid\ncheck\nup\ndown\nreload\nstatus\nevents\npeer\nleases\npad\nsnek-vpn\notptunnel\nversion\nhelp\n--help\n--version'
        return
    fi
    if _jorm_takes_value "$command" "$previous"; then
        case $command in
        keygen) _jorm_words $'ml-dsa-65\nml-dsa-87' ;;
        up) _jorm_words $'error\nwarning\ninfo\ndebug' ;;
        pad)
            case $previous in
            --source | -S | --state | -d) _jorm_files ;;
            esac
            ;;
        snek-vpn)
            case $previous in
            --gencert | -g | --cert | -x) _jorm_files ;;
            esac
            ;;
        otptunnel)
            case $previous in
            -K | --state | -d) _jorm_files ;;
            esac
            ;;
        esac
        return
    fi
    # How many arguments, options left out, stand before the word.
    for ((i = 2; i < COMP_CWORD; i++)); do
        if _jorm_takes_value "$command" "${COMP_WORDS[i]}"; then
            ((i++))
        elif [[ ${COMP_WORDS[i]} != -* ]]; then
            if [[ ($command == peer || $command == pad) && -z $verb ]]; then
                verb=${COMP_WORDS[i]}
            else
                [[ -n $tunnel ]] || tunnel=${COMP_WORDS[i]}
                ((place++))
            fi
        fi
    done
    if [[ $cur == -* ]]; then
        case $command$verb in
        keygen) _jorm_words $'--type\n--help' ;;
        check) _jorm_words $'--json\n--help' ;;
        up) _jorm_words $'--foreground\n--log-level\n--log-json\n--help' ;;
        status) _jorm_words $'--json\n--watch\n--interval\n--help' ;;
        events) _jorm_words $'--json\n--help' ;;
        peeradd) _jorm_words $'--allowed-ips\n--endpoint\n--keepalive\n--help' ;;
        peerlist) _jorm_words $'--json\n--help' ;;
        leases) _jorm_words $'--json\n--free\n--help' ;;
        padnew) _jorm_words $'--size\n--source\n--force\n--help' ;;
        padinfo) _jorm_words $'--state\n--json\n--help' ;;
        padcheck) _jorm_words $'--state\n--force\n--json\n--help' ;;
        padsplit) _jorm_words $'--sizes\n--from\n--state\n--force\n--help' ;;
        padadvance) _jorm_words $'--state\n--by\n--help' ;;
        snek-vpn)
            _jorm_words $'--gencert\n--listen\n--connect\n--cert\n--keyport\n--dataport\n-kp\n-dp'
            _jorm_words $'--address\n--name\n--any-source\n--help'
            ;;
        otptunnel)
            _jorm_words $'--server\n--tap-addr\n--tap-netmask\n--tap-mtu\n--tap-name\n--local-addr\n--local-port'
            _jorm_words $'--state\n--start-at\n--peer-restarts\n--restart-at-zero\n--allow-weak-pad\n--help'
            ;;
        *) _jorm_words '--help' ;;
        esac
        return
    fi
    case $command$verb in
    keygen | keyid) _jorm_files ;;
    check | up)
        _jorm_words "$(_jorm_tunnels)"
        _jorm_files
        ;;
    down | reload | status | events | leases) ((place)) || _jorm_words "$(_jorm_tunnels)" ;;
    peer) _jorm_words $'add\nremove\nlist' ;;
    pad) _jorm_words $'new\ninfo\ncheck\nsplit\nadvance' ;;
    padnew | padinfo | padcheck | padadvance) ((place)) || _jorm_files ;;
    padsplit) _jorm_files ;;
    peeradd)
        case $place in
        0) _jorm_words "$(_jorm_tunnels)" ;;
        2) _jorm_files ;;
        esac
        ;;
    peerremove)
        case $place in
        0) _jorm_words "$(_jorm_tunnels)" ;;
        1) _jorm_words "$(_jorm_peers "$tunnel")" ;;
        esac
        ;;
    peerlist) ((place)) || _jorm_words "$(_jorm_tunnels)" ;;
    help)
        _jorm_words $'keygen\nkeyid\ncheck\nup\ndown\nreload\nstatus\nevents\npeer\nleases\npad\nsnek-vpn\notptunnel\nversion\nhelp'
        ;;
    esac
}

# Under its own name the command is the first word, not the second.
_jorm_older() {
    COMP_WORDS=(jorm "${COMP_WORDS[0]##*/}" "${COMP_WORDS[@]:1}")
    ((COMP_CWORD++))
    _jorm
}

complete -F _jorm jorm
complete -F _jorm_older snek-vpn otptunnel

# fish completion for jorm(1) and its other names

# The configurations of this host, and the tunnels that are up.
function __jorm_tunnels
    for path in /etc/jorm/*.conf /run/jorm/*.sock
        string replace -r '.*/([^/]*)\.[^.]*$' '$1' -- $path
    end | sort -u
end

# The peers of the running tunnel that the command line names; nothing where one may not ask.
function __jorm_peers
    set -l words (commandline -opc)
    set -q words[4]; and jorm peer list $words[4] 2>/dev/null | tail -n +2 | string replace -r ' .*' ''
end

function __jorm_has_no_command
    set -l words (commandline -opc)
    test (count $words) -eq 1
end

function __jorm_runs
    set -l words (commandline -opc)
    set -q words[2]; and contains -- $words[2] $argv
end

# jorm peer VERB
function __jorm_peer_runs
    set -l words (commandline -opc)
    set -q words[3]; and test $words[2] = peer; and contains -- $words[3] $argv
end

function __jorm_peer_has_no_verb
    set -l words (commandline -opc)
    test (count $words) -eq 2; and test $words[2] = peer
end

# jorm pad VERB
function __jorm_pad_runs
    set -l words (commandline -opc)
    set -q words[3]; and test $words[2] = pad; and contains -- $words[3] $argv
end

function __jorm_pad_has_no_verb
    set -l words (commandline -opc)
    test (count $words) -eq 2; and test $words[2] = pad
end

# One of the older programs, as a command of jorm or by its own name.
function __jorm_is
    set -l words (commandline -opc)
    string match -qr "(^|/)$argv[1]\$" -- $words[1]; or __jorm_runs $argv[1]
end

# So many words stand before this one.
function __jorm_place
    set -l words (commandline -opc)
    test (count $words) -eq $argv[1]
end

complete -c jorm -f
complete -c jorm -n __jorm_has_no_command -l help -d 'print the list of commands'
complete -c jorm -n __jorm_has_no_command -l version -d 'print the version'
complete -c jorm -n __jorm_has_no_command -a keygen -d "make this host's pair of keys and print its key ID"
complete -c jorm -n __jorm_has_no_command -a keyid -d 'print the key ID of a public or private key file'
complete -c jorm -n __jorm_has_no_command -a check -d 'say what is wrong with a configuration'
complete -c jorm -n __jorm_has_no_command -a up -d 'set a tunnel up'
complete -c jorm -n __jorm_has_no_command -a down -d 'take a tunnel down'
complete -c jorm -n __jorm_has_no_command -a reload -d 'make a running tunnel read its configuration again'
complete -c jorm -n __jorm_has_no_command -a status -d 'show tunnels and their peers'
complete -c jorm -n __jorm_has_no_command -a events -d 'show what happens to a tunnel, as it happens'
complete -c jorm -n __jorm_has_no_command -a peer -d 'change or list the peers of a running tunnel'
complete -c jorm -n __jorm_has_no_command -a leases -d 'show the addresses that a tunnel hands out, or take one back'
complete -c jorm -n __jorm_has_no_command -a pad -d 'make one-time pads, and look after them'
complete -c jorm -n __jorm_has_no_command -a snek-vpn -d 'stand in for snek-vpn.py, at either end'
complete -c jorm -n __jorm_has_no_command -a otptunnel -d 'stand in for OTPTunnel, at either end'
complete -c jorm -n __jorm_has_no_command -a version -d 'print the version'
complete -c jorm -n __jorm_has_no_command -a help -d 'print the list of commands, or the help of one'
complete -c jorm -n 'not __jorm_has_no_command' -s h -l help -d 'print a summary'

complete -c jorm -n '__jorm_runs help' -a 'keygen keyid check up down reload status events peer leases pad snek-vpn otptunnel version help'
complete -c jorm -n '__jorm_runs keygen keyid check up' -F
complete -c jorm -n '__jorm_runs check up down reload status events leases; and __jorm_place 2' -a '(__jorm_tunnels)'
complete -c jorm -n '__jorm_runs keygen' -s t -l type -x -a 'ml-dsa-65 ml-dsa-87' -d 'the kind of key'
complete -c jorm -n '__jorm_runs check status events leases' -s j -l json -d 'JSON'
complete -c jorm -n '__jorm_runs up' -s f -l foreground -d 'stay in the foreground'
complete -c jorm -n '__jorm_runs up' -s l -l log-level -x -a 'error warning info debug' -d 'how much to log'
complete -c jorm -n '__jorm_runs up' -s j -l log-json -d 'each message is a line of JSON'
complete -c jorm -n '__jorm_runs status' -s w -l watch -d 'again and again'
complete -c jorm -n '__jorm_runs status' -s i -l interval -x -d 'how long to wait in between, in seconds'
complete -c jorm -n '__jorm_runs leases' -s f -l free -x -d 'take an address back'

complete -c jorm -n __jorm_peer_has_no_verb -a add -d 'add a peer and keep it'
complete -c jorm -n __jorm_peer_has_no_verb -a remove -d 'remove one that was added'
complete -c jorm -n __jorm_peer_has_no_verb -a list -d 'list the peers'
complete -c jorm -n '__jorm_peer_runs add remove list; and __jorm_place 3' -a '(__jorm_tunnels)'
complete -c jorm -n '__jorm_peer_runs add; and __jorm_place 5' -F
complete -c jorm -n '__jorm_peer_runs remove; and __jorm_place 4' -a '(__jorm_peers)'
complete -c jorm -n '__jorm_peer_runs list' -s j -l json -d 'JSON in place of a table'
complete -c jorm -n '__jorm_peer_runs add' -s a -l allowed-ips -x -d 'prefixes, with commas'
complete -c jorm -n '__jorm_peer_runs add' -s e -l endpoint -x -d 'where to call it: host:port'
complete -c jorm -n '__jorm_peer_runs add' -s k -l keepalive -x -d 'how often to make sure, in seconds'

complete -c jorm -n __jorm_pad_has_no_verb -a new -d 'make a pad'
complete -c jorm -n __jorm_pad_has_no_verb -a info -d 'show what of it has been used'
complete -c jorm -n __jorm_pad_has_no_verb -a check -d 'look for what cannot be random'
complete -c jorm -n __jorm_pad_has_no_verb -a split -d 'cut one into several'
complete -c jorm -n __jorm_pad_has_no_verb -a advance -d 'skip what may have been used'
complete -c jorm -n '__jorm_pad_runs new info check split advance' -F
complete -c jorm -n '__jorm_pad_runs info check split advance' -s d -l state -r -d 'the StateDirectory of the tunnel'
complete -c jorm -n '__jorm_pad_runs new' -s s -l size -x -d 'how large, such as 16G'
complete -c jorm -n '__jorm_pad_runs new' -s S -l source -r -d 'where its bytes come from'
complete -c jorm -n '__jorm_pad_runs new' -s f -l force -d 'begin anew'
complete -c jorm -n '__jorm_pad_runs check' -s f -l force -d 'exit code 0 for a weak pad'
complete -c jorm -n '__jorm_pad_runs split' -s f -l force -d 'even if it has been used'
complete -c jorm -n '__jorm_pad_runs split' -s s -l sizes -x -d 'of the parts, with commas'
complete -c jorm -n '__jorm_pad_runs split' -s o -l from -x -d 'leave out what stands before it'
complete -c jorm -n '__jorm_pad_runs info check' -s j -l json -d 'JSON in place of text'
complete -c jorm -n '__jorm_pad_runs advance' -s b -l by -x -d 'how much more'

for name in jorm snek-vpn
    complete -c $name -n '__jorm_is snek-vpn' -s g -l gencert -r -d 'make a pair of keys in this folder'
    complete -c $name -n '__jorm_is snek-vpn' -s l -l listen -d 'serve one client at a time'
    complete -c $name -n '__jorm_is snek-vpn' -s c -l connect -x -a '(__fish_print_hostnames)' -d 'the server'
    complete -c $name -n '__jorm_is snek-vpn' -s x -l cert -r -d 'private key file; server: folder of public keys'
    complete -c $name -n '__jorm_is snek-vpn' -o kp -l keyport -x -d 'TCP port of the client'
    complete -c $name -n '__jorm_is snek-vpn' -o dp -l dataport -x -d 'TCP port of the server, UDP port of the client'
    complete -c $name -n '__jorm_is snek-vpn' -s a -l address -x -d 'addresses of the interface, with commas'
    complete -c $name -n '__jorm_is snek-vpn' -s n -l name -x -d 'name of the interface'
    complete -c $name -n '__jorm_is snek-vpn' -l any-source -d 'the server may answer from elsewhere'
end

for name in jorm otptunnel
    complete -c $name -n '__jorm_is otptunnel' -s S -l server -d 'server: the bytes at odd offsets'
    complete -c $name -n '__jorm_is otptunnel' -s K -r -d 'the key file'
    complete -c $name -n '__jorm_is otptunnel' -s A -x -a '(__fish_print_hostnames)' -d 'where the peer is'
    complete -c $name -n '__jorm_is otptunnel' -s P -x -d 'UDP port of the peer'
    complete -c $name -n '__jorm_is otptunnel' -l tap-addr -x -d 'address of the interface'
    complete -c $name -n '__jorm_is otptunnel' -l tap-netmask -x -d 'length of the prefix of its network'
    complete -c $name -n '__jorm_is otptunnel' -l tap-mtu -x -d 'the MTU, below 1500'
    complete -c $name -n '__jorm_is otptunnel' -l tap-name -x -d 'name of the interface'
    complete -c $name -n '__jorm_is otptunnel' -l local-addr -x -d 'where to listen'
    complete -c $name -n '__jorm_is otptunnel' -l local-port -x -d 'where to listen'
    complete -c $name -n '__jorm_is otptunnel' -s d -l state -r -d 'where ledgers are kept'
    complete -c $name -n '__jorm_is otptunnel' -l start-at -x -d 'send with no byte below'
    complete -c $name -n '__jorm_is otptunnel' -l peer-restarts -d 'believe a peer that begins again'
    complete -c $name -n '__jorm_is otptunnel' -l restart-at-zero -d 'begin again, which breaks the pad'
    complete -c $name -n '__jorm_is otptunnel' -l allow-weak-pad -d 'take a constant key file'
end

for name in snek-vpn otptunnel
    complete -c $name -f -s h -l help -d 'print a summary'
end

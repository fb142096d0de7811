"""Layer 2: Ethernet frames between hosts, bridges, VLANs and many clients."""

import itertools
import os

import pytest

import pads
import wait
from ethernet import BROADCAST, Leaf, Wire, dhcp, everywhere, frame, mac_of, passes
from program import IS_SANITISED, identity
from traffic import answers, iperf, ping, ping_both_ways, transfer, udp_echo

MIB = 1 << 20
LAYER2 = {"Layer": "2"}
NO_IPS = {"AllowedIPs": None}
STATION = "02:00:00:00:77:01"


def layer2_pair(lab, **both):
    return lab.pair(both=LAYER2 | both, to_server=NO_IPS, to_client=NO_IPS)


def hub(lab, clients=3, **server):
    """A server and clients, all with sessions: the programs, the server's first."""
    hosts = lab.clients(clients)
    programs = [
        lab.program(lab.server, [lab.peer(host, **NO_IPS) for host in hosts], **LAYER2 | {"Listen": "10666"} | server)
    ] + [lab.program(host, [lab.peer(lab.server, 4, **NO_IPS)], **LAYER2) for host in hosts]
    for program in programs:
        program.start()
    for number in range(clients):
        programs[number + 1].wait_for_session()
        programs[0].wait_for_session(number)
    return programs


# ---- two ends ----


def test_pings_streams_and_datagrams(lab):
    server, client = layer2_pair(lab)
    ping_both_ways(lab)
    for a, b in ((lab.client, lab.server), (lab.server, lab.client)):
        for family in (4, 6):
            transfer(a, b, b.inner(family), 16 * MIB)
            udp_echo(a, b, b.inner(family), [os.urandom(size) for size in (0, 1, 63, 512, 1200, 1400, 8000, 65000)])
            tcp = iperf(a, b, b.inner(family), "-P", 4)
            assert tcp["sum_received"]["bytes"] > 4 * MIB
    assert server.status()["layer"] == 2
    assert server.peer()["stations"] == client.peer()["stations"] == 1
    assert server.status()["own_stations"] == 1
    assert "own stations" in server.cli("status", server.path).stdout
    for program in (server, client):
        assert not any(program.drops(name) for name in ("bad_packet", "bad_inner", "bad_frame", "mac_taken"))


def test_frames_of_the_interface_fit_one_datagram(lab):
    """The MTU that the tunnel finds for itself: full frames are not sent in parts."""
    _, client = layer2_pair(lab)
    client.wait_for_path()
    mtu = wait.until(lambda: client.status()["mtu"] > 1300 and client.status()["mtu"], "the path's size is known")
    before = client.peer()["tx_bytes"]
    assert ping(lab.client, lab.server.inner(4), 20, mtu - 28) == 20
    # A datagram with the padding of the full size, and some small ones of the kernels' own.
    assert client.peer()["tx_bytes"] - before < 20 * (mtu + 100) + 4000


def test_the_session_waits_for_its_first_frame(lab):
    """Broadcasts, too, wake a session that is to be called for."""
    server = lab.program(lab.server, [lab.peer(lab.client, **NO_IPS)], Listen="10666", **LAYER2)
    client = lab.program(lab.client, [lab.peer(lab.server, 4, **NO_IPS)], **LAYER2)
    client.start()
    wait.until(lambda: client.peer()["state"] == "connecting", "the client calls")
    with Wire(lab.client) as sender:
        sender.send(frame(BROADCAST, STATION, b"the first one" * 4))
        server.start()
        with Wire(lab.server) as receiver:
            client.wait_for_session()
            wait.until(lambda: receiver.has(b"the first one"), "it has come", 20)


@pytest.mark.parametrize("protection", ["otp", "pq+otp"])
def test_frames_under_a_pad(lab, protection):
    """What protects the frames makes no difference to them; full ones are still one datagram each."""
    first = pads.make(lab.folder / "server.pad", 32 * MIB)
    second = pads.copy(first, lab.folder / "client.pad")
    key = {"PrivateKey": None} if protection == "otp" else {}
    server = lab.program(
        lab.server, [pads.peer(lab, lab.client, first, None, protection, **NO_IPS)], **LAYER2 | {"Listen": "10666"} | key
    )
    client = lab.program(lab.client, [pads.peer(lab, lab.server, second, 4, protection, **NO_IPS)], **LAYER2 | key)
    for program in (server, client):
        program.start()
    for program in (client, server):
        program.wait_for_session()
    ping_both_ways(lab)
    transfer(lab.client, lab.server, lab.server.inner(4), 4 * MIB)
    transfer(lab.server, lab.client, lab.client.inner(6), 4 * MIB)
    assert ping(lab.client, lab.server.inner(4), 3, 3000) == 3
    assert server.peer()["stations"] == 1


# ---- bridges ----


def bridged(lab, mtu=1500):
    """The ends' interfaces are put into bridges as the manual says it: by PostUp."""
    for host in (lab.server, lab.client):
        host.ip("link add br0 type bridge mcast_snooping 0\nlink set br0 up")
    layer2_pair(lab, Address=None, MTU=str(mtu), PostUp="ip link set %i master br0")
    leaves = [Leaf(lab, host, 10 * host.number + i, mtu) for host in (lab.server, lab.client) for i in range(2)]
    for leaf in leaves:
        leaf.address()
    return leaves


def test_hosts_behind_bridges_at_both_ends(lab):
    """Two at each: address resolution and neighbour discovery, streams both ways, a tagged network beside."""
    leaves = bridged(lab)
    for a, b in itertools.permutations(leaves, 2):
        for family in (4, 6):
            assert ping(a, b.inner(family), 3) == 3, f"{a.name} to {b.inner(family)}"
    far = leaves[0], leaves[2]
    for a, b in (far, far[::-1]):
        transfer(a, b, b.inner(4), 16 * MIB)
        assert iperf(a, b, b.inner(6))["sum_received"]["bytes"] > 4 * MIB
        udp_echo(a, b, b.inner(4), [os.urandom(size) for size in (0, 1472, 1473, 9000, 65000)])
    assert lab.programs[0].peer()["stations"] >= 2


def test_tagged_frames(lab):
    """Any tags pass, byte for byte; a station is known for each network by itself."""
    leaves = bridged(lab)
    tags = [[], [(0x8100, 77)], [(0x8100, 0xE04D)], [(0x88A8, 5)], [(0x8100, 5), (0x8100, 77)], [(0x88A8, 5), (0x8100, 77)]]
    mac = [mac_of(leaf, "eth0") for leaf in leaves]
    with Wire(leaves[0], "eth0") as here, Wire(leaves[2], "eth0") as there:
        for number, tag in enumerate(tags):
            for target in (BROADCAST, mac[2]):
                data = frame(target, mac[0], os.urandom(46 + number), tags=tag)
                passes(here, data, data, [there])
    assert lab.programs[1].peer()["stations"] >= 4  # untagged, 77, 5 outside, and 5 with 77 inside


def test_tagged_interfaces(lab):
    leaves = bridged(lab)
    a, b = leaves[0], leaves[2]
    if not a.add_vlan(77):
        pytest.skip("this kernel has no VLAN interfaces")
    b.add_vlan(77)
    leaves[3].add_vlan(78)
    for address in ("10.77.0.20", "fdff:77::20"):
        assert ping(a, address, 5) == 5
        assert ping(a, address, 5, 1400) == 5
    transfer(a, b, "fdff:77::20", 16 * MIB)
    transfer(b, a, "fdff:77::10", 16 * MIB)
    assert ping(a, "fdff:78::21", 1, patience=1) == 0  # the other network is another


def test_frames_of_9000_bytes(lab):
    """The path carries 1500: they cross in parts."""
    leaves = bridged(lab, 9000)
    a, b = leaves[1], leaves[3]
    for family in (4, 6):
        assert ping(a, b.inner(family), 10, 8900) == 10
    for source, target in ((a, b), (b, a)):
        transfer(source, target, target.inner(4), 8 * MIB)


def test_dhcp_crosses_the_bridges(lab):
    gives, _, asks, _ = bridged(lab)
    asks.ip("addr flush dev eth0")
    dhcp(asks, gives)
    asks.ip("addr add 10.77.0.99/24 dev eth0")
    assert ping(asks, gives.inner(4), 3) == 3


# ---- many ends ----


def test_frames_go_where_their_station_is(lab):
    """Three clients at one server. What one says to all comes once to all others and not back; what it says to one
    comes to that one alone, once it is known where that is."""
    programs = hub(lab)
    hosts = [program.host for program in programs]
    for a, b in itertools.permutations(hosts, 2):
        assert wait.until(lambda a=a, b=b: answers(a, b.inner(4)), f"{a.name} reaches {b.name}")
    with Wire(hosts[0]) as w0, Wire(hosts[1]) as w1, Wire(hosts[2]) as w2, Wire(hosts[3]) as w3:
        wires = [w0, w1, w2, w3]
        said = []
        for number, wire in enumerate(wires):
            said.append(everywhere(wire, mac_of(hosts[number]), [w for w in wires if w is not wire]))
        direct = os.urandom(50)
        passes(w1, frame(mac_of(hosts[2]), mac_of(hosts[1]), direct), direct, [w2])
        mark = everywhere(w1, mac_of(hosts[1]), [w0, w2, w3])  # what was sent before it has come by now
        for number, wire in enumerate(wires):
            assert [wire.has(payload) for payload in said] == [int(number != sender) for sender in range(4)]
            assert wire.has(mark) == int(wire is not w1)
            assert wire.has(direct) == int(wire is w2)
    transfer(hosts[1], hosts[2], hosts[2].inner(4), 8 * MIB)
    transfer(hosts[3], hosts[1], hosts[1].inner(6), 8 * MIB)


def test_clients_that_are_kept_apart(lab):
    programs = hub(lab, 2, ClientToClient="no")
    hosts = [program.host for program in programs]
    for client in hosts[1:]:
        assert ping(client, hosts[0].inner(4), 3) == 3
        assert ping(hosts[0], client.inner(6), 3) == 3
    assert ping(hosts[1], hosts[2].inner(4), 2, patience=1) == 0
    with Wire(hosts[0]) as w0, Wire(hosts[1]) as w1, Wire(hosts[2]) as w2:
        payload = everywhere(w1, mac_of(hosts[1]), [w0])
        direct = os.urandom(50)
        w1.send(frame(mac_of(hosts[2]), mac_of(hosts[1]), direct))
        everywhere(w0, mac_of(hosts[0]), [w1, w2])
        assert w2.has(payload) == w2.has(direct) == 0
    assert programs[0].drops("between_peers") > 0


def test_nobody_takes_another_station(lab):
    programs = hub(lab, 2)
    hosts = [program.host for program in programs]
    for host in hosts[1:]:
        assert wait.until(lambda host=host: answers(host, hosts[0].inner(4)), "all are known")
    victim, own = mac_of(hosts[1]), mac_of(hosts[0])
    with Wire(hosts[0]) as w0, Wire(hosts[1]) as w1, Wire(hosts[2]) as w2:
        claim = os.urandom(50)
        for source in (victim, own):
            w2.send(frame(BROADCAST, source, claim))
        wait.until(lambda: programs[0].drops("mac_taken") >= 1, "the claim is counted")
        wait.until(lambda: programs[0].drops("bad_mac") >= 1, "and that of the server's own address")
        # From a station that the claimer has not made its own: its end of the tunnel would not believe another one.
        secret = os.urandom(50)
        passes(w0, frame(victim, STATION, secret), secret, [w1])
        everywhere(w0, STATION, [w1, w2])
        assert w2.has(secret) == 0
        assert w0.has(claim) == w1.has(claim) == 0


def test_a_storm_of_broadcasts_is_held_down(lab):
    programs = hub(lab, 2)
    hosts = [program.host for program in programs]
    with Wire(hosts[1]) as storm, Wire(hosts[2]) as calm:
        data = frame(BROADCAST, STATION, bytes(50))

        def blow():
            for _ in range(2000):
                storm.send(data)
            return programs[0].drops("flood_limit") > 1000

        wait.until(blow, "it is over the limit", 60)
        assert ping(hosts[2], hosts[0].inner(4), 5) == 5  # others have theirs
        assert wait.until(lambda: answers(hosts[1], hosts[0].inner(4)), "and so has it, when it is over")
        calm.collect()


# ---- what does not fit ----


@pytest.mark.parametrize("layer2_at", ["server", "client"])
def test_ends_with_different_layers_say_so(lab, layer2_at):
    other = {"server": {}, "client": {}}
    other[layer2_at] = LAYER2
    section = {end: NO_IPS if layer else {} for end, layer in other.items()}
    server = lab.program(lab.server, [lab.peer(lab.client, **section["server"])], Listen="10666", **other["server"])
    client = lab.program(lab.client, [lab.peer(lab.server, 4, **section["client"])], **other["client"])
    server.start()
    client.start()
    client.wait_for_session()
    for here, there, program in ((lab.client, lab.server, server), (lab.server, lab.client, client)):
        wait.until(
            lambda here=here, there=there, program=program: answers(here, there.inner(4)) or program.drops("other_layer"),
            "it is counted",
        )
        assert program.drops("other_layer") > 0
        wait.until(lambda program=program: "write the same Layer at both ends" in program.log(), "it is said")
        assert program.log().count("write the same Layer at both ends") == 1


def test_addresses_of_a_pool_and_a_mac_that_stays(lab):
    server = lab.program(lab.server, [lab.peer(lab.client, **NO_IPS)], Listen="10666", Pool="10.66.0.0/24", **LAYER2)
    client = lab.program(lab.client, [lab.peer(lab.server, 4, **NO_IPS)], Address=None, **LAYER2)
    server.start()
    client.start()
    client.wait_for_session()
    assert wait.until(lambda: answers(lab.client, lab.server.inner(4)), "it has an address")
    mac = mac_of(lab.client)
    assert int(mac[:2], 16) & 3 == 2  # locally administered, one station's
    assert mac != mac_of(lab.server)
    client.stop()
    client.start()
    assert mac_of(lab.client) == mac
    assert lab.client.run("ip", "route", "show", "dev", "tun").stdout.count("10.66.0.0/24") == 1


def test_peers_are_added_without_addresses(lab):
    server = lab.program(lab.server, [], Listen="10666", **LAYER2)
    client = lab.program(lab.client, [lab.peer(lab.server, 4, **NO_IPS)], **LAYER2)
    server.start()
    client.start()
    add = ["add", server.path, "laptop", identity(lab.client.number).key_id]
    refused = server.cli("peer", *add, "--allowed-ips", "10.66.0.2", check=False)
    assert refused.returncode == 1 and "no meaning with Layer = 2" in refused.stderr
    server.cli("peer", *add)
    client.wait_for_session(0, 60)
    assert wait.until(lambda: answers(lab.client, lab.server.inner(4)), "frames pass")


def test_as_fast_as_layer_3_nearly(lab):
    """A stream through an optimised program; what it measures is in bench/."""
    if IS_SANITISED:
        pytest.skip("sanitisers take most of the time")
    layer2_pair(lab)
    tcp = iperf(lab.client, lab.server, lab.server.inner(4), "-P", 2, seconds=3)
    assert tcp["sum_received"]["bytes"] > 100 * MIB

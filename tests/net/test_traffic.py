"""What a tunnel is for: pings, TCP and UDP, both ways, both families inside and outside."""

import os
import subprocess

import pytest

import wait
from program import IS_SANITISED
from traffic import iperf, ping_both_ways, transfer, udp_echo

MIB = 1 << 20


@pytest.mark.parametrize("outer", [4, 6])
def test_pings_streams_and_datagrams(lab, outer):
    lab.pair(outer)
    ping_both_ways(lab)
    for a, b in ((lab.client, lab.server), (lab.server, lab.client)):
        for family in (4, 6):
            transfer(a, b, b.inner(family), 16 * MIB)
            udp_echo(a, b, b.inner(family), [os.urandom(size) for size in (0, 1, 63, 512, 1200, 1400, 8000, 65000)])


@pytest.mark.parametrize("padding", ["none", "buckets"])
@pytest.mark.parametrize("cipher", ["chacha20-poly1305", "aes-256-gcm"])
def test_ciphers_and_padding(lab, cipher, padding):
    server, client = lab.pair(both={"Cipher": cipher, "Padding": padding})
    assert client.peer()["cipher"].lower() == server.peer()["cipher"].lower() == cipher
    ping_both_ways(lab, 3)
    transfer(lab.client, lab.server, lab.server.inner(4), 8 * MIB)
    transfer(lab.server, lab.client, lab.client.inner(6), 8 * MIB)


def test_the_stronger_signatures(lab):
    server, client = lab.pair(
        server={"algorithm": "ml-dsa-87"}, client={"algorithm": "ml-dsa-87"},
        to_server={"algorithm": "ml-dsa-87"}, to_client={"algorithm": "ml-dsa-87"},
    )  # fmt: skip
    assert client.peer()["signature_peer"] == server.peer()["signature_local"] == "ML-DSA-87"
    ping_both_ways(lab, 3)


def test_the_ends_may_sign_differently(lab):
    server, client = lab.pair(server={"algorithm": "ml-dsa-87"}, to_server={"algorithm": "ml-dsa-87"})
    assert client.peer()["signature_peer"] == "ML-DSA-87"
    assert server.peer()["signature_peer"] == "ML-DSA-65"
    ping_both_ways(lab, 3)


def test_a_large_file_arrives_whole(lab):
    server, client = lab.pair()
    transfer(lab.client, lab.server, lab.server.inner(4), 64 * MIB)
    assert server.peer()["rx_bytes"] > 64 * MIB
    assert client.peer()["tx_packets"] > 64 * MIB / 1500
    assert sum(count for name, count in server.status()["drops"].items() if name in ("forged", "bad_inner")) == 0


@pytest.mark.parametrize("direction", [[], ["--reverse"]])
def test_iperf_tcp_and_udp(lab, direction):
    lab.pair()
    tcp = iperf(lab.client, lab.server, lab.server.inner(4), "-P", 4, *direction)
    assert tcp["sum_received"]["bytes"] > 4 * MIB
    udp = iperf(lab.client, lab.server, lab.server.inner(4), "-u", "-b", "5M", "-l", 1200, *direction)
    assert udp["sum"]["packets"] > 500
    assert udp["sum"]["lost_packets"] <= udp["sum"]["packets"] / 50


def test_memory_stays_small_under_a_flood(lab):
    if IS_SANITISED:
        pytest.skip("sanitisers need memory of their own")
    server, client = lab.pair()
    iperf(lab.client, lab.server, lab.server.inner(4), "-u", "-b", "0", "-l", 64)
    transfer(lab.client, lab.server, lab.server.inner(4), 64 * MIB)
    for program in (server, client):
        assert program.memory_kib("VmHWM") < 32 * 1024


def test_the_session_waits_for_its_first_packet(lab):
    """The packets that caused a session are not lost."""
    server = lab.program(lab.server, [lab.peer(lab.client)], Listen="10666")
    client = lab.program(lab.client, [lab.peer(lab.server, 4)])
    client.start()
    pinging = lab.client.command("ping", "-n", "-q", "-c", "1", "-W", "20", lab.server.inner(4))
    with subprocess.Popen(pinging, stdout=subprocess.PIPE, text=True) as process:
        wait.until(lambda: client.peer()["state"] == "connecting", "the client calls")
        server.start()
        assert "1 received" in process.communicate(timeout=40)[0]

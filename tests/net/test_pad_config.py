"""One-time pads as people set them up: files, folders, and what is wrong with them."""

import pytest

import pads
from traffic import ping_both_ways, transfer

MIB = 1 << 20


@pytest.mark.parametrize(
    "protection, words", [("otp", "information-theoretic"), ("pq+otp", "pad + AEAD"), ("pq", "AEAD, pad in key exchange")]
)
def test_two_hosts_with_one_pad(lab, protection, words):
    server, client = pads.pair(lab, protection)
    ping_both_ways(lab)
    transfer(lab.client, lab.server, lab.server.inner(4), MIB)
    for program in (server, client):
        assert program.peer()["protection"] == words

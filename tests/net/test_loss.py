"""Lines that lose, repeat, damage and reorder: slower, but whole."""

import pytest

from middle import Relay, filter_forwarded
from traffic import answers, ping, transfer
import wait

KIB = 1024


@pytest.mark.parametrize("family", [4, 6])
def test_a_line_that_loses_one_in_ten(lab, family):
    """Real addresses, nothing but loss: also the handshake's datagrams are lost."""
    lab.cut_outside()
    filter_forwarded(lab, "meta l4proto udp numgen random mod 100 < 10 drop")
    server, client = lab.pair(family)
    transfer(lab.client, lab.server, lab.server.inner(4), 512 * KIB)
    transfer(lab.server, lab.client, lab.client.inner(6), 512 * KIB)
    assert 25 <= ping(lab.client, lab.server.inner(4), 50, patience=1) < 50
    for program in (server, client):
        assert program.drops("forged") == 0


WAYS = {
    "loses": {"lose": 0.1},
    "overtakes": {"delay_ms": 2, "jitter_ms": 10},
    "holds some back": {"hold": 0.1, "hold_ms": 30},
    "repeats": {"twice": 0.3},
    "damages": {"damage": 0.05},
    "does all of it": {"lose": 0.03, "twice": 0.1, "damage": 0.02, "hold": 0.05, "jitter_ms": 4},
}


@pytest.mark.parametrize(("way", "family"), [(way, 4) for way in WAYS] + [("does all of it", 6)])
def test_a_line_that(lab, way, family):
    with Relay(lab, family, seed=family, **WAYS[way]) as relay:
        server, client = lab.pair(to_server={"Endpoint": relay.endpoint})
        size = 256 * KIB if "loses" in way or "all" in way else 2048 * KIB
        transfer(lab.client, lab.server, lab.server.inner(4), size)
        transfer(lab.server, lab.client, lab.client.inner(6), size)
        wait.until(lambda: answers(lab.client, lab.server.inner(6)), "a ping comes back")
        drops = {name: client.drops(name) + server.drops(name) for name in ("forged", "replay", "bad_frame", "bad_inner")}
    assert relay.counts["forwarded"] > 100
    assert relay.counts["overflowed"] == 0
    assert drops["bad_frame"] == drops["bad_inner"] == 0
    if "twice" in WAYS[way]:
        assert relay.counts["twice"] and drops["replay"]
    else:
        assert drops["replay"] == 0
    if "damage" in WAYS[way]:
        assert relay.counts["damaged"] and drops["forged"]
    else:
        assert drops["forged"] == 0

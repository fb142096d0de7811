"""What is measured. A measure is a function (lab, contender, options) -> {metric: value}; it raises
BenchError when its figure would not mean what it says."""

import itertools
import json
import re
import statistics

from .lab import BenchError, listens, machine_times, wait_for

IPERF_PORT = 5201
BLAST_PORT = 7000
WARM_UP = 1  # seconds of each TCP stream that the rate leaves out: slow start, cold caches
LOSS_LIMIT = 0.01
PRECISION = 1.05  # of the packet rate search
_run_ids = itertools.count(1)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# ---- is the tunnel what it says ----

def verify(lab, contender):
    """Waits for the tunnel and checks route, kind of device and MTU; fills contender.facts."""
    a, b = lab.ends
    target, device = contender.inner(b), contender.device(a)

    def answers():
        if not contender.alive():
            raise BenchError(f"{contender.name} has ended: {contender.last_words(lab)}")
        try:
            lab.run(a, "ping", "-n", "-q", "-c", 1, "-W", 0.3, target)
            return True
        except BenchError:
            return False

    wait_for(answers, f"the first ping through {contender.name} ({contender.last_words(lab)})", timeout=20)
    route = json.loads(lab.ip(a, "-j", "route", "get", target))[0]["dev"]
    if route != device:
        raise BenchError(f"{target} is routed through {route} instead of {device}")
    link = lab.ip_json(a, "link", "show", "dev", device)
    kind = link.get("linkinfo", {}).get("info_kind", "?")
    contender.facts.update(version=contender.version(), mtu=link["mtu"], kind=kind)
    if not contender.is_tunnel:
        return
    if kind != "tun":
        raise BenchError(f"{device} is of kind {kind}: this is not a tunnel in user space")
    widest = contender.widest_mtu or lab.mtu - 28
    if not 1280 <= link["mtu"] <= widest:
        raise BenchError(f"the tunnel's MTU is {link['mtu']}: not within 1280..{widest}, so datagrams are fragmented or small")
    contender.facts["vnet_hdr"] = link["linkinfo"].get("info_data", {}).get("vnet_hdr", False)
    if contender.needs_offloads and not contender.facts["vnet_hdr"]:
        raise BenchError(f"{contender.name} runs without segmentation offload: it is no yardstick so")


def bring_up(lab, contender):
    contender.stop(lab)
    contender.start(lab)
    verify(lab, contender)
    facts = contender.facts
    print(f"{contender.name}: up, version {facts['version'] or '-'}, device {facts['kind']}, MTU {facts['mtu']}"
          + (f", offloads {'on' if facts['vnet_hdr'] else 'off'}" if "vnet_hdr" in facts else ""), flush=True)


# ---- TCP ----

def stream(lab, contender, streams, seconds, reverse=False):
    """iperf3's result for a to b, or b to a."""
    server = lab.spawn(lab.b, "iperf3", "-s", "-1", "-B", contender.inner(lab.b), "-p", IPERF_PORT)
    try:
        wait_for(lambda: listens(server.pid, IPERF_PORT), "iperf3's server")
        text = lab.run(lab.a, "iperf3", "-c", contender.inner(lab.b), "-B", contender.inner(lab.a), "-p", IPERF_PORT,
                       "-t", seconds, "-O", WARM_UP, "-P", streams, "--json", *(["-R"] if reverse else []),
                       timeout=seconds + WARM_UP + 20)
        return json.loads(text)
    finally:
        lab.stop(server)


def refresh(lab, contender):
    """Before what takes much."""
    if contender.is_worn(lab):
        bring_up(lab, contender)


def _tcp(lab, contender, streams, reverse, seconds):
    refresh(lab, contender)
    devices = [(lab.a, contender.device(lab.a)), (lab.a, lab.a.veth)]
    before = [lab.counters(*d) for d in devices]
    pad = contender.pad_used(lab)
    cpu, machine = contender.cpu_seconds(), machine_times()
    result = stream(lab, contender, streams, seconds, reverse)
    cpu, machine_after = contender.cpu_seconds() - cpu, machine_times()
    moved = sum(i["sum"]["bytes"] for i in result["intervals"])  # with the warm-up, as in the CPU time
    deltas = [tuple(y - x for x, y in zip(old, lab.counters(*d))) for old, d in zip(before, devices)]
    for (_, device), (seen, _) in zip(devices, deltas):
        # What is still in socket buffers at the end was counted by iperf3 only
        if seen < 0.9 * moved - 16e6:
            raise BenchError(f"iperf3 moved {moved} bytes, {device} saw {seen}: the traffic went past it")
    (tun_bytes, tun_packets), (out_bytes, out_packets) = deltas
    contender.facts["tun_packet_bytes"] = round(tun_bytes / max(tun_packets, 1))
    contender.facts["outer_packet_bytes"] = round(out_bytes / max(out_packets, 1))
    if contender.needs_offloads and contender.facts["tun_packet_bytes"] < 2 * contender.facts["mtu"]:
        raise BenchError(f"{contender.name} got packets of {contender.facts['tun_packet_bytes']} bytes: no offload at work")
    metric = f"tcp{streams}_{'rev' if reverse else 'fwd'}"
    pad = {} if pad is None else {f"{metric}_pad_per_byte": (contender.pad_used(lab) - pad) / moved}
    return {**pad, f"{metric}_mbit": result["end"]["sum_received"]["bits_per_second"] / 1e6,
            f"{metric}_cpu_s_per_gb": cpu / (moved / 1e9),
            f"{metric}_machine_s_per_gb": (machine_after[0] - machine[0]) / (moved / 1e9),
            f"{metric}_retransmits": result["end"]["sum_sent"].get("retransmits", 0)}


def tcp1(lab, contender, options):
    return {**_tcp(lab, contender, 1, False, options.seconds), **_tcp(lab, contender, 1, True, options.seconds)}


def tcp4(lab, contender, options):
    return {**_tcp(lab, contender, 4, False, options.seconds), **_tcp(lab, contender, 4, True, options.seconds)}


# ---- small datagrams ----

class Trial:
    """A second of datagrams from a to b at one rate."""

    def __init__(self, lab, contender, options, rate, size=64):
        blast, target, run = options.tool("udpblast"), f"{contender.inner(lab.b)}:{BLAST_PORT}", next(_run_ids)
        receiver = lab.spawn(lab.b, blast, "recv", target, "-r", run, "-t", options.trial + 10, pipe=True)
        try:
            if receiver.stdout.readline().strip() != "ready":
                raise BenchError("udpblast's receiver does not start")
            sent = json.loads(lab.run(lab.a, blast, "send", target, "-r", run, "-t", options.trial, "-p", round(rate),
                                      "-s", size))
            lab.run(None, "sleep", 0.3)  # what is in queues still counts
            receiver.terminate()
            received = json.loads(receiver.stdout.readline())
        finally:
            lab.stop(receiver)
        self.wanted = rate
        self.offered = sent["sent"] / sent["seconds"]
        self.rate = received["received"] / sent["seconds"]
        self.loss = 1 - received["received"] / max(sent["sent"], 1)
        self.reordered = received["reordered"]
        self.duplicates = received["duplicates"]

    def good(self):
        return self.loss <= LOSS_LIMIT

    def as_list(self):
        return [round(self.wanted), round(self.offered), round(self.rate), round(self.loss, 4)]


def udp(lab, contender, options):
    """The highest rate at which at most 1 % is lost: what arrives unpaced is the first guess, then bisection.
    One near miss is tried again: other things happen on a machine."""
    trials = []

    def attempt(rate):
        for _ in range(2):
            trials.append(Trial(lab, contender, options, rate))
            if trials[-1].good() or trials[-1].loss > 5 * LOSS_LIMIT:
                break
        return trials[-1].good()

    flat_out = Trial(lab, contender, options, 0)
    trials.append(flat_out)
    low, high = 0.0, flat_out.offered
    if flat_out.good():
        low = high
    guess = max(min(flat_out.rate, high / PRECISION), 1000.0)
    while high > 1000 and len(trials) < options.trials and (not low or high / low > PRECISION):
        if attempt(guess):
            low = guess
        else:
            high = guess
        guess = (low * high) ** 0.5 if low else high / 1.6
    best = max((t for t in trials if t.good()), key=lambda t: t.rate, default=None)
    if not best:
        raise BenchError(f"more than 1 % lost even at {high / 1000:.0f} kpps")
    return {"udp_kpps": best.rate / 1000, "udp_overload_kpps": flat_out.rate / 1000,
            "udp_offered_max_kpps": flat_out.offered / 1000, "udp_reordered": best.reordered,
            "udp_duplicates": best.duplicates, "udp_trials": [t.as_list() for t in trials]}


# ---- ping ----

def _ping(lab, contender, count):
    """Round trips in microseconds, and the share of lost ones."""
    try:
        text = lab.run(lab.a, "ping", "-n", "-i", 0.01, "-c", count, "-W", 1, contender.inner(lab.b), timeout=count * 0.05 + 20)
    except BenchError as e:
        raise BenchError(f"ping: {e}") from None
    times = [float(t) * 1000 for t in re.findall(r"time=([\d.]+) ms", text)]
    if len(times) < count / 2:
        raise BenchError(f"{count - len(times)} of {count} pings lost")
    return times, 1 - len(times) / count


def ping(lab, contender, options):
    _ping(lab, contender, 20)  # warm-up
    times, lost = _ping(lab, contender, options.pings)
    return {"ping_median_us": statistics.median(times), "ping_p99_us": percentile(times, 0.99), "ping_lost": lost}


def loadping(lab, contender, options):
    """Ping beside one TCP stream in the same direction."""
    refresh(lab, contender)
    server = lab.spawn(lab.b, "iperf3", "-s", "-1", "-B", contender.inner(lab.b), "-p", IPERF_PORT)
    client = None
    try:
        wait_for(lambda: listens(server.pid, IPERF_PORT), "iperf3's server")
        client = lab.spawn(lab.a, "iperf3", "-c", contender.inner(lab.b), "-B", contender.inner(lab.a), "-p", IPERF_PORT,
                           "-t", options.seconds + WARM_UP + 5)
        lab.run(None, "sleep", WARM_UP)
        before = lab.counters(lab.a, contender.device(lab.a))[0]
        times, lost = _ping(lab, contender, max(int(options.seconds * 100), 100))
        moved = lab.counters(lab.a, contender.device(lab.a))[0] - before
        if client.poll() is not None or moved < 1e6:
            raise BenchError("the TCP stream beside the ping did not run")
    finally:
        if client:
            lab.stop(client)
        lab.stop(server)
    return {"loadping_median_ms": statistics.median(times) / 1000, "loadping_p99_ms": percentile(times, 0.99) / 1000,
            "loadping_lost": lost}


# ---- what only some offer ----

def first(lab, contender, options):
    value = contender.first_byte_ms(lab)
    return {} if value is None else {"first_byte_ms": value}


def handshakes(lab, contender, options):
    value = contender.handshakes_per_second(lab)
    return {} if value is None else {"handshakes_per_s": value}


# ---- once, at the very end ----

def flood_and_rss(lab, contender, options):
    """Floods inside the tunnel, both ways, small and big, then garbage at the VPN's port; then the peak
    of memory over the whole run. The tunnel must still work after it."""
    if not contender.pids() or contender.is_script:
        return {}
    refresh(lab, contender)
    blast = options.tool("udpblast")
    for end, other in (lab.ends, lab.ends[::-1]):
        for size in (64, 1372):
            lab.run(end, blast, "send", f"{contender.inner(other)}:{BLAST_PORT}", "-t", options.trial, "-s", size)
        # one flow: its port alone is the VPN's
        lab.run(end, blast, "send", f"{other.outer}:{contender.port}", "-n", 1, "-t", options.trial, "-s", 148, "-r", 1)
    if not contender.alive():
        raise BenchError(f"the flood ended {contender.name}: {contender.last_words(lab)}")
    _ping(lab, contender, 20)
    return {"rss_mib": contender.peak_rss_mib()}


MEASURES = {"ping": ping, "tcp1": tcp1, "tcp4": tcp4, "loadping": loadping, "udp": udp, "first": first,
            "handshakes": handshakes}

"""Raw values to a markdown table and a plot. Values are compared within one run only; a ratio is the
median of the rounds' ratios, because the figures of one round were taken close to each other."""

import shutil
import statistics
import subprocess

REFERENCES = ("wireguard-go", "limit")

# metric, heading, digits
COLUMNS = (
    ("tcp1_fwd_mbit", "TCP 1 stream Mbit/s", 0),
    ("tcp1_rev_mbit", "TCP 1, back", 0),
    ("tcp4_fwd_mbit", "TCP 4 streams Mbit/s", 0),
    ("tcp4_rev_mbit", "TCP 4, back", 0),
    ("tcp1_fwd_cpu_s_per_gb", "VPN CPU s per GB", 2),
    ("tcp1_fwd_pad_per_byte", "pad per byte of TCP", 3),
    ("udp_kpps", "64-byte kpps at <= 1 % loss", 0),
    ("ping_median_us", "idle ping median us", 0),
    ("ping_p99_us", "idle ping p99 us", 0),
    ("loadping_p99_ms", "p99 ping beside TCP ms", 2),
    ("rss_mib", "peak RSS MiB", 1),
    ("first_byte_ms", "first byte ms", 0),
    ("handshakes_per_s", "handshakes per s", 0),
)

# what is asked of jorm: text, metric, contender, reference or None, wanted, "at least" or "at most"
BARS = (
    ("TCP with AES-256-GCM, times wireguard-go's", "tcp1_fwd_mbit", "jorm-aes", "wireguard-go", 3.0, True),
    ("TCP with ChaCha20-Poly1305, times wireguard-go's", "tcp1_fwd_mbit", "jorm-chacha", "wireguard-go", 2.0, True),
    ("TCP with AES-256-GCM, of the forwarder without crypto", "tcp1_fwd_mbit", "jorm-aes", "limit", 0.8, True),
    ("CPU per GB with AES-256-GCM, of wireguard-go's", "tcp1_fwd_cpu_s_per_gb", "jorm-aes", "wireguard-go", 1 / 3, False),
    ("CPU per GB with ChaCha20-Poly1305, of wireguard-go's", "tcp1_fwd_cpu_s_per_gb", "jorm-chacha", "wireguard-go", 0.5, False),
    ("TCP with a pad alone, times wireguard-go's", "tcp1_fwd_mbit", "jorm-otp", "wireguard-go", 1.0, True),
    ("TCP with a pad in AES-256-GCM, of AES-256-GCM alone", "tcp1_fwd_mbit", "jorm-pq+otp", "jorm-aes", 0.75, True),
    ("pad used per byte of TCP, pad alone", "tcp1_fwd_pad_per_byte", "jorm-otp", None, 1.03, False),
    ("64-byte rate, times wireguard-go's", "udp_kpps", "jorm-aes", "wireguard-go", 5.0, True),
    ("idle ping, of fastd's", "ping_median_us", "jorm-aes", "fastd", 1.1, False),
    ("p99 ping beside TCP, ms", "loadping_p99_ms", "jorm-aes", None, 6.0, False),
    ("peak RSS after a flood, MiB", "rss_mib", "jorm-aes", None, 32.0, False),
    ("TCP through snek-vpn, times what plays the older program", "tcp1_fwd_mbit", "snek-vpn", "old-snek", 5.0, True),
    ("TCP through snek-vpn, Mbit/s: five times snek-vpn.py's 251", "tcp1_fwd_mbit", "snek-vpn", None, 1255.0, True),
    ("TCP through snek-vpn, back: five times 290", "tcp1_rev_mbit", "snek-vpn", None, 1450.0, True),
    ("TCP through otptunnel, Mbit/s (OTPTunnel had 14)", "tcp1_fwd_mbit", "otptunnel", None, 1000.0, True),
)


class Results:
    """results[contender][metric] = one value a round, None where the measurement failed."""

    def __init__(self):
        self.values = {}
        self.errors = []

    def add(self, contender, round_number, metrics):
        for metric, value in metrics.items():
            rounds = self.values.setdefault(contender, {}).setdefault(metric, [])
            rounds.extend([None] * (round_number - len(rounds)))
            rounds.append(value)

    def get(self, contender, metric):
        return [v for v in self.values.get(contender, {}).get(metric, []) if v is not None]

    def median(self, contender, metric):
        values = self.get(contender, metric)
        return statistics.median(values) if values else None

    def ratio(self, contender, reference, metric):
        pairs = zip(self.values.get(contender, {}).get(metric, []), self.values.get(reference, {}).get(metric, []))
        ratios = [x / y for x, y in pairs if x is not None and y]
        return statistics.median(ratios) if ratios else None


def _cell(values, digits):
    if not values:
        return "-"
    text = f"{statistics.median(values):.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):.{digits}f}..{max(values):.{digits}f})"
    return text


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def _bars(results):
    rows = []
    for text, metric, contender, reference, wanted, at_least in BARS:
        got = results.ratio(contender, reference, metric) if reference else results.median(contender, metric)
        if got is not None:
            met = got >= wanted if at_least else got <= wanted
            rows.append([text, f"{'>=' if at_least else '<='} {wanted:.2f}", f"{got:.2f}", "yes" if met else "**no**"])
    return "\n## What is asked of jorm\n\n" + _table(["", "wanted", "measured", "met"], rows) if rows else ""


def markdown(results, contenders, notes, rounds):
    columns = [c for c in COLUMNS if any(results.get(n, c[0]) for n in contenders)]
    text = "\n".join(f"- {note}" for note in notes) + f"\n\nMedian (least..most) of {rounds} interleaved rounds.\n\n"
    text += _table(["contender"] + [c[1] for c in columns],
                   [[name] + [_cell(results.get(name, m), digits) for m, _, digits in columns] for name in contenders])
    for reference in REFERENCES:
        if reference not in contenders or len(contenders) < 2:
            continue
        text += f"\nRatio to {reference}:\n\n"
        rows = []
        for name in contenders:
            ratios = [results.ratio(name, reference, m) for m, _, _ in columns]
            rows.append([name] + ["-" if r is None else f"{r:.2f}" for r in ratios])
        text += _table(["contender"] + [c[1] for c in columns], rows)
    text += "\nThe tunnels (sizes: mean of what the device and the underlay were handed during a TCP stream; above the "
    text += "MTU: segmentation offload at work):\n\n"
    text += _table(["contender", "version", "MTU", "device", "bytes per tunnel packet", "bytes per outer packet"],
                   [[name] + [str(c.facts.get(f, "") or "-") for f in
                              ("version", "mtu", "kind", "tun_packet_bytes", "outer_packet_bytes")]
                    for name, c in contenders.items()])
    text += _bars(results)
    if results.errors:
        text += "\nNot measured:\n\n" + "\n".join(f"- {e}" for e in results.errors) + "\n"
    return text


PANELS = (  # title, metrics with their legends
    ("TCP, Mbit/s", (("tcp1_fwd_mbit", "1 stream"), ("tcp4_fwd_mbit", "4 streams"))),
    ("64-byte datagrams at <= 1 % loss, kpps", (("udp_kpps", ""),)),
    ("VPN CPU, seconds per GB of TCP", (("tcp1_fwd_cpu_s_per_gb", ""),)),
    ("Idle ping, us", (("ping_median_us", "median"), ("ping_p99_us", "p99"))),
    ("p99 ping beside a TCP stream, ms", (("loadping_p99_ms", ""),)),
    ("Peak RSS of one end, MiB", (("rss_mib", ""),)),
)


def plot(results, contenders, path, title):
    """An SVG by gnuplot; False where that is not installed. Whiskers: least and most of the rounds."""
    if not shutil.which("gnuplot"):
        return False
    panels = [(t, [m for m in metrics if any(results.get(n, m[0]) for n in contenders)]) for t, metrics in PANELS]
    panels = [p for p in panels if p[1]]
    if not panels:
        return False
    height = 330 * ((len(panels) + 1) // 2) + 40
    script = [f"set terminal svg size 1100,{height} dynamic background '#ffffff' font 'sans-serif,12'",
              f"set output '{path}'",
              f"set multiplot layout {(len(panels) + 1) // 2},{min(len(panels), 2)} title '{title}'",
              "set style data histograms", "set style histogram errorbars gap 1 lw 1", "set style fill solid 0.85 noborder",
              "set boxwidth 0.9", "set grid ytics lc rgb '#dddddd'", "set border 3", "set xtics rotate by -35 nomirror scale 0",
              "set ytics nomirror", "set yrange [0:*]", "set linetype 1 lc rgb '#2f6f9f'", "set linetype 2 lc rgb '#e0a030'",
              "set key top right", "set rmargin 6"]
    for heading, metrics in panels:
        shown = [n for n in contenders if any(results.get(n, m) for m, _ in metrics)]
        script.append("$data << END")
        for name in shown:
            numbers = []
            for metric, _ in metrics:
                values = results.get(name, metric) or [float("nan")]
                numbers += [statistics.median(values), min(values), max(values)]
            script.append(f'"{name}" ' + " ".join(f"{n:.6g}" for n in numbers))
        script.append("END")
        script.append(f"set title '{heading}'")
        script.append("plot " + ", ".join(
            f"$data using {2 + 3 * i}:{3 + 3 * i}:{4 + 3 * i}:xtic(1) "
            + (f"title '{legend}'" if len(metrics) > 1 else "notitle") for i, (_, legend) in enumerate(metrics)))
    done = subprocess.run(["gnuplot"], input="\n".join(script), text=True, capture_output=True, check=False)
    if done.returncode:
        print(f"gnuplot: {done.stderr.strip()[-300:]}")
    return done.returncode == 0

"""A lint that finds nothing may be a lint that does not look: each rule is shown a small bad tree and
must report it, and only it; a good tree must pass. Prints TAP."""

import pathlib
import shutil
import sys
import tempfile

from lint import LAYERS, MAX_LINES, POLLING_HELPERS, RULES, lint

HEADER = "/* What it knows. */\n#pragma once\n"

# A tree in order, with the things that only look forbidden.
GOOD = {
    "src/wire/frame.h": HEADER + '#include "base/err.h"\n',
    "src/wire/frame.c": '#include "wire/frame.h"\n'
    "/* never call sprintf() or time() here */\n"
    'static const char *name = "exit(1)"; // system(\n'
    "int f(struct queue *q) { return q->read(q) + q->ops.open(1) + session_open(q); }\n",
    "src/base/rng.h": HEADER,
    "src/base/rng.c": "void f(void) { getrandom(p, 1, 0); abort(); }\n",
    "src/base/clock.h": HEADER,
    "src/base/clock.c": "void f(void) { clock_gettime(1, p); }\n",
    "src/cli/main.c": '#include <jansson.h>\nint main(void) { printf("hello"); exit(0); }\n',
    "src/crypto/kem.h": HEADER,
    "src/crypto/kem.c": "#include <openssl/evp.h>\n",
    "src/daemon/up.h": HEADER + "".join(f'#include "{f}/x.h"\n' for f in LAYERS if f not in ("compat", "daemon", "cli")),
    POLLING_HELPERS[0]: "import time\ntime.sleep(0.1)\n",
    "src/engine/private.h": HEADER,
    "src/engine/receive.c": '#include "engine/private.h"\n',
    "scripts/run": "#!/bin/sh\nset -eu\nmktemp /tmp/x.XXXXXX\n",
    "bench/results/run.md": "at /work" + "/main\n",
    "docs/page.md": "The network/work/life balance; see https://example.org/debian.\n",
}

# (rule, the line it must name, files)
LONG_WORD = "FIX" + "ME"
BAD = [
    ("layers", 1, {"src/wire/a.h": HEADER, "src/wire/a.c": '#include "crypto/kem.h"\n'}),
    ("layers", 2, {"src/crypto/a.h": HEADER, "src/crypto/a.c": '\n#  include "wire/a.h"\n'}),
    ("layers", 1, {"src/wire/a.h": HEADER, "src/wire/a.c": '#include "a.h"\n'}),
    ("layers", 1, {"src/daemon/a.h": HEADER, "src/daemon/a.c": '#include "cli/a.h"\n'}),
    ("layers", 1, {"src/compat/a.h": HEADER, "src/compat/a.c": '#include "engine/a.h"\n'}),
    ("layers", 1, {"src/daemon/a.h": HEADER, "src/daemon/a.c": '#include "compat/a.h"\n'}),
    ("layers", 1, {"src/misc/a.h": HEADER}),
    ("layers", 1, {"src/a.h": HEADER}),
    ("libraries", 1, {"src/engine/a.h": HEADER, "src/engine/a.c": "#include <openssl/evp.h>\n"}),
    ("libraries", 1, {"src/daemon/a.h": HEADER, "src/daemon/a.c": "#include <libmnl/libmnl.h>\n"}),
    ("libraries", 1, {"src/config/a.h": HEADER, "src/config/a.c": "#include <jansson.h>\n"}),
    ("libraries", 1, {"src/engine/a.h": HEADER, "src/engine/a.c": "#include <intel-ipsec-mb.h>\n"}),
    ("libraries", 1, {"src/net/a.h": HEADER, "src/net/a.c": "#include <urcu-qsbr.h>\n"}),
    ("unsafe", 2, {"src/cli/a.c": "void f(void)\n{ strcpy(a, b); }\n"}),
    ("unsafe", 1, {"src/cli/a.c": "int a = EVP_Cipher (c, o, i, 1);\n"}),
    ("unsafe", 1, {"tests/unit/base/a.c": "int a(void) { return rand(); }\n"}),
    ("printing", 1, {"src/net/a.h": HEADER, "src/net/a.c": 'void f(void) { printf("x"); }\n'}),
    ("printing", 3, {"src/wire/a.h": HEADER + 'static inline void f(void) { log_error("x"); }\n'}),
    ("printing", 1, {"src/config/a.h": HEADER, "src/config/a.c": 'void f(void) { fprintf(stderr, "x"); }\n'}),
    ("ending", 1, {"src/daemon/a.h": HEADER, "src/daemon/a.c": "void f(void) { exit(1); }\n"}),
    ("ending", 1, {"src/cli/a.c": "void f(void) { abort(); }\n"}),
    ("clocks", 1, {"src/daemon/a.h": HEADER, "src/daemon/a.c": "long f(void) { return time(0); }\n"}),
    ("random", 1, {"src/crypto/a.h": HEADER, "src/crypto/a.c": "void f(void) { RAND_bytes(p, 1); }\n"}),
    ("system-calls", 1, {"src/engine/a.h": HEADER, "src/engine/a.c": "void f(void) { sendmsg(1, m, 0); }\n"}),
    ("system-calls", 1, {"src/handshake/a.h": HEADER, "src/handshake/a.c": "int f(void) { return read(0, b, 1); }\n"}),
    ("sleeps", 1, {"tests/sim/a.c": "void f(void) { usleep(5); }\n"}),
    ("sleeps", 2, {"tests/net/test_a.py": "import time\ntime.sleep(1)\n"}),
    ("leftovers", 1, {"src/cli/a.c": f"/* {LONG_WORD}: later */\n"}),
    ("leftovers", 1, {"docs/a.md": "TO" + "DO\n"}),
    ("machine-paths", 1, {"docs/a.md": "see /work" + "/main\n"}),
    ("registry-hosts", 1, {"scripts/a.sh": "curl http://deb." + "debian.org/debian\n"}),
    ("headers", 1, {"src/base/a.h": "#pragma once\n"}),
    ("headers", 1, {"src/base/a.h": "/* What. */\n"}),
    ("headers", 1, {"src/base/a.c": "int a;\n"}),
    ("length", MAX_LINES + 1, {"src/cli/a.c": "int a;\n" * (MAX_LINES + 1)}),
    ("shell", 2, {"scripts/a": '#!/bin/sh\nread a <<END; local x=1\nEND\necho "$a"\n'}),
]


def findings_in(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return lint(folder).findings


def main():
    failed = 0
    print(f"1..{len(BAD) + 2}")

    def result(ok, what, found):
        nonlocal failed
        print(f"{'ok' if ok else 'not ok'} - {what}")
        if not ok:
            failed += 1
            print(f"# found: {found}")

    found = findings_in(GOOD)
    result(not found, "a tree in order passes", found)
    for rule, line, files in BAD:
        what = f"{rule}: {', '.join(files)}"
        if rule == "shell" and shutil.which("shellcheck") is None:
            print(f"ok - {what} # SKIP no shellcheck")
            continue
        found = findings_in(files)
        ok = bool(found) and all(f[1:3] == (line, rule) for f in found)
        result(ok, what, found)

    untried = set(RULES) - {rule for rule, _, _ in BAD}
    result(not untried, "each rule has a bad tree here", sorted(untried))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

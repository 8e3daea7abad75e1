#!/usr/bin/env python3
"""Writes the annotated hexadecimal examples of docs/FORMAT.md again from the vectors of lacre-format.

Run it after `LACRE_WRITE_VECTORS=1 cargo nextest run -p lacre-format`: every block ```hex NAME whose bytes are no longer those of
crates/lacre-format/tests/vectors/NAME.hex is replaced. An object with no description below is annotated by its map keys alone.
Add an empty block for a new vector first, where its text stands.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
VECTORS = ROOT / "crates/lacre-format/tests/vectors"
DOCUMENT = ROOT / "docs/FORMAT.md"


def vec(name):
    return bytes.fromhex("".join((VECTORS / f"{name}.hex").read_text().split()))


W = 32


def hexlines(b, comment):
    rows = [b[i : i + W].hex() for i in range(0, len(b), W)] or [""]
    out = []
    for i, r in enumerate(rows):
        out.append((r, comment if i == 0 else ""))
    return out


def head(b, p):
    m = b[p] >> 5
    a = b[p] & 31
    if a < 24:
        return m, a, p + 1
    n = {24: 1, 25: 2, 26: 4, 27: 8}[a]
    return m, int.from_bytes(b[p + 1 : p + 1 + n], "big"), p + 1 + n


def end(b, p):
    m, a, q = head(b, p)
    if m in (0, 1, 7):
        return q
    if m in (2, 3):
        return q + a
    for _ in range(a * (2 if m == 5 else 1)):
        q = end(b, q)
    return q


def diag(b, p):
    m, a, q = head(b, p)
    if m == 0:
        return str(a)
    if m == 1:
        return str(-1 - a)
    if m == 2:
        return f"{a} bytes"
    if m == 3:
        return '"' + b[q : q + a].decode() + '"'
    if m == 7:
        return {20: "false", 21: "true", 22: "null"}.get(a, f"simple value {a}")
    n = f"{'array' if m == 4 else 'map'} of {a}"
    return n


def item(b, p, label, depth, sub, out):
    m, a, q = head(b, p)
    pad = ". " * depth
    if m in (4, 5) and sub is not None and a > 0:
        out += hexlines(b[p:q], f"{pad}{label}{': ' if label else ''}{diag(b, p)}")
        if m == 5:
            for _ in range(a):
                if b[q] >> 5 == 0:
                    k = head(b, q)[1]
                    kp = q
                    v = head(b, q)[2]
                    name, s = sub.get(k, ("?", None)) if isinstance(sub, dict) else ("", None)
                    mm = b[v] >> 5
                    if mm in (4, 5) and s is not None:
                        out += hexlines(b[kp:v], f"{pad}. {k}")
                        item(b, v, name, depth + 1, s, out)
                        q = end(b, v)
                    else:
                        e = end(b, v)
                        out += hexlines(b[kp:e], f"{pad}. {k} {name}: {diag(b, v)}")
                        q = e
                else:
                    e = end(b, q)
                    e2 = end(b, e)
                    out += hexlines(b[q:e2], f"{pad}. {diag(b, q)}: {diag(b, e)}")
                    q = e2
        else:
            for i in range(a):
                if isinstance(sub, list):
                    name, s = sub[i]
                else:
                    name, s = "", sub.get("each") if isinstance(sub, dict) else None
                e = end(b, q)
                item(b, q, name, depth + 1, s, out)
                q = e
        return
    e = end(b, p)
    out += hexlines(b[p:e], f"{pad}{label}{': ' if label else ''}{diag(b, p)}")


L = lambda *n: [(x if isinstance(x, tuple) else (x, None)) for x in n]
M = lambda *n: {i: (x if isinstance(x, tuple) else (x, None)) for i, x in enumerate(n)}
each = lambda s: {"each": s}
gen = L("number", "hash")
chain = L("home", "sequence number", "digest")
pins = M("at", ("twins", each(chain)), ("snapshots", each(chain)), ("objects", each(None)))
home_entry = M("home", "key", "role", "label", ("revoked at", chain), ("revoked", pins))
top = L("capability", "pack", "slot", "level", "raw length")
stream = M(
    "name",
    "kind",
    "shape",
    "bytes",
    "rows",
    "BLAKE3",
    ("row digest", each(None)),
    ("top", top),
    ("dictionaries", each(top)),
    ("cutter", L("version", "target")),
    "dump id",
    "chunks",
)
signedS = L("home", "payload", "signature")
schemas = {
    "sealed-object": L("salt", "ciphertext"),
    "segment": M(("packs", each(L("name", "object length", "footer (as above)")))),
    "signed-object": signedS,
    "header": M(
        "repository",
        "snapshot",
        "home",
        "count",
        "previous",
        "taken",
        "committed",
        "session",
        "base",
        ("seen", each(chain)),
        "policy",
        ("generation", gen),
        "token",
        "key entry",
        "key commitment",
        "root",
        "reach",
        ("segments", each(None)),
        "label salt",
        "label",
        "derived from",
    ),
    "label": M(
        "job",
        "bytes",
        "rows",
        "streams",
        ("cutters", each(L("stream tag", "version", "target", "bytes"))),
        ("tags", each(None)),
        "stored",
    ),
    "snapshot-object": L(("signed header", L("home", "payload (the header above)", "signature")), "sealed root"),
    "root": M(
        "repository",
        "snapshot",
        "job",
        "taken",
        "source",
        ("facts", {}),
        ("streams", each(stream)),
        "structure key",
        "stream secret",
    ),
    "key-entry": M("repository", "snapshot", "policy", "key commitment", ("wraps", each(L("kind", "bytes")))),
    "key-envelope": M("snapshot", ("generation", gen), "BLAKE3 of the inner object", "age file"),
    "bundle": M("repository", ("generation", gen), ("entries", each(None))),
    "bundle-list": M(("generation", gen), "BLAKE3 of the bundle object", ("entries", each(L("snapshot", "digest")))),
    "policy": M(
        "repository",
        "number",
        "previous",
        "signed at",
        ("recipients", each(M("kind", "key", "label", "locked identity"))),
        ("generation", gen),
        "seal public key",
        ("homes", each(home_entry)),
        ("cells", each(M("name", "host"))),
        "holders",
        ("heads", each(chain)),
        "min verified",
        ("retention, sealed", L("salt", "ciphertext")),
        "rewrap below",
        "claim",
    ),
    "log-entry": M("repository", "home", "sequence number", "previous", "at", "event", "body (the forget below)"),
    "session": M("repository", "snapshot", "home", "opened", "base", "token", "job salt", "job, sealed"),
    "session-end": M("repository", "snapshot", "home", "ended", "outcome"),
}
nm = M(("snapshots", each(None)), "reason")
for e in ("forget", "unforget", "hold", "release"):
    schemas["event-" + e] = nm
schemas["policy-revoked"] = schemas["policy"]
rules = M("job", "last", "hourly", "daily", "weekly", "monthly", "yearly", "within", "verified min")
schemas["retention"] = M("zone", ("rules", each(rules)))
request = M("home", "key", "sealed to", "label")
grant = M("repository", "admin", "url", "home", "key", "role", "policy", "policy digest", "structure key, sealed")
schemas["join-request"] = L("kind: request", ("content", L(("request", request))))
schemas["join-grant"] = L("kind: grant", ("content", L(("grant", grant))))
schemas["event-revoking"] = M("home")
schemas["event-late"] = M(("entry", chain))
schemas["event-recipient-removed"] = M("removal", "policy", "recipient")
schemas["event-rewrapped"] = M(("to", gen), "below", "wrapped", ("left", each(None)))
schemas["event-check"] = M("level", ("snapshots", each(None)), "packs", "bytes read", "findings")
schemas["event-kit"] = M("number", ("generation", gen), "state")
schemas["event-run"] = M("run", "began", "ended", "exit code", "salt", "details, sealed")
schemas["run-details"] = M(
    ("jobs", each(M("job", "snapshot", "exit code", "began", "ended", "stored", "findings", "held back"))),
    "forgotten",
    "copies",
    "copies that failed",
    "findings",
)
schemas["event-restore"] = M("snapshot", "ended")
schemas["event-adopt"] = M("policy", ("lost", each(None)), "brought", "vouched")
schemas["policy-adopted"] = schemas["policy"]
layouts = {
    "frame-body": [
        (1, "codec: raw"),
        (4, "raw length: 28"),
        (4, "payload length: 28"),
        (28, "two rows"),
        (3, "padding: 37 becomes 40"),
    ],
    "pack-footer": [
        (1, "version"),
        (12, "pack"),
        (1, "3 slots"),
        (5, "slot 0: level 0, at 300, 128 bytes"),
        (4, "slot 1: born elsewhere, level 0, at 8, 292 bytes"),
        (13, ". in this pack, slot 7"),
        (5, "slot 2: level 1, at 428, 1000 bytes"),
    ],
    "pack-trailer": [(16, "salt"), (4, "footer length: 57"), (8, '"lacreend"')],
    "node": [
        (2, "version, level 1"),
        (1, "2 packs"),
        (12, "pack 0"),
        (12, "pack 1"),
        (1, "3 entries"),
        (32, "capability"),
        (5, "pack 0, slot 7, 4096 bytes, no dictionary"),
        (32, "capability"),
        (5, "pack 1, slot 0, 300 bytes, dictionary 1"),
        (32, "capability"),
        (6, "pack 0, slot 8, 16384 bytes, no dictionary"),
    ],
    "reach": [
        (2, "version, 2 packs"),
        (12, "pack"),
        (1, "1 run"),
        (2, "0 skipped, 3 used: slots 0 to 2"),
        (12, "pack"),
        (1, "2 runs"),
        (2, "7 skipped, 1 used: slot 7"),
        (3, "292 skipped, 1 used: slot 300"),
    ],
    "signed-message": [(8, "start of a session end"), (16, "repository"), (16, "home"), (None, "payload")],
    "manifest": [
        (
            None,
            'the text as bytes; it reads: {"format":"lacre","version":1,"repository":"1111...","admin":"adad...","nonce":"5555..."}',
        )
    ],
}


def render(name):
    b = vec(name)
    out = []
    if name in layouts:
        p = 0
        for n, c in layouts[name]:
            n = len(b) - p if n is None else n
            out += hexlines(b[p : p + n], c)
            p += n
        assert p == len(b), (name, p, len(b))
    elif name == "bundle-object":
        out += hexlines(b[:8], "start")
        e = end(b, 8)
        item(b, 8, "generation", 0, gen, out)
        out += hexlines(b[e:], "ciphertext: salt, age file, tag")
    else:
        p = 0
        if b[:5] == b"lacre":
            out += hexlines(b[:8], "start")
            p = 8
        item(b, p, "", 0, schemas.get(name, {}), out)
        assert end(b, p) == len(b)
    w = max(len(h) for h, c in out if c) if any(c for _, c in out) else 0
    w = min(w, 64)
    lines = []
    for h, c in out:
        c = c.replace("#", "")
        lines.append((h.ljust(w) + "  # " + c) if c else h)
    return "```hex " + name + "\n" + "\n".join(lines) + "\n```"


def example(match):
    name, lines = match[1], match[2].splitlines()
    bare = "".join(line.split("#")[0] for line in lines)
    if not (VECTORS / f"{name}.hex").exists() or bytes.fromhex(bare) == vec(name):
        return match[0]
    return render(name)


text = DOCUMENT.read_text()
again = re.sub(r"^```hex ([a-z-]+)\n(.*?)^```$", example, text, flags=re.S | re.M)
if again != text:
    DOCUMENT.write_text(again)
    print("docs/FORMAT.md: examples written again")

#!/usr/bin/env python3
"""Verifies audit logs, written from docs/audit-format.md alone.

    verify.py FILE|FOLDER... --public-key FILE [--witness FILE] [--strict]

It shares no code with the proxy, so that where both agree the page says enough.  It keeps a
chain's lines in memory and is slow: it is for tests.  Exit codes: 0, 1, 2 as `audit verify`.
"""

import argparse
import calendar
import datetime
import hashlib
import json
import os
import re
import sys

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    def signed(key, message, signature):
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

except ImportError:
    import nacl.exceptions
    import nacl.signing

    def signed(key, message, signature):
        try:
            nacl.signing.VerifyKey(key).verify(message, signature)
        except (nacl.exceptions.CryptoError, ValueError):
            return False
        return True


LINE_MAX = 65536
NAME_MAX = 256
COUNT_MAX = 2**63 - 1
DEPTH_MAX = 256
DAY = 24 * 3600 * 10**6

HEX = {n: re.compile(r"[0-9a-f]{%d}" % n) for n in (16, 32, 64, 128)}
INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{6})Z", re.ASCII)
STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\]|\\u00[01][0-9a-f])*"')
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

NEEDS = {
    "access": "conn user request command decision code",
    "intent": "conn user request command decision",
    "outcome": "conn request code",
    "refusal": "decision code",
    "login": "conn user",
    "login_failed": "conn user code",
    "logout": "conn user",
    "start": "version",
    "stop": "",
    "drain": "",
    "policy": "version hash",
    "key": "user act target",
    "admin": "user act target",
    "clock": "from step_ms",
    "gap": "head_seq witness_seq why",
    "expired": "before head",
    "checkpoint": "from root cluster_time key next_key sig",
}
FIRST = ["v", "event", "seq", "ts", "instance"]
LATER_PART = set(
    "v event seq ts instance conn request part last mono prev subjects searched".split()
)


class Fault(Exception):
    """The answer is no: file:line: what."""


class Bad(Exception):
    """Bad usage or input."""


def blake(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def root_of(leaves):
    """RFC 9162, 2.1.1, over line hashes."""
    if not leaves:
        return blake(b"")
    if len(leaves) == 1:
        return blake(b"\0" + leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return blake(b"\1" + root_of(leaves[:split]) + root_of(leaves[split:]))


class Int(str):
    """A number as it was written."""


class Scanner:
    """JSON without blanks; gives values, and for each object its keys in order."""

    def __init__(self, text):
        self.text = text
        self.at = 0

    def fail(self, what):
        raise ValueError(what)

    def take(self, c):
        if self.text.startswith(c, self.at):
            self.at += len(c)
            return True
        return False

    def match(self, pattern, what):
        found = pattern.match(self.text, self.at)
        if not found:
            self.fail(what)
        self.at = found.end()
        return found.group()

    def string(self):
        return json.loads(self.match(STRING, "no string"))

    def value(self, depth=0):
        if depth > DEPTH_MAX:
            self.fail("nested too deep")
        if self.take("{"):
            return self.object(depth)
        if self.take("["):
            return self.array(depth)
        if self.text.startswith('"', self.at):
            return self.string()
        for word, meaning in (("true", True), ("false", False), ("null", None)):
            if self.take(word):
                return meaning
        return Int(self.match(NUMBER, "no value"))

    def array(self, depth):
        out = []
        if self.take("]"):
            return out
        while True:
            out.append(self.value(depth + 1))
            if self.take("]"):
                return out
            if not self.take(","):
                self.fail("no comma")

    def object(self, depth):
        out = {}
        if self.take("}"):
            return out
        while True:
            key = self.string()
            if key in out:
                self.fail("a key twice")
            if not self.take(":"):
                self.fail("no colon")
            begun = self.at
            out[key] = self.value(depth + 1)
            if depth == 0 and key == "shape":
                self.shape = self.text[begun : self.at]
            if self.take("}"):
                return out
            if not self.take(","):
                self.fail("no comma")


def is_count(value, low=0):
    return isinstance(value, Int) and bool(re.fullmatch(r"-?\d+", value, re.ASCII)) and (
        low <= int(value) <= COUNT_MAX
    )


def is_hex(n):
    return lambda v: type(v) is str and bool(HEX[n].fullmatch(v))


def is_text(v):
    return type(v) is str


def is_name(v):
    return type(v) is str and len(v.encode()) <= NAME_MAX


def micros(text):
    """Microseconds since 1970, or None."""
    found = TIME.fullmatch(text) if type(text) is str else None
    if not found:
        return None
    parts = [int(p) for p in found.groups()]
    try:
        moment = datetime.datetime(*parts[:6])
    except ValueError:
        return None
    return calendar.timegm(moment.timetuple()) * 10**6 + parts[6]


def is_list(check):
    return lambda v: isinstance(v, list) and all(check(e) for e in v)


def is_subject(v):
    return type(v) is str and bool(HEX[32].fullmatch(v[1:] if v[:1] == "~" else v))


def is_signed(v):
    return is_count(v, -COUNT_MAX)


KINDS = {
    "seq": is_count,
    "mono": is_count,
    "conn": is_count,
    "docs": is_count,
    "bytes": is_count,
    "count": is_count,
    "part": lambda v: is_count(v, 1),
    "cut": is_count,
    "before": is_count,
    "code": is_signed,
    "step_ms": is_signed,
    "head_seq": lambda v: is_count(v, -1),
    "witness_seq": lambda v: is_count(v, -1),
    "ms": lambda v: isinstance(v, Int) and v[0] != "-",
    "ts": lambda v: micros(v) is not None,
    "instance": lambda v: type(v) is str and bool(INSTANCE.fullmatch(v)),
    "prev": is_hex(64),
    "root": is_hex(64),
    "head": is_hex(64),
    "cut_hash": is_hex(64),
    "sig": is_hex(128),
    "key": is_hex(16),
    "shape_hash": is_hex(16),
    "request": is_hex(32),
    "cursor_of": is_hex(32),
    "next_key": lambda v: v is None or is_hex(64)(v),
    "cluster_time": lambda v: v is None or is_text(v),
    "decision": lambda v: v in ("allow", "refuse") and type(v) is str,
    "roles": is_list(is_name),
    "subjects": is_list(is_subject),
    "searched": is_list(is_hex(32)),
    "disclosed": lambda v: isinstance(v, dict),
    "last": lambda v: v is True,
    "unacknowledged": lambda v: v is True,
}
for name in "client tls app driver user on_behalf_of purpose ns command act target".split():
    KINDS[name] = is_name
for name in "rule policy way version hash why".split():
    KINDS[name] = is_text


def parse(raw):
    """The keys of a line, judged by themselves; ValueError."""
    if len(raw) > LINE_MAX:
        raise ValueError("too long")
    text = raw.decode("utf-8")
    scanner = Scanner(text)
    if not scanner.take("{"):
        raise ValueError("no object")
    line = scanner.object(0)
    if scanner.at != len(text):
        raise ValueError("something behind the object")
    judge(line, getattr(scanner, "shape", None))
    line["raw"] = raw
    line["hashed"] = blake(raw)
    line["micros"] = micros(line["ts"])
    for key in ("seq", "part", "from", "before", "head_seq", "witness_seq"):
        if isinstance(line.get(key), Int):
            line[key] = int(line[key])
    return line


def judge(line, shape):
    keys = list(line)
    tail = ["mono", "prev"] + (["sig"] if "sig" in line else [])
    if keys[:5] != FIRST or keys[-len(tail) :] != tail or len(keys) < 7:
        raise ValueError("order of keys")
    if line["v"] != "1" or not isinstance(line["v"], Int):
        raise ValueError("version")
    event = line["event"]
    if type(event) is not str or event not in NEEDS:
        raise ValueError("unknown event")
    for key, value in line.items():
        check = KINDS.get(key)
        if check and not check(value):
            raise ValueError("value of " + key)
    start = line.get("from", Int("0"))
    if not (micros(start) is not None if event == "clock" else is_count(start)):
        raise ValueError("value of from")
    judge_part(line, event)
    if ("shape" in line) != ("shape_hash" in line):
        raise ValueError("shape without hash, or the other way")
    if shape is not None and shape != '{"?":"long"}':
        if blake(shape.encode()).hex()[:16] != line["shape_hash"]:
            raise ValueError("shape_hash")


def judge_part(line, event):
    needs = set(NEEDS[event].split())
    if "last" in line and "part" not in line:
        raise ValueError("last without part")
    if "part" in line:
        if "request" not in line or "conn" not in line:
            raise ValueError("part without request")
        if int(line["part"]) > 1:
            needs = {"conn", "request"}
            if set(line) - LATER_PART:
                raise ValueError("a later part with other keys")
    if event == "login_failed" and "count" in line:
        needs -= {"conn", "user"}
    if "sig" in line and event != "checkpoint":
        raise ValueError("sig in no checkpoint")
    if needs - set(line):
        raise ValueError("without " + ", ".join(sorted(needs - set(line))))


def read(path):
    """(place, line) of each line."""
    try:
        with open(path, "rb") as f:
            content = f.read()
    except OSError as e:
        raise Bad(str(e)) from e
    lines = content.split(b"\n")
    half = lines.pop()
    for number, raw in enumerate(lines, 1):
        place = "%s:%d" % (path, number)
        try:
            yield place, parse(raw)
        except (ValueError, RecursionError) as e:
            raise Fault("%s: %s" % (place, e)) from e
    if half:
        raise Fault("%s:%d: half a line" % (path, len(lines) + 1))


def list_files(paths):
    if not paths:
        raise Bad("nothing to verify")
    out, seen = [], set()
    for path in paths:
        if os.path.isdir(path):
            names = sorted(n for n in os.listdir(path) if n.endswith(".jsonl"))
            found = [os.path.join(path, n) for n in names]
        else:
            found = [path]
        for f in found:
            try:
                status = os.stat(f)
            except OSError as e:
                raise Bad(str(e)) from e
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                out.append(f)
    return out


def load_keys(path):
    if not path:
        raise Bad("no public key")
    try:
        with open(path, "rb") as f:
            lines = f.read().splitlines()
    except OSError as e:
        raise Bad(str(e)) from e
    if not lines or not all(re.fullmatch(rb"[0-9a-f]{64}", k) for k in lines):
        raise Bad("no public key in " + path)
    return [bytes.fromhex(k.decode()) for k in lines]


class Chain:
    def __init__(self, instance, keys, witness, rolls):
        self.instance = instance
        self.keys = keys
        self.witness = witness  # None, or [(place, line)]
        self.rolls = rolls  # None, or [(place, line)]
        self.key = None
        self.last = None
        self.leaves = []
        self.since = 0  # `from` of the next checkpoint
        self.checkpoint = -1
        self.uncovered = 0
        self.gap = None  # place of one that is not covered yet
        self.gaps = self.steps = self.unknown = self.late = 0
        self.excused = []  # (above, up to) of gaps
        self.seen = {}  # hash by seq
        self.part = None
        self.file = None
        self.wanted = None  # (seq, prev) that an expired record must name
        self.named = self.covered = False
        self.open = set()
        self.stopped = True
        self.lacks = False
        self.rolled = set()

    def fault(self, what):
        raise Fault("%s: %s" % (self.place, what))

    def use_key(self, test):
        for key in self.keys:
            if test(blake(key).hex()):
                self.key = key
                return
        self.fault("no such public key")

    def begin(self, line):
        self.first = self.place
        if line["seq"] and not (line["event"] == "gap" and line["head_seq"] == -1):
            self.wanted = (line["seq"], line["prev"])
            self.leaves = [bytes.fromhex(line["prev"])]
            self.since = line["seq"] - 1
            self.pass_rolls(line["seq"] - 1)
        else:
            self.use_key(lambda h: h == line["prev"])

    def follow(self, line):
        if line["event"] != "gap" and line["seq"] != self.last["seq"] + 1:
            self.fault("seq")
        if bytes.fromhex(line["prev"]) != self.last["hashed"]:
            self.fault("prev")
        if line["micros"] < self.last["micros"] and line["event"] != "clock":
            self.fault("ts goes back")

    def check_gap(self, line):
        head = self.last["seq"] if self.last else -1
        if line["head_seq"] != head or line["seq"] != line["witness_seq"] + 1:
            self.fault("gap does not fit")
        if line["head_seq"] > line["witness_seq"]:
            self.fault("gap goes back")
        self.gap = self.gap or self.place
        self.gaps += 1
        self.excused.append((head, line["witness_seq"]))
        self.pass_rolls(line["witness_seq"])

    def signature(self, line):
        if self.key is None:
            self.use_key(lambda h: h[:16] == line["key"])
        if blake(self.key).hex()[:16] != line["key"]:
            self.fault("key")
        if not signed(self.key, line["raw"][:-138], bytes.fromhex(line["sig"])):
            self.fault("signature")
        if line["next_key"]:
            self.key = bytes.fromhex(line["next_key"])

    def pass_rolls(self, seq):
        """Rolls that the log need not hold."""
        here = self.place
        while self.rolls and self.rolls[0][1]["seq"] <= seq:
            self.place, line = self.rolls.pop(0)
            self.signature(line)
        self.place = here

    def check_checkpoint(self, line):
        self.signature(line)
        if line["from"] != self.since:
            self.fault("from")
        if root_of(self.leaves).hex() != line["root"]:
            self.fault("root")
        self.leaves = []
        self.since = self.checkpoint = line["seq"]
        self.uncovered = 0
        self.gap = None
        self.covered = self.named
        if line["next_key"] and self.rolls is not None:
            self.check_roll(line)

    def check_roll(self, line):
        if not self.rolls:
            if self.lacks:
                self.fault("a roll behind one that lacks")
            self.lacks = True
            return
        place, roll = self.rolls.pop(0)
        if roll["raw"] != line["raw"]:
            raise Fault(place + ": not the roll of the log")

    def check_part(self, line):
        part = line.get("part")
        if part is None:
            if self.part and line["event"] in ("clock", "gap"):
                self.part = (*self.part[:3], True)
            elif self.part and line["event"] != "start":
                self.fault("the record before is unfinished")
            elif self.part:
                self.part = None
            return
        if part == 1 and self.part:
            self.fault("the record before is unfinished")
        if part > 1:
            if self.part != ((line["request"], line["event"]), part - 1, self.file, False):
                self.fault("a part that does not follow")
        mine = ((line["request"], line["event"]), part, self.file, False)
        self.part = None if "last" in line else mine

    def count(self, line):
        event = line["event"]
        if event == "intent" and line.get("part", 1) == 1:
            self.open.add(line["request"])
        elif event == "outcome":
            self.open.discard(line["request"])
        elif event == "clock":
            self.steps += 1
        elif event == "start":
            if not self.stopped:
                self.late += self.uncovered
            self.unknown += len(self.open)
            self.open.clear()
        if event not in ("checkpoint", "clock", "gap"):
            self.stopped = event == "stop"
        if event == "expired" and (line["before"], line["head"]) == self.wanted:
            self.named = True

    def add(self, place, line, file):
        self.place, self.file = place, file
        if line["instance"] != self.instance:
            self.fault("another instance")
        if self.last:
            self.follow(line)
        else:
            self.begin(line)
        self.check_part(line)
        if line["event"] == "gap":
            self.check_gap(line)
        self.count(line)
        if line["event"] == "checkpoint":
            self.check_checkpoint(line)
        else:
            self.uncovered += 1
        self.leaves.append(line["hashed"])
        self.seen[line["seq"]] = line["hashed"]
        self.last = line

    def end(self):
        if self.wanted and not self.covered:
            raise Fault(self.first + ": no covered expired record names the first line")
        if self.gap:
            raise Fault(self.gap + ": a gap that no checkpoint covers")
        if self.rolls:
            raise Fault(self.rolls[0][0] + ": a roll that is not in the log")
        self.unknown += len(self.open)
        self.newest = None
        for place, line in self.witness or []:
            seq = line["seq"]
            if any(low < seq <= high for low, high in self.excused):
                continue
            if self.wanted and seq < self.wanted[0]:
                continue
            if self.seen.get(seq) != line["hashed"]:
                raise Fault(place + ": not in the log")
            self.newest = line

    def tell(self):
        if self.witness is None:
            out = "unproven after seq %d: no witness given" % self.checkpoint
        elif self.uncovered:
            out = "unproven after seq %d: not covered by a checkpoint yet" % self.checkpoint
        elif not self.newest:
            out = "unproven after seq %d: no witness line" % self.checkpoint
        else:
            out = "proven up to seq %d (witness of %s)" % (
                self.newest["seq"],
                self.newest["ts"],
            )
        return "%s: %s" % (self.instance, out)

    def is_strict(self):
        return (
            self.newest is not None
            and not self.uncovered
            and not self.gaps
            and self.last["micros"] - self.newest["micros"] <= DAY
        )


def read_beside(path, rising):
    """A witness or a file of keys: checkpoints by instance."""
    out = {}
    for place, line in read(path):
        if line["event"] != "checkpoint":
            raise Fault(place + ": no checkpoint")
        lines = out.setdefault(line["instance"], [])
        if lines:
            again = not rising and lines[-1][1]["raw"] == line["raw"]
            if line["seq"] <= lines[-1][1]["seq"] and not again:
                raise Fault(place + ": seq does not rise")
        lines.append((place, line))
    return out


def verify(paths, public_key, witness=None, strict=False):
    """The last lines of the output; Fault or Bad."""
    keys = load_keys(public_key)
    logs, rolls = {}, {}
    for path in list_files(paths):
        name = os.path.basename(path)
        if os.path.getsize(path) == 0:
            continue
        if name.endswith("-keys.jsonl"):
            instance = name[: -len("-keys.jsonl")]
            rolls[instance] = read_beside(path, True)
            continue
        lines = list(read(path))
        logs.setdefault(lines[0][1]["instance"], []).append((lines[0][1]["seq"], path, lines))
    if not logs:
        raise Fault("no record at all")
    for instance, of in rolls.items():
        if set(of) - {instance} or instance not in logs:
            raise Fault("%s: keys of another chain" % instance)
        for place, line in of.get(instance, []):
            if not line["next_key"]:
                raise Fault(place + ": rolls no key")
    witnesses = read_beside(witness, False) if witness else {}
    for instance, lines in witnesses.items():
        if instance not in logs:
            raise Fault(lines[0][0] + ": the chain is missing")
    chains = []
    for instance in sorted(logs):
        chain = Chain(
            instance,
            keys,
            witnesses.get(instance, []) if witness else None,
            list(rolls[instance].get(instance, [])) if instance in rolls else None,
        )
        for _, path, lines in sorted(logs[instance], key=lambda f: f[:2]):
            for place, line in lines:
                chain.add(place, line, path)
        chain.end()
        chains.append(chain)
    for chain in chains:
        if strict and not chain.is_strict():
            raise Fault(chain.tell() + " (strict)")
    return [chain.tell() for chain in chains]


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--public-key")
    parser.add_argument("--witness")
    parser.add_argument("--strict", action="store_true")
    a = parser.parse_args()
    try:
        for text in verify(a.paths, a.public_key, a.witness, a.strict):
            print(text)
    except Fault as e:
        print(e, file=sys.stderr)
        return 1
    except Bad as e:
        print(e, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Two worlds: two databases behind two proxies that share policy, users and keys.

What a role may not learn is put into them differently; whatever it asks, the two must say the
same.  Here is what makes, fills and asks them, and what of a reply is compared.
"""

import contextlib
import functools
import hashlib
import pathlib
import re
import shutil
import struct
import sys

import bson
import bson.json_util
from pymongo import UpdateOne

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))

import wire  # noqa: E402
from harness import (  # noqa: E402
    UPSTREAM_PASSWORD, UPSTREAM_USER, Proxy, Upstream, password_of)

DATABASE = "healthcare_db"
VAULT = ("encryption", "__keyVault")

# name: (roles, attributes, purpose)
USERS = {
    "import-job": (["import"], {}, None),
    "loader": (["loader"], {}, None),
    "doctor": (["doctor"], {"hospital": "H-NORD"}, None),
    "clerk": (["billing"], {}, "payment"),
    "analyst": (["analyst"], {}, None),
    "masked": (["masked"], {"hospital": "H-NORD", "ward": "W1"}, None),
    "researcher": (["researcher"], {}, None),
    "sealed": (["sealed"], {}, None),
    "outsider": (["outsider"], {}, None),
    "keeper": (["keeper"], {}, None),
    "two-roles": (["doctor", "billing"], {"hospital": "H-NORD"}, "payment"),
    "api": (["backend_api"], {}, None),
}


def order_of(key):
    """The same random-looking number in both worlds."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:7], "big")


def elements(document):
    """(type, name, value) of a document's bytes, in their order: names may repeat."""
    at, end = 4, len(document) - 1
    while at < end:
        kind = document[at]
        stop = document.index(0, at + 1)
        size = value_size(kind, document, stop + 1)
        yield kind, document[at + 1:stop], document[stop + 1:stop + 1 + size]
        at = stop + 1 + size


FIXED = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8,
         0x13: 16, 0x7F: 0, 0xFF: 0}


def value_size(kind, data, at):
    if kind in FIXED:
        return FIXED[kind]
    if kind == 0x0B:
        middle = data.index(0, at)
        return data.index(0, middle + 1) + 1 - at
    size, = struct.unpack_from("<i", data, at)
    return size + {0x02: 4, 0x0D: 4, 0x0E: 4, 0x05: 5, 0x0C: 16}.get(kind, 0)


class Connection(wire.Client):
    """A user's connection that keeps replies as bytes."""

    def __init__(self, server, user, password):
        super().__init__(server.port, server.ca, timeout=300)
        answer = self.login(user, password)
        assert answer["ok"] == 1, answer

    def ask(self, body, *sections):
        """The reply's document, as it came."""
        self.put(body, *sections)
        return self.take()

    def put(self, body, *sections):
        self.last_id += 1
        self.send(wire.op_msg(body, *sections, request_id=self.last_id))

    def take(self):
        return wire.read_frame(self.stream)[21:]


IGNORED = {b"operationTime", b"$clusterTime", b"topologyVersion", b"electionId", b"opTime",
           b"localTime", b"connectionId"}


class Reply:
    """What of a reply a role can learn something from."""

    def __init__(self, raw):
        self.raw = raw
        self.fields = {}
        self.parts = []
        for kind, name, value in elements(raw):
            if name in IGNORED:
                continue
            if name == b"cursor" and kind == 0x03:
                value = self.cursor(value)
            self.fields[name] = (kind, value)
            self.parts.append((kind, name, value))

    def cursor(self, document):
        """The id is a number of the proxy's own: that there is one is what counts."""
        self.cursor_id = 0
        parts = []
        for kind, name, value in elements(document):
            if name == b"id":
                self.cursor_id, = struct.unpack("<q", value)
                value = self.cursor_id != 0
            parts.append((kind, name, value))
        return tuple(parts)

    def document(self):
        return bson.decode(self.raw)

    @property
    def ok(self):
        kind, value = self.fields[b"ok"]
        return value != bytes(len(value))

    def _int(self, name):
        kind, value = self.fields.get(name, (0x10, b"\0\0\0\0"))
        return struct.unpack("<i" if kind == 0x10 else "<q", value)[0] if kind != 0x01 else int(
            struct.unpack("<d", value)[0])

    def _text(self, name):
        kind, value = self.fields.get(name, (0x02, b"\1\0\0\0\0"))
        return value[4:-1].decode(errors="replace")

    @property
    def code(self):
        return self._int(b"code")

    @property
    def text(self):
        return self._text(b"errmsg")

    def __eq__(self, other):
        return self.parts == other.parts

    def shown(self):
        """For people."""
        return bson.json_util.dumps(
            {k: v for k, v in self.document().items() if k.encode() not in IGNORED})


def own_texts():
    """Patterns of the errors that the proxy itself makes: code, and a text with what was sent."""
    source = (ROOT / "proxy/util/faults.def").read_text()
    found = []
    for code, words in re.findall(
            r'FAULT\(\w+,\s*(\d+),\s*"\w+",\s*\w+,\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)', source):
        text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', words))
        pattern = ".*".join(re.escape(part) for part in text.split("%s"))
        found.append((int(code), re.compile(pattern + r"\Z", re.DOTALL)))
    assert len(found) > 40
    return found


OWN_TEXTS = own_texts()


def is_refusal(reply):
    """The proxy itself said no; an upstream's error has another code, or the general texts."""
    return not reply.ok and any(
        code == reply.code and pattern.match(reply.text) for code, pattern in OWN_TEXTS)


class World:
    """An upstream, a proxy before it, and connections of its users."""

    def __init__(self, folder, upstream, proxy):
        self.folder, self.upstream, self.proxy = folder, upstream, proxy
        self.connections = {}
        self.clients = {}
        self.direct = upstream.client(tz_aware=True)

    def lane(self, user, number=0):
        """A user's connection, or, for None, the database operator's past the proxy; of
        several at the same time each has a number."""
        key = user, number
        if key not in self.connections:
            self.connections[key] = (
                Connection(self.proxy, user, password_of(user)) if user else
                Connection(self.upstream, UPSTREAM_USER, UPSTREAM_PASSWORD))
        return self.connections[key]

    def ask(self, user, body, *sections):
        return Reply(self.lane(user).ask(body, *sections))

    def fill(self, collections):
        """Through the proxy, which seals them; then the same random orders as in the other world.

        The order is a secret of the proxy's own, drawn anew at each insert: only equal ones
        let rows of views be compared.
        """
        for name, documents in collections.items():
            stored = self.direct[DATABASE][name]
            stored.delete_many({})
            writer = self.client("loader")[DATABASE][name]
            if documents:
                writer.insert_many(documents, ordered=True)
            own = [UpdateOne({"_id": d["_id"]}, {"$set": {
                "__mw.o": order_of(d["_id"]), "__mw.rk": order_of(("key", d["_id"]))}})
                for d in stored.find({"__mw": {"$exists": True}}, {"_id": 1})]
            if own:
                stored.bulk_write(own)

    def take_sealed(self, other, collection, path):
        """Random ciphertext differs each time: where plaintexts are equal, it is copied over."""
        mine, theirs = self.direct[DATABASE][collection], other.direct[DATABASE][collection]
        mine.bulk_write([UpdateOne({"_id": d["_id"]}, {"$set": {path: value}})
                         for d in theirs.find({path: {"$exists": True}}, {path: 1})
                         if (value := functools.reduce(lambda x, k: x[k], path.split("."), d))])

    def client(self, user):
        """A user's driver."""
        if user not in self.clients:
            self.clients[user] = self.proxy.client(user)
        return self.clients[user]

    def close(self):
        for one in (*self.connections.values(), *self.clients.values()):
            one.close()
        self.direct.close()


@contextlib.contextmanager
def worlds(folder):
    """Two worlds with one policy, one set of users and one set of keys."""
    folder = pathlib.Path(folder)
    ups = [Upstream(folder / f"upstream-{name}") for name in "ab"]
    proxies = []
    made = []
    try:
        for up in ups:
            up.start()
        first = Proxy(folder / "proxy-a", ups[0].uri).init(policy=whole_policy(folder))
        first.add_users(USERS)
        first.command("key", "create", "--missing")
        second = twin_of(first, folder / "proxy-b", ups)
        for proxy in (first, second):
            proxies.append(proxy.start())
        made = [World(folder, up, proxy) for up, proxy in zip(ups, proxies)]
        yield made
    finally:
        for world in made:
            world.close()
        for proxy in proxies:
            proxy.stop()
            proxy.check()
        for up in ups:
            up.stop()


def whole_policy(folder):
    """The hospital's policy, and beside it the roles of this test."""
    target = pathlib.Path(folder) / "policy"
    shutil.rmtree(target, ignore_errors=True)
    # Its own tests name no collection, as there is one there.
    shutil.copytree(ROOT / "policies/hospital", target,
                    ignore=shutil.ignore_patterns("tests.yaml"))
    for file in (ROOT / "tests/twin/policy").glob("*.yaml"):
        shutil.copy(file, target)
    return target


def twin_of(proxy, folder, upstreams):
    """The same configuration before another database, which gets the same key vault."""
    shutil.copytree(proxy.folder, folder)
    config = folder / "mongoward.yaml"
    text = config.read_text().replace(upstreams[0].uri, upstreams[1].uri)
    assert upstreams[1].uri in text
    config.write_text(text.replace(str(proxy.folder), str(folder)))
    for name in ("audit", "witness"):
        for file in (folder / name).glob("*"):
            file.unlink()
    with upstreams[0].client() as source, upstreams[1].client() as target:
        keys = list(source[VAULT[0]][VAULT[1]].find())
        assert keys
        target[VAULT[0]][VAULT[1]].insert_many(keys)
    return Proxy(folder, upstreams[1].uri)

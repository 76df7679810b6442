"""The database goes away, lies, or comes back; and the proxy itself is started anew."""

import threading

import pymongo
import pymongo.errors
import pytest

import wire
from conftest import finish, make_proxy, patient, wipe
from harness import Proxy, eventually, free_port


@pytest.fixture
def pair(tmp_path_factory, own_upstream):
    if not own_upstream.server:
        own_upstream.start()
    wipe(own_upstream)
    proxy = make_proxy(tmp_path_factory.mktemp("faults"), own_upstream).start()
    yield own_upstream, proxy
    finish(proxy)


class Load(threading.Thread):
    """Inserts one after the other, and reads what it has inserted."""

    def __init__(self, proxy):
        super().__init__()
        self.client = proxy.client("import-job", serverSelectionTimeoutMS=30000)
        self.done, self.errors, self.acknowledged = threading.Event(), [], []

    def run(self):
        patients = self.client.healthcare_db.patients
        n = 0
        while not self.done.is_set():
            n += 1
            try:
                patients.insert_one(patient(f"Patient {n}", "H-NORD", f"{n:015}", _id=n))
                self.acknowledged.append(n)
                patients.find_one({"_id": n})
            except pymongo.errors.PyMongoError as error:
                self.errors.append(error)

    def finish(self):
        self.done.set()
        self.join(60)
        assert not self.is_alive(), "something hangs"
        found = {d["_id"] for d in self.client.healthcare_db.patients.find({}, {"_id": 1})}
        self.client.close()
        assert found >= set(self.acknowledged), "an acknowledged write is missing"


def test_the_database_goes_and_comes_back(pair):
    """No retryable operation surfaces an error.  It is not killed outright: this upstream then
    loses what it had acknowledged, which no proxy can mend."""
    upstream, proxy = pair
    load = Load(proxy)
    load.start()
    eventually(lambda: len(load.acknowledged) > 20)
    for _ in range(2):
        before = len(load.acknowledged)
        upstream.stop()
        upstream.start()
        eventually(lambda: len(load.acknowledged) > before + 20, seconds=60)
    load.finish()
    assert not load.errors, load.errors[:3]
    records = proxy.records()
    intents = {r["request"] for r in records if r["event"] == "intent"}
    outcomes = {r["request"] for r in records if r["event"] == "outcome"}
    assert intents == outcomes


def test_the_proxy_is_started_anew(pair):
    upstream, proxy = pair
    load = Load(proxy)
    load.start()
    eventually(lambda: len(load.acknowledged) > 20)
    assert proxy.stop() == 0
    proxy.start()
    before = len(load.acknowledged)
    eventually(lambda: len(load.acknowledged) > before + 20, seconds=60)
    load.finish()
    assert not load.errors, load.errors[:3]


def test_without_the_database_nothing_starts(tmp_path):
    proxy = Proxy(tmp_path / "mw", f"mongodb://proxy@127.0.0.1:{free_port()}/?tls=true").init()
    assert "could not be reached" in proxy.init_output
    done = proxy.command("key", "list", expect=None)
    assert done.returncode == 3 and "could not be reached" in done.stderr


# ------------------------------------------------------------ a database that lies


ANSWERS = {
    "cut in the middle": lambda _: wire.frame(wire.OP_MSG, bytes(5) + b"\x40\0\0\0", length=90),
    "closed": lambda _: None,
    "another opcode": lambda _: wire.frame(wire.OP_REPLY, bytes(40)),
    "a lying length": lambda _: wire.frame(wire.OP_MSG, bytes(5), length=8),
    "far too long": lambda _: wire.frame(wire.OP_MSG, bytes(5), length=2**31 - 1),
    "an answer to somebody else": lambda _: wire.frame(
        wire.OP_MSG, bytes(5) + wire.bson.encode({"ok": 1}), response_to=987654),
    "no document": lambda _: wire.frame(wire.OP_MSG, bytes(5) + b"\x05\0\0\0\1"),
    "a state error": lambda _: {"ok": 0, "code": 10107, "codeName": "NotWritablePrimary",
                                "errmsg": "not primary"},
    "an error that quotes a value": lambda _: {
        "ok": 0, "code": 2, "codeName": "BadValue", "errmsg": "cannot use 'Ada Durand'"},
}


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    upstream = wire.ScriptedUpstream()
    upstream.answers["find"] = lambda body: upstream.find(body)
    upstream.find = lambda body: {
        "cursor": {"id": 0, "ns": "encryption.__keyVault", "firstBatch": []}, "ok": 1.0}
    folder = tmp_path_factory.mktemp("scripted")
    uri = f"mongodb://127.0.0.1:{upstream.port}/?directConnection=true&tls=false"
    proxy = Proxy(folder / "mw", uri)
    from harness import PROGRAM, run
    run([PROGRAM, "init", proxy.folder, "--upstream", uri, "--insecure-upstream"])
    policy = proxy.folder / "policies/hospital"
    for file in policy.glob("*.yaml"):
        file.unlink()
    (policy / "all.yaml").write_text(
        "mongoward: 1\nclasses: {secret: {}}\ncollections:\n  db.things:\n    fields:\n"
        "      x: {class: secret}\nroles:\n  reader: {grants: [{namespace: db.things, do: "
        "[read, insert], see: {technical: plaintext}, change: [\"*\"]}]}\n")
    proxy.add_user("reader", ["reader"])
    proxy.start()
    yield upstream, proxy
    upstream.close()
    finish(proxy)


@pytest.mark.parametrize("lie", ANSWERS)
def test_a_database_that_lies(scripted, lie):
    upstream, proxy = scripted
    vault = upstream.find

    def find(body):
        return ANSWERS[lie](body) if body["find"] == "things" else vault(body)
    upstream.find = find
    try:
        with wire.Client(proxy.port, proxy.ca) as client:
            assert client.login("reader", "password of reader")["ok"] == 1
            answer = client.command({"find": "things", "$db": "db"})
            assert answer["ok"] == 0, answer
            assert answer["code"] in (2, 6), answer
            assert "Ada" not in repr(answer) and "not primary" not in repr(answer)
    finally:
        upstream.find = vault
    with wire.Client(proxy.port, proxy.ca) as client:
        client.login("reader", "password of reader")
        assert eventually(lambda: client.command({"find": "things", "$db": "db"})["ok"] == 1)

"""An upstream that dies, lies or is not there, and a proxy that is restarted under load."""

import contextlib
import signal
import struct
import threading

import bson
import pymongo.errors
import pytest

import wire
from conftest import finish, patient
from harness import PROGRAM, Proxy, eventually, free_port, password_of, run

HOSPITAL = "H-NORD"


class Load:
    """Threads that write and read until they are told to stop; what went wrong, and what was
    acknowledged."""

    def __init__(self, proxy):
        self.stopping = threading.Event()
        self.errors, self.acknowledged, self.rounds = [], [], 0
        self.client = proxy.client("import-job")
        self.collection = self.client.healthcare_db.patients
        self.threads = [threading.Thread(target=self._run, args=(what,), daemon=True)
                        for what in (self._insert, self._find, self._transaction)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(90)
        hung = [t for t in self.threads if t.is_alive()]
        self.client.close()
        assert not hung

    def _run(self, what):
        n = 0
        while not self.stopping.is_set():
            n += 1
            try:
                what(n)
                self.rounds += 1
            except pymongo.errors.PyMongoError as error:
                self.errors.append((what.__name__, repr(error)))

    def _insert(self, n):
        self.collection.insert_one({**patient(f"Insert {n}", HOSPITAL), "_id": f"insert {n}"})
        self.acknowledged.append(f"insert {n}")

    def _find(self, _):
        assert self.collection.find_one({"_id": "insert 1"}) or True

    def _transaction(self, n):
        with self.client.start_session() as session:
            session.with_transaction(lambda s: self.collection.insert_one(
                {**patient(f"Transaction {n}", HOSPITAL), "_id": f"transaction {n}"}, session=s))
        self.acknowledged.append(f"transaction {n}")

    def goes_on(self, rounds=20):
        wanted = self.rounds + rounds
        eventually(lambda: self.rounds >= wanted, 60)


def intents_without_outcome(proxy):
    intents, outcomes = set(), set()
    for record in proxy.records():
        if record["event"] == "intent":
            intents.add(record["request"])
        elif record["event"] == "outcome":
            outcomes.add(record["request"])
    return intents - outcomes


def acknowledged_are_there(upstream, load):
    with upstream.client() as client:
        there = {d["_id"] for d in client.healthcare_db.patients.find({}, {"_id": 1})}
    assert set(load.acknowledged) <= there


def test_upstream_is_restarted_under_load(own_proxy, own_upstream):
    with own_upstream.client() as client:
        client.healthcare_db.patients.delete_many({})
    with Load(own_proxy) as load:
        load.goes_on()
        for _ in range(3):
            own_upstream.stop()
            own_upstream.start()
            load.goes_on()
    assert load.errors == []
    acknowledged_are_there(own_upstream, load)
    eventually(lambda: not intents_without_outcome(own_proxy))


def test_upstream_is_killed_under_load(own_proxy, own_upstream):
    """Its own durability is not what is tested here: only that nothing hangs or is unrecorded."""
    with own_upstream.client() as client:
        client.healthcare_db.patients.delete_many({})
    with Load(own_proxy) as load:
        load.goes_on()
        own_upstream.kill()
        own_upstream.start()
        load.goes_on()
    eventually(lambda: not intents_without_outcome(own_proxy))


def test_proxy_is_restarted_under_load(own_proxy, own_upstream):
    with own_upstream.client() as client:
        client.healthcare_db.patients.delete_many({})
    with Load(own_proxy) as load:
        load.goes_on()
        for _ in range(2):
            own_proxy.stop()
            own_proxy.start()
            load.goes_on()
    assert load.errors == []
    acknowledged_are_there(own_upstream, load)
    assert not intents_without_outcome(own_proxy)


def test_proxy_is_killed_under_load(own_proxy, own_upstream):
    with own_upstream.client() as client:
        client.healthcare_db.patients.delete_many({})
    with Load(own_proxy) as load:
        load.goes_on()
        own_proxy.stop(signal.SIGKILL)
        own_proxy.start()
        load.goes_on()
    acknowledged_are_there(own_upstream, load)
    own_proxy.verify()


# ------------------------------------------------------------------ scripted

POLICY = """\
mongoward: 1
classes: {open: {}}
collections:
  x.y: {fields: {a: {class: open}, s: {class: open}}}
roles:
  all: {grants: [{namespace: x.y, do: [read, insert], see: {"*": plaintext}, change: ["*"]}]}
"""
LIE = "a lie that nobody may read"
FIND = {"find": "y", "$db": "x"}


class Scripted(wire.ScriptedUpstream):
    """Finds on x.y are answered by a queue of `replies` first; `request_id` is known to them."""

    def __init__(self):
        super().__init__()
        self.replies = []

    def _serve(self, stream):
        with contextlib.suppress(OSError, EOFError, AssertionError), stream:
            while True:
                opcode, flags, body, sections, request_id, _ = wire.parse(wire.read_frame(stream))
                self.seen.append({**body, **sections})
                if self.replies and (body.get("$db") == "x" or "commitTransaction" in body):
                    raw, ends = self.replies.pop(0)(request_id)
                    stream.sendall(raw)
                    if ends:
                        return
                    continue
                document = self._answer(body)
                if opcode == wire.OP_QUERY:
                    stream.sendall(wire.op_reply(document, request_id))
                elif not flags & wire.MORE_TO_COME:
                    stream.sendall(reply(document, request_id))

    def asked(self, name):
        return [c for c in self.seen if next(iter(c)) == name and c.get("$db") == "x"]


def reply(document, request_id, *sections, flags=0, opcode=wire.OP_MSG):
    body = document if isinstance(document, bytes) else bson.encode(document)
    payload = struct.pack("<I", flags) + b"\0" + body + b"".join(sections)
    return wire.frame(opcode, payload, 1, request_id)


def batch(*documents):
    return {"cursor": {"id": bson.Int64(0), "ns": "x.y", "firstBatch": list(documents)}, "ok": 1.0}


GOOD = batch({"_id": 1, "a": 7})


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    upstream = Scripted()
    folder = tmp_path_factory.mktemp("scripted")
    policy = folder / "policy"
    policy.mkdir()
    (policy / "policy.yaml").write_text(POLICY)
    proxy = Proxy(folder / "mongoward", f"mongodb://127.0.0.1:{upstream.port}/?tls=false",
                  env={"MONGOWARD_LIMITS_OPERATION": "5s"})
    run([PROGRAM, "init", proxy.folder, "--upstream", proxy.upstream_uri,
         "--insecure-upstream"])
    target = proxy.folder / "policies/hospital"
    for file in target.iterdir():
        file.unlink()
    (target / "policy.yaml").write_text(POLICY)
    proxy.command("user", "remove", "admin")
    proxy.add_user("u", ["all"])
    proxy.start()
    yield upstream, proxy
    finish(proxy)
    upstream.close()


@pytest.fixture
def client(scripted):
    upstream, proxy = scripted
    upstream.replies.clear()
    upstream.seen.clear()
    with wire.Client(proxy.port, proxy.ca) as client:
        assert client.login("u", password_of("u"))["ok"] == 1
        yield client
        upstream.replies.clear()
        assert client.command(FIND)["ok"] == 1


def says(raw_of):
    return lambda request_id: (raw_of(request_id), False)


def cut_at(cut):
    return lambda request_id: (reply(GOOD, request_id)[:cut], True)


good = says(lambda i: reply(GOOD, i))


def test_answer_torn_once_is_asked_for_again(scripted, client):
    upstream, _ = scripted
    for cut in (0, 1, 15, 16, 17, 20, 21, 25, len(reply(GOOD, 1)) - 1):
        upstream.replies += [cut_at(cut), good]
        answer = client.command(FIND)
        assert answer["ok"] == 1 and answer["cursor"]["firstBatch"] == [{"_id": 1, "a": 7}]


def test_answer_torn_twice_is_an_error_without_a_state_code(scripted, client):
    upstream, _ = scripted
    upstream.replies += [cut_at(20), cut_at(20)]
    answer = client.command(FIND)
    assert answer["ok"] == 0 and answer["code"] == 6


def garbage(document, i):
    """Answers that do not follow the protocol, each with LIE in it."""
    whole = reply(document, i)
    body = bson.encode(document)
    return [
        whole[:8] + struct.pack("<i", i + 1) + whole[12:],
        whole[:12] + struct.pack("<i", wire.OP_REPLY) + whole[16:],
        whole[:12] + struct.pack("<i", wire.OP_COMPRESSED) + whole[16:],
        struct.pack("<i", 15) + whole[4:],
        struct.pack("<i", -1) + whole[4:],
        struct.pack("<i", 0x7FFFFFFF) + whole[4:],
        struct.pack("<i", len(whole) - 1) + whole[4:],
        whole + b"\0",
        whole + whole,
        reply(document, i, b"\0" + body),
        reply(document, i, wire.sequence("more", {"a": LIE})),
        reply(document, i, b"\7"),
        reply(document, i, flags=wire.CHECKSUM),
        reply(document, i, flags=wire.MORE_TO_COME),
        reply(document, i, flags=1 << 3),
        reply(struct.pack("<i", len(body) - 1) + body[4:], i),
        reply(struct.pack("<i", len(body) + 1) + body[4:], i),
    ]


KINDS = len(garbage({"ok": 1}, 1))


@pytest.mark.parametrize("kind", range(KINDS))
def test_garbage_never_reaches_the_client(scripted, client, kind):
    upstream, _ = scripted
    lie = batch({"_id": 1, "s": LIE})
    upstream.replies += [says(lambda i: garbage(lie, i)[kind])] * 2
    answer = client.command(FIND)
    assert answer["ok"] == 0 and answer["code"] == 6
    assert LIE not in str(answer)


def test_each_byte_of_an_answer_changed(scripted, client):
    upstream, _ = scripted
    whole = reply(GOOD, 1)
    for offset in range(16, len(whole)):
        def lie(i, offset=offset):
            raw = bytearray(reply(GOOD, i))
            raw[offset] ^= 0xFF
            return bytes(raw)
        upstream.replies[:] = [says(lie), says(lie)]
        # A text that is no UTF-8 is passed on as it is; PyMongo refuses to read it.
        with contextlib.suppress(bson.errors.InvalidBSON):
            answer = client.command(FIND)
            assert answer["ok"] or answer["code"]
        upstream.replies.clear()
    assert client.command(FIND)["ok"] == 1


@pytest.mark.parametrize("document", [
    {"cursor": 1, "ok": 1.0},
    {"cursor": {"id": bson.Int64(5), "ns": "other.z", "firstBatch": [{"hidden": LIE}]}, "ok": 1.0},
    {"cursor": {"id": bson.Int64(0), "ns": "x.y", "firstBatch": LIE}, "ok": 1.0},
    {"cursor": {"id": bson.Int64(0), "ns": "x.y", "firstBatch": [LIE]}, "ok": 1.0},
    {"ok": 1.0, "errmsg": LIE},
    {"ok": 0.0, "errmsg": LIE, "code": 2, "codeName": "BadValue"},
    {"ok": 0.0, "errmsg": LIE, "errInfo": {"s": LIE}, "code": 121},
    {"ok": 0.0, "errmsg": LIE, "code": 11000, "keyValue": {"hidden": LIE}},
    {"cursor": {"id": bson.Int64(0), "ns": "x.y", "firstBatch": [{"hidden": LIE}]}, "ok": 1.0},
])
def test_what_was_not_asked_for_is_held_back(scripted, client, document):
    upstream, _ = scripted
    upstream.replies += [says(lambda i: reply(document, i))] * 2
    assert LIE not in str(client.command(FIND))


STATE_CODES = [91, 189, 10107, 11600, 11602, 13435, 13436]


@pytest.mark.parametrize("code", STATE_CODES)
def test_state_codes_of_the_upstream_stay_there(scripted, client, code):
    upstream, _ = scripted
    state = {"ok": 0.0, "code": code, "errmsg": LIE}
    upstream.replies += [says(lambda i: reply(state, i)), good]
    assert client.command(FIND)["ok"] == 1
    upstream.replies += [says(lambda i: reply(state, i))] * 2
    answer = client.command(FIND)
    assert answer["ok"] == 0 and answer["code"] == 6 and LIE not in str(answer)


INSERT = {"insert": "y", "documents": [{"_id": 1, "a": 1}], "$db": "x"}
LSID = {"id": bson.Binary(bytes(range(16)), 4)}


def test_write_without_a_number_is_sent_once(scripted, client):
    upstream, _ = scripted
    upstream.replies += [cut_at(0)]
    answer = client.command(INSERT)
    assert answer["code"] == 6 and not answer.get("errorLabels")
    assert len(upstream.asked("insert")) == 1


def test_write_with_a_number_is_repeated_as_it_was(scripted, client):
    upstream, _ = scripted
    upstream.replies += [cut_at(0)]
    assert client.command({**INSERT, "lsid": LSID, "txnNumber": bson.Int64(1)})["ok"] == 1
    first, second = upstream.asked("insert")
    assert first["lsid"] == second["lsid"] and first["txnNumber"] == second["txnNumber"]
    upstream.replies += [cut_at(0), cut_at(0)]
    answer = client.command({**INSERT, "lsid": LSID, "txnNumber": bson.Int64(2)})
    assert answer["code"] == 6 and "RetryableWriteError" in answer["errorLabels"]


def test_labels_of_what_was_lost_in_a_transaction(scripted, client):
    upstream, _ = scripted
    inside = {"lsid": LSID, "txnNumber": bson.Int64(3), "autocommit": False}
    assert client.command({**INSERT, **inside, "startTransaction": True})["ok"] == 1
    upstream.replies += [cut_at(0)]
    answer = client.command({**INSERT, **inside})
    assert answer["code"] == 6 and answer["errorLabels"] == ["TransientTransactionError"]


def test_lost_commit(scripted, client):
    upstream, _ = scripted
    inside = {"lsid": LSID, "txnNumber": bson.Int64(4), "autocommit": False}
    commit = {"commitTransaction": 1, "$db": "admin", **inside}
    assert client.command({**INSERT, **inside, "startTransaction": True})["ok"] == 1
    upstream.replies += [cut_at(0), cut_at(20)]
    answer = client.command(commit)
    assert answer["code"] == 6 and answer["errorLabels"] == ["RetryableWriteError"]
    assert client.command(commit)["ok"] == 1


def test_lost_get_more(scripted, client):
    upstream, _ = scripted
    opened = {"cursor": {"id": bson.Int64(77), "ns": "x.y", "firstBatch": []}, "ok": 1.0}
    upstream.replies += [says(lambda i: reply(opened, i))]
    cursor = client.command(FIND)["cursor"]["id"]
    assert cursor not in (0, 77)
    more = {"getMore": bson.Int64(cursor), "collection": "y", "$db": "x"}
    upstream.replies += [cut_at(0)]
    answer = client.command(more)
    assert answer["code"] == 6 and answer["errorLabels"] == ["ResumableChangeStreamError"]
    assert client.command(more)["code"] == 43


def test_a_namespace_is_not_the_upstreams_to_choose(scripted, client):
    upstream, proxy = scripted
    opened = {"cursor": {"id": bson.Int64(78), "ns": "lies.secret", "firstBatch": []}, "ok": 1.0}
    upstream.replies += [says(lambda i: reply(opened, i))]
    cursor = client.command(FIND)["cursor"]
    assert cursor["ns"] == "x.y"
    upstream.seen.clear()
    more = {"getMore": bson.Int64(cursor["id"]), "$db": "x"}
    assert client.command({**more, "collection": "secret"})["code"] == 43
    assert client.command({**more, "collection": "secret", "$db": "other"})["code"] == 43
    client.command({**more, "collection": "y"})
    sent = [body for body in map(str, upstream.seen) if "getMore" in body]
    assert sent and all("'collection': 'y'" in body for body in sent), sent
    assert not any("lies.secret" in line for file in proxy.audit_folder.glob("*.jsonl")
                   for line in file.read_text().splitlines())


# ----------------------------------------------------------- unreachable at start

def test_exit_when_nobody_answers(scripted, tmp_path):
    _, running = scripted
    proxy = Proxy(tmp_path / "mongoward", f"mongodb://127.0.0.1:{free_port()}/?tls=false")
    run([PROGRAM, "init", proxy.folder, "--upstream", proxy.upstream_uri, "--insecure-upstream"],
        expect=3)
    assert proxy.launch().server.wait() == 3


def test_exit_when_the_vault_cannot_be_read(tmp_path):
    upstream = Scripted()
    upstream.answers["find"] = lambda _: {"ok": 0.0, "code": 13, "errmsg": "no"}
    proxy = Proxy(tmp_path / "mongoward", f"mongodb://127.0.0.1:{upstream.port}/?tls=false")
    run([PROGRAM, "init", proxy.folder, "--upstream", proxy.upstream_uri, "--insecure-upstream"],
        expect=3)
    proxy.launch()
    assert proxy.server.wait() == 3
    assert not any(line.startswith("ready") for line in proxy.server.lines["stdout"])
    upstream.close()

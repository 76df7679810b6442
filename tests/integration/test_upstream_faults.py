"""The upstream dies, lies or is not there; the proxy restarts: what drivers notice of it."""

import signal
import threading

import bson
import pytest
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

import wire
from conftest import finish, patient
from harness import PROGRAM, Proxy, eventually, password_of, run


class Load(threading.Thread):
    """Retryable operations, one after the other, until told to stop."""

    def __init__(self, proxy):
        super().__init__(daemon=True)
        self.client = proxy.client("import-job", serverSelectionTimeoutMS=60000)
        self.patients = self.client.healthcare_db.patients
        self.errors, self.done = [], 0
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            for action in (lambda: self.patients.insert_one(patient(f"Load {self.done}", "H-SUD")),
                           lambda: self.patients.find_one({"personal_info.age": 41})):
                try:
                    action()
                    self.done += 1
                except PyMongoError as error:
                    self.errors.append(error)

    def end(self):
        self.over.set()
        self.join(120)
        self.client.close()
        return self.errors


def grow(load, by=20):
    target = load.done + by
    eventually(lambda: load.done >= target or load.errors, 120)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_retryable_operation_notices_a_restart_of_the_upstream(own_proxy, own_upstream, how):
    load = Load(own_proxy)
    load.start()
    grow(load)
    own_upstream.server.stop(how)
    own_upstream.start()
    grow(load)
    assert load.end() == []
    assert own_proxy.server.running()


def test_acknowledged_writes_are_there_once(own_proxy, own_upstream):
    load = Load(own_proxy)
    load.start()
    grow(load)
    own_upstream.server.stop(signal.SIGTERM)
    own_upstream.start()
    grow(load)
    assert load.end() == []
    with own_proxy.client("import-job") as client:
        patients = client.healthcare_db.patients
        inserted = load.done // 2
        names = [d["personal_info"]["name"] for d in patients.find()]
        loads = [n for n in names if n.startswith("Load ")]
        assert len(loads) >= inserted


def test_restart_of_the_proxy(own_proxy):
    load = Load(own_proxy)
    load.start()
    grow(load)
    assert own_proxy.stop() == 0
    own_proxy.start()
    grow(load)
    assert load.end() == []


def test_cursor_of_before_the_restart_is_not_found(own_proxy):
    with own_proxy.client("import-job") as client:
        patients = client.healthcare_db.patients
        patients.insert_many([patient(f"Cursor {n}", "H-SUD") for n in range(10)])
        cursor = patients.find(batch_size=2)
        next(cursor)
        assert own_proxy.stop() == 0
        own_proxy.start()
        with pytest.raises((OperationFailure, AutoReconnect)) as caught:
            list(cursor)
        assert getattr(caught.value, "code", 43) in (43, None)


def test_upstream_away_is_told_and_ends(own_proxy, own_upstream):
    """Without an upstream commands wait, then fail with 6, and work when it is back."""
    with wire.Client(own_proxy.port, own_proxy.ca, timeout=120) as client:
        assert client.login("import-job", password_of("import-job"))["ok"] == 1
        own_upstream.stop()
        answer = client.command({"find": "patients", "$db": "healthcare_db"})
        assert answer["ok"] == 0 and answer["code"] in (6, 133, 96)
        own_upstream.start()

        def works():
            return client.command({"find": "patients", "$db": "healthcare_db"})["ok"] == 1
        eventually(works, 60)


def test_key_vault_out_of_reach_stops_the_start(tmp_path, own_upstream):
    proxy = Proxy(tmp_path / "mongoward", own_upstream.uri).init()
    proxy.command("key", "create", "--missing")
    own_upstream.stop()
    try:
        proxy.launch()
        assert proxy.server.wait(120) == 3
        proxy.server = None
        assert run([PROGRAM, "key", "list", "--config", proxy.config],
                   expect=None).returncode == 3
    finally:
        own_upstream.start()


def test_missing_key_stops_the_start(tmp_path, own_upstream):
    proxy = Proxy(tmp_path / "mongoward", own_upstream.uri).init()
    proxy.command("key", "create", "--missing")
    with own_upstream.client() as direct:
        vault = direct.encryption["__keyVault"]
        keys = list(vault.find())
        vault.delete_one({"_id": keys[0]["_id"]})
        try:
            proxy.launch()
            assert proxy.server.wait() == 2
            assert any("key create --missing" in line for line in proxy.server.all_lines())
            proxy.server = None
        finally:
            vault.delete_many({})


def test_exchanged_key_bytes_stop_the_start(tmp_path, own_upstream):
    """Whoever controls the database cannot give a field another field's key."""
    proxy = Proxy(tmp_path / "mongoward", own_upstream.uri).init()
    proxy.command("key", "create", "--missing")
    with own_upstream.client() as direct:
        vault = direct.encryption["__keyVault"]
        first, second = list(vault.find())[:2]
        vault.update_one({"_id": first["_id"]},
                         {"$set": {"keyMaterial": second["keyMaterial"]}})
        try:
            proxy.launch()
            assert proxy.server.wait() == 2
            proxy.server = None
        finally:
            vault.delete_many({})


# ------------------------------------------------------------- a scripted upstream


class Lying:
    """A proxy in front of an upstream whose answers to `find` the test chooses."""

    def __init__(self, folder):
        self.keys = []
        self.answer = None
        self.upstream = wire.ScriptedUpstream({
            "find": self.find, "insert": self.insert, "createIndexes": lambda _: {"ok": 1.0},
            "aggregate": self.aggregate})
        uri = f"mongodb://127.0.0.1:{self.upstream.port}/?tls=false"
        self.proxy = Proxy(folder / "mongoward", uri,
                           env={"MONGOWARD_UPSTREAM_INSECURE": "true"})

    def insert(self, body):
        self.keys += body.get("documents", []) or self.upstream.seen[-1].get("documents", [])
        return {"ok": 1.0, "n": 1}

    def aggregate(self, body):
        return {"cursor": {"id": 0, "ns": "x.y", "firstBatch": []}, "ok": 1.0}

    def find(self, body):
        if body["find"] == "__keyVault":
            return {"cursor": {"id": bson.Int64(0), "ns": "encryption.__keyVault",
                               "firstBatch": self.keys}, "ok": 1.0}
        return self.answer(body) if self.answer else {
            "cursor": {"id": bson.Int64(0), "ns": "healthcare_db.patients", "firstBatch": []},
            "ok": 1.0}


@pytest.fixture(scope="module")
def lying(tmp_path_factory):
    liar = Lying(tmp_path_factory.mktemp("lying"))
    proxy = liar.proxy
    proxy.env["MONGOWARD_UPSTREAM_INSECURE"] = "true"
    proxy.init().add_users()
    proxy.command("key", "create", "--missing")
    proxy.start()
    yield liar
    finish(proxy)
    liar.upstream.close()


def reply(document):
    return wire.frame(wire.OP_MSG, b"\0\0\0\0\0" + bson.encode(document), 1, 1)


BATCH = {"cursor": {"id": bson.Int64(0), "ns": "healthcare_db.patients",
                    "firstBatch": [{"medical_info": {"condition": "Asthma"}}]}, "ok": 1.0}


@pytest.mark.parametrize("answer", [
    None, b"", b"\0", reply(BATCH)[:-1], reply(BATCH)[:20], bytes(64),
    wire.frame(wire.OP_MSG, b"\0\0\0\0\0" + bson.encode(BATCH), length=2**31 - 1),
    wire.frame(wire.OP_MSG, b"\0\0\0\0\0" + bson.encode(BATCH), length=5),
    wire.frame(2012, bytes(9)),
    wire.frame(wire.OP_MSG, b"\0\0\0\0\0" + bson.encode(BATCH), 1, 99999),
    {"cursor": "none", "ok": 1.0}, {"cursor": {"firstBatch": 5}, "ok": 1.0}, {"ok": 1.0}, {},
    {"cursor": {"id": "x", "ns": "healthcare_db.patients", "firstBatch": []}, "ok": 1.0},
], ids=["closes", "nothing", "one byte", "torn", "torn early", "zeros", "too long", "too short",
        "compressed", "other id", "no cursor", "batch is no array", "no batch", "empty", "bad id"])
def test_lying_upstream(lying, answer):
    """An error for the client, or an empty answer; the proxy stays, and nobody hangs."""
    given = []

    def once(body):
        given.append(body)
        return answer if answer != b"" else None
    lying.answer = once
    try:
        with wire.Client(lying.proxy.port, lying.proxy.ca, timeout=120) as client:
            assert client.login("import-job", password_of("import-job"))["ok"] == 1
            client.send(wire.op_msg({"find": "patients", "$db": "healthcare_db",
                                     "maxTimeMS": 2000}))
            answer_ = client.ended()
            assert answer_ is True or answer_["ok"] == 0 or "cursor" in answer_
    finally:
        lying.answer = None
    assert lying.proxy.server.running() and given
    with wire.Client(lying.proxy.port, lying.proxy.ca, timeout=120) as client:
        assert client.login("import-job", password_of("import-job"))["ok"] == 1
        eventually(lambda: client.command(
            {"find": "patients", "$db": "healthcare_db"})["ok"] == 1, 60)


@pytest.mark.parametrize("code", [91, 189, 10107, 11600, 11602, 13435, 13436])
def test_state_codes_of_the_upstream_stay_there(lying, code):
    lying.answer = lambda body: {"ok": 0.0, "code": code, "codeName": "X", "errmsg": "secret host"}
    try:
        with wire.Client(lying.proxy.port, lying.proxy.ca, timeout=120) as client:
            assert client.login("import-job", password_of("import-job"))["ok"] == 1
            answer = client.command({"find": "patients", "$db": "healthcare_db"})
            assert answer["ok"] == 0 and answer["code"] == 6
    finally:
        lying.answer = None


def test_torn_reply_at_every_byte(lying):
    whole = reply(BATCH)
    for at in range(0, len(whole), 7):
        lying.answer = lambda body, at=at: whole[:at] or None
        with wire.Client(lying.proxy.port, lying.proxy.ca, timeout=120) as client:
            assert client.login("import-job", password_of("import-job"))["ok"] == 1
            client.stream.settimeout(60)
            client.send(wire.op_msg({"find": "patients", "$db": "healthcare_db",
                                     "maxTimeMS": 500}))
            client.close()
    lying.answer = None
    assert lying.proxy.server.running()

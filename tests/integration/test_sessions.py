"""One user's sessions, transactions and cursors are no other user's."""

import bson
import pytest

import wire
from conftest import PATIENTS, patient
from harness import password_of


@pytest.fixture(autouse=True)
def _data(loaded):
    yield


@pytest.fixture
def connect(proxy):
    opened = []

    def connect(user):
        client = wire.Client(proxy.port, proxy.ca)
        assert client.login(user, password_of(user))["ok"] == 1
        opened.append(client)
        return client
    yield connect
    for client in opened:
        client.close()


def lsid():
    import uuid
    return {"id": bson.Binary(uuid.uuid4().bytes, 4)}


def find(**more):
    return {"find": "patients", "$db": "healthcare_db", **more}


def test_cursor_of_another_user(connect):
    mine, theirs = connect("import-job"), connect("api")
    session = lsid()
    cursor = mine.command(find(batchSize=1, lsid=session))["cursor"]["id"]
    assert cursor
    more = {"getMore": bson.Int64(cursor), "collection": "patients", "$db": "healthcare_db"}
    for extra in ({}, {"lsid": session}, {"lsid": lsid()}):
        answer = theirs.command({**more, **extra})
        assert answer["ok"] == 0 and answer["code"] == 43
        assert str(bson.encode(session)) not in answer["errmsg"]
    killed = theirs.command(
        {"killCursors": "patients", "cursors": [bson.Int64(cursor)], "$db": "healthcare_db"})
    assert killed["cursorsNotFound"] == [cursor] and not killed["cursorsKilled"]
    assert len(mine.command({**more, "lsid": session})["cursor"]["nextBatch"]) == len(PATIENTS) - 1


def test_cursor_on_another_connection_of_the_same_user(connect):
    first, second = connect("import-job"), connect("import-job")
    session = lsid()
    cursor = first.command(find(batchSize=1, lsid=session))["cursor"]["id"]
    more = {"getMore": bson.Int64(cursor), "collection": "patients", "$db": "healthcare_db"}
    assert second.command({**more, "lsid": lsid()})["code"] in (43, 50738)
    assert second.command({**more, "collection": "other", "lsid": session})["ok"] == 0
    assert second.command({**more, "lsid": session})["ok"] == 1


def test_transaction_of_another_user(connect):
    a, b = connect("import-job"), connect("api")
    session, number = lsid(), bson.Int64(1)
    inside = {"lsid": session, "txnNumber": number, "autocommit": False}
    assert a.command(find(**inside, startTransaction=True))["ok"] == 1
    answer = b.command(find(**inside))
    assert answer["ok"] == 0 and answer["code"] == 251
    assert b.command({"abortTransaction": 1, "$db": "admin", **inside})["ok"] == 0
    assert a.command({"commitTransaction": 1, "$db": "admin", **inside})["ok"] == 1


@pytest.mark.parametrize("more", [
    {"lsid": {"id": bson.Binary(bytes(16), 4), "uid": bson.Binary(bytes(32))}},
    {"lsid": {"id": bson.Binary(bytes(15), 4)}},
    {"lsid": {"id": bson.Binary(bytes(16), 0)}},
    {"lsid": {"id": "x"}},
    {"lsid": {}},
    {"lsid": 1},
    {"lsid": {"id": bson.Binary(bytes(16), 4), "txnNumber": bson.Int64(1)}},
])
def test_malformed_sessions_are_refused(connect, more):
    assert connect("api").command(find(**more))["ok"] == 0


def test_all_sessions_cannot_be_killed(connect):
    client = connect("api")
    for command in ({"killSessions": []}, {"killAllSessions": []},
                    {"killAllSessions": [{"user": "import-job", "db": "admin"}]},
                    {"killAllSessionsByPattern": []}, {"refreshSessions": []}):
        answer = client.command({**command, "$db": "admin"})
        assert answer["ok"] == 0, command


def test_nothing_before_login(proxy):
    with wire.Client(proxy.port, proxy.ca) as client:
        for command in (find(), {"listDatabases": 1, "$db": "admin"},
                        {"insert": "patients", "documents": [{}], "$db": "healthcare_db"}):
            answer = client.command(command)
            assert answer["ok"] == 0 and answer["code"] == 13
        assert client.command({"hello": 1, "$db": "admin"})["msg"] == "isdbgrid"


def test_hello_shows_a_mongos(proxy):
    with wire.Client(proxy.port, proxy.ca) as client:
        client.send(wire.op_query({"isMaster": 1, "helloOk": True,
                                   "saslSupportedMechs": "admin.dr.nord"}))
        opcode, _, known, *_ = client.receive()
        assert opcode == wire.OP_REPLY
        for field in ("hosts", "setName", "me", "primary", "topologyVersion"):
            assert field not in known
        assert known["msg"] == "isdbgrid" and known["ismaster"] is True
        assert known["maxWireVersion"] <= 21 and known["logicalSessionTimeoutMinutes"] == 30
        client.send(wire.op_query({"isMaster": 1, "saslSupportedMechs": "admin.nobody"}))
        unknown = client.receive()[2]
        assert unknown["saslSupportedMechs"] == known["saslSupportedMechs"]


def test_transactions_of_drivers(clients, loaded):
    client = clients["import-job"]
    with client.start_session() as session:
        session.start_transaction()
        loaded.insert_one(patient("Gone", "H-SUD"), session=session)
        assert loaded.count_documents({}, session=session) == len(PATIENTS) + 1
        assert loaded.count_documents({}) == len(PATIENTS)
        session.abort_transaction()
    assert loaded.count_documents({}) == len(PATIENTS)

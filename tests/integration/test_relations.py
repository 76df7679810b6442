"""Rows by lists that the proxy reads itself: who is in them, when, and what if they cannot be read."""

import datetime
import threading
import urllib.request

import bson
import pymongo
import pytest
from pymongo.errors import OperationFailure

import wire
from conftest import Clients, finish
from harness import PROGRAM, ROOT, Proxy, eventually, password_of, run

USERS = {
    "job": (["import"], {}, None),
    "carl": (["carer"], {}, None),
    "carla": (["carer"], {}, None),
    "cora": (["contact"], {}, None),
    "hans": (["head"], {"house": "north"}, None),
    "homeless": (["head"], {}, None),
}
PATIENTS = {"Chloe": "W1", "Emma": "W1", "Felix": "W2", "Gina": "W3", "Ada": "W1"}
NOW = datetime.datetime.now(datetime.timezone.utc)
LATER, EARLIER = NOW + datetime.timedelta(days=1), NOW - datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, upstream):
    with upstream.client() as client:
        for name in ("clinic", "encryption"):
            client.drop_database(name)
    proxy = Proxy(tmp_path_factory.mktemp("relations") / "mongoward", upstream.uri)
    proxy.init(policy=ROOT / "tests/policy/rows").add_users(USERS)
    proxy.command("key", "create", "--missing")
    proxy.start()
    yield proxy
    finish(proxy)


@pytest.fixture(scope="module")
def clients(proxy):
    found = Clients(proxy)
    yield found
    found.close()


@pytest.fixture
def db(clients, proxy):
    """A function from a user to the database, freshly filled; no list is known yet."""
    everything = clients["job"].clinic
    for name in ("patients", "team", "contacts", "heads"):
        everything[name].delete_many({})
    everything.patients.insert_many(
        {"name": name, "ward": ward, "illness": "Flu"} for name, ward in PATIENTS.items())
    assert proxy.reload()
    return lambda user: clients[user].clinic


def names(found):
    return {d["name"] for d in found}


def on_team(db, *patients, user="carl", until=LATER):
    db("job").team.insert_many({"user": user, "patient": p, "until": until} for p in patients)


def test_only_those_of_the_list(db):
    on_team(db, "Chloe", "Felix", "Ada")
    on_team(db, "Emma", user="carla")
    on_team(db, "Gina", until=EARLIER)
    rows = db("carl").patients
    assert names(rows.find()) == {"Chloe", "Felix"}  # Ada is protected
    assert rows.count_documents({}) == rows.estimated_document_count() == 2
    assert rows.find_one({"name": "Emma"}) is None and rows.find_one({"name": "Ada"}) is None
    assert set(rows.distinct("ward")) == {"W1", "W2"}
    assert [d["n"] for d in rows.aggregate([{"$count": "n"}])] == [2]
    assert names(db("carla").patients.find()) == {"Emma"}


def test_nobody_without_a_list(db):
    assert list(db("carl").patients.find()) == []
    assert db("carl").patients.update_many({}, {"$set": {"illness": "x"}}).matched_count == 0


def test_writes_stay_within(db):
    on_team(db, "Chloe")
    rows = db("carl").patients
    assert rows.update_many({}, {"$set": {"illness": "Cold"}}).matched_count == 1
    for action in (lambda: rows.update_many({}, {"$set": {"name": "Emma"}}),
                   lambda: rows.insert_one({"name": "Emma", "ward": "W1"}),
                   lambda: rows.update_one({"name": "Chloe"}, {"$set": {"illness": "x"}}, upsert=True)):
        with pytest.raises(OperationFailure) as caught:
            action()
        assert caught.value.code == 13
    rows.insert_one({"name": "Chloe", "illness": "Flu"})
    assert db("job").patients.count_documents({"name": "Chloe"}) == 2


def test_a_list_is_kept_and_a_reload_reads_it_anew(db, proxy):
    on_team(db, "Chloe")
    assert names(db("carl").patients.find()) == {"Chloe"}
    on_team(db, "Emma")
    reads = metric(proxy, "mongoward_relation_reads_total")
    assert names(db("carl").patients.find()) == {"Chloe"}
    assert metric(proxy, "mongoward_relation_reads_total") == reads
    assert proxy.reload()
    assert names(db("carl").patients.find()) == {"Chloe", "Emma"}
    assert metric(proxy, "mongoward_relation_reads_total") > reads


def test_a_cursor_ends_when_its_list_changes(db, proxy):
    on_team(db, "Chloe", "Emma", "Felix")
    one = db("carl").patients.find(batch_size=1)
    two = db("carla").patients.find(batch_size=1)
    next(one)
    assert list(two) == []
    assert proxy.reload()
    next(one)  # the list was read anew, and is the same
    db("job").team.delete_one({"patient": "Felix"})
    assert proxy.reload()
    with pytest.raises(OperationFailure) as caught:
        next(one)
    assert caught.value.code == 43


def test_sealed_lists_are_opened_and_sealed_again(db, upstream):
    """The owner is compared as ciphertext; patients, at random in the list, are found by theirs."""
    db("job").contacts.insert_many([
        {"owner": "cora", "patient": "Chloe"}, {"owner": "cora", "patient": "Emma"},
        {"owner": "somebody", "patient": "Felix"}])
    with upstream.client() as client:
        for stored in client.clinic.contacts.find():
            assert isinstance(stored["owner"], bson.Binary) and stored["owner"].subtype == 6
            assert isinstance(stored["patient"], bson.Binary)
    assert names(db("cora").patients.find()) == {"Chloe", "Emma"}
    assert names(db("cora").patients.find({"name": {"$in": list(PATIENTS)}})) == {"Chloe", "Emma"}


def test_lists_of_lists(db):
    db("job").heads.insert_many([
        {"head": "hans", "house": "north", "list": [{"ward": "W1"}, {"ward": ["W2"]}, {}]},
        {"head": "hans", "house": "south", "list": [{"ward": "W3"}]}])
    assert names(db("hans").patients.find()) == {"Chloe", "Emma", "Felix"}


def test_without_the_attribute_nothing_is_read(db):
    with pytest.raises(OperationFailure) as caught:
        db("homeless").patients.find_one()
    assert caught.value.code == 13 and "clinic.patients" in caught.value.details["errmsg"]


def test_values_are_data(db, upstream):
    """Whatever stands in the list is compared by equality, and never asked about."""
    with upstream.client() as client:
        client.clinic.heads.insert_many(
            {"head": "hans", "house": "north", "list": {"ward": ward}} for ward in (
                bson.Regex("."), {"$gt": ""}, {"$ne": None}, None, bson.Code("1"), [["W9"]],
                "${user.house}", "$ward", bson.MinKey()))
        client.clinic.heads.insert_one({"head": "hans", "house": "north"})
    assert list(db("hans").patients.find()) == []
    db("job").patients.insert_one({"name": "Odd", "ward": "$ward"})
    assert names(db("hans").patients.find()) == {"Odd"}


def test_as_many_as_may_be(db):
    db("job").heads.insert_one({
        "head": "hans", "house": "north", "list": {"ward": [f"W{i}" for i in range(10_000)]}})
    assert names(db("hans").patients.find()) == set(PATIENTS) - {"Ada"}


def test_one_more_than_may_be(db):
    db("job").heads.insert_one({
        "head": "hans", "house": "north", "list": {"ward": [f"W{i}" for i in range(10_001)]}})
    for _ in range(2):
        with pytest.raises(OperationFailure) as caught:
            db("hans").patients.find_one()
        assert caught.value.code == 96 and "10000 values" in caught.value.details["errmsg"]


def metric(proxy, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}/metrics") as page:
        for line in page.read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
    raise AssertionError(name)


# ------------------------------------------------------------------ scripted

POLICY = """\
mongoward: 1
classes: {open: {}}
collections:
  x.y: {fields: {a: {class: open}}}
relations:
  mine: {from: x.lists, where: {u: "${user.id}"}, gives: a}
roles:
  some: {grants: [{namespace: x.y, do: [read], rows: {a: {$in: "${mine}"}}, see: {"*": plaintext}}]}
  all:  {grants: [{namespace: x.y, do: [read], see: {"*": plaintext}}]}
"""


def batch(documents, cursor=0, ns="x.y"):
    return {"cursor": {"id": bson.Int64(cursor), "ns": ns, "firstBatch": documents}, "ok": 1.0}


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    upstream = wire.ScriptedUpstream()
    folder = tmp_path_factory.mktemp("scripted")
    proxy = Proxy(folder / "mongoward", f"mongodb://127.0.0.1:{upstream.port}/?tls=false",
                  env={"MONGOWARD_WORKERS": "1"})
    run([PROGRAM, "init", proxy.folder, "--upstream", proxy.upstream_uri, "--insecure-upstream"])
    target = proxy.folder / "policies/hospital"
    for file in target.iterdir():
        file.unlink()
    (target / "policy.yaml").write_text(POLICY)
    proxy.command("user", "remove", "admin")
    proxy.add_user("u", ["some"])
    proxy.add_user("v", ["all"])
    proxy.start()
    yield upstream, proxy
    finish(proxy)
    upstream.close()


@pytest.fixture
def asked(scripted):
    """(proxy, what was sent for the list, for the rows); `answer` in it says what the list is."""
    upstream, proxy = scripted

    class Asked:
        answer = staticmethod(lambda _: batch([{"a": 1}, {"a": "b"}], ns="x.lists"))
        lists, rows = [], []

    Asked.lists, Asked.rows = [], []

    def find(body):
        if body["find"] == "lists":
            Asked.lists.append(body)
            return Asked.answer(body)
        if body["find"] == "y":
            Asked.rows.append(body)
        return batch([])
    upstream.answers["find"] = find
    Asked.upstream, Asked.proxy = upstream, proxy
    assert proxy.reload()
    return Asked


def find_as(proxy, user):
    with proxy.client(user, retryReads=False) as client:
        return list(client.x.y.find())


def listed(asked, i):
    """What the rows of the i-th find may be."""
    rows, own = asked.rows[i]["filter"]["$and"]
    assert own == {} and set(rows) == {"a"} and set(rows["a"]) == {"$in"}
    return rows["a"]["$in"]


def refused(proxy):
    with pytest.raises(pymongo.errors.PyMongoError) as caught:
        find_as(proxy, "u")
    return caught.value.code


def test_what_is_sent(asked):
    find_as(asked.proxy, "u")
    assert len(asked.lists) == 1 and len(asked.rows) == 1
    sent = asked.lists[0]
    assert sent["filter"] == {"u": "u"} and sent["limit"] == 10_001
    assert sent["collation"] == {"locale": "simple"} and sent["projection"] == {"a": 1, "_id": 0}
    assert listed(asked, 0) == ["b", 1]
    assert asked.rows[0]["collation"] == {"locale": "simple"}


@pytest.mark.parametrize("answer,code", [
    ({"ok": 0.0, "code": 13, "errmsg": "no"}, 96),
    ({"ok": 0.0, "code": 11600, "errmsg": "going"}, 6),
    ({"ok": 1.0}, 96),
    ({"cursor": {"id": 0, "ns": "x.lists", "firstBatch": 3}, "ok": 1.0}, 96),
    ({"cursor": {"id": 0, "ns": "x.lists", "firstBatch": [3]}, "ok": 1.0}, 6),
    (b"\x10\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0", 6),
    (None, 6),
])
def test_what_cannot_be_read_gives_nothing(asked, answer, code):
    asked.answer = lambda _: answer
    assert refused(asked.proxy) == code
    assert asked.rows == []
    records = [r for r in asked.proxy.records() if r["event"] == "refusal"]
    assert records[-1]["code"] == code and records[-1]["command"] == "find"


def test_a_lost_answer_is_asked_for_again(asked):
    answers = [None, batch([{"a": 2}])]
    asked.answer = lambda _: answers.pop(0)
    find_as(asked.proxy, "u")
    assert listed(asked, 0) == [2] and len(asked.lists) == 2


def test_an_unreachable_list_is_tried_at_the_next_command(asked):
    asked.answer = lambda _: None
    assert refused(asked.proxy) == 6
    asked.answer = lambda _: batch([{"a": 2}])
    find_as(asked.proxy, "u")
    assert listed(asked, 0) == [2]


def test_a_list_in_several_batches_is_too_long(asked):
    killed = []
    asked.upstream.answers["killCursors"] = lambda body: killed.append(body) or {"ok": 1.0}
    asked.answer = lambda _: batch([{"a": 2}], cursor=99, ns="x.lists")
    assert refused(asked.proxy) == 96
    assert asked.rows == []
    eventually(lambda: killed)
    assert killed[0]["killCursors"] == "lists" and killed[0]["cursors"] == [99]


def test_others_are_served_while_a_list_is_read(asked):
    """There is one worker: it does not wait."""
    hold, begun = threading.Event(), threading.Event()

    def answer(_):
        begun.set()
        assert hold.wait(60)
        return batch([{"a": 2}])
    asked.answer = answer
    errors = []

    def ask():
        try:
            find_as(asked.proxy, "u")
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    for _ in range(3):
        find_as(asked.proxy, "v")
    assert len(asked.rows) == 3
    hold.set()
    for thread in threads:
        thread.join(60)
    assert errors == []
    # One reading served them all.
    assert len(asked.lists) == 1 and len(asked.rows) == 6


def test_a_client_that_leaves_while_its_list_is_read(asked):
    hold, begun = threading.Event(), threading.Event()

    def answer(_):
        begun.set()
        assert hold.wait(60)
        return batch([{"a": 2}])

    def logouts():
        return len([r for r in asked.proxy.records() if r["event"] == "logout"])
    asked.answer = answer
    with wire.Client(asked.proxy.port, asked.proxy.ca) as client:
        assert client.login("u", password_of("u"))["ok"] == 1
        before = logouts()
        client.send(wire.op_msg({"find": "y", "$db": "x"}))
        assert begun.wait(60)
    eventually(lambda: logouts() > before)
    hold.set()
    find_as(asked.proxy, "u")
    assert len(asked.lists) == 1 and len(asked.rows) == 1


def test_a_reload_while_a_list_is_read(asked):
    hold, begun = threading.Event(), threading.Event()

    def answer(_):
        begun.set()
        assert hold.wait(60)
        return batch([{"a": 2}])
    asked.answer = answer
    thread = threading.Thread(target=find_as, args=(asked.proxy, "u"))
    thread.start()
    assert begun.wait(60)
    assert asked.proxy.reload()
    asked.answer = lambda _: batch([{"a": 3}])
    find_as(asked.proxy, "u")
    assert listed(asked, 0) == [3]
    hold.set()
    thread.join(60)
    assert listed(asked, 1) == [2]
    find_as(asked.proxy, "u")
    assert listed(asked, 2) == [3] and len(asked.lists) == 2


def test_a_stop_while_a_list_is_read(asked):
    """Whoever asked is gone, the answer never comes; the fixture sees to the clean end."""
    hold, begun = threading.Event(), threading.Event()

    def answer(_):
        begun.set()
        hold.wait(30)
    asked.answer = answer
    with wire.Client(asked.proxy.port, asked.proxy.ca) as client:
        assert client.login("u", password_of("u"))["ok"] == 1
        client.send(wire.op_msg({"find": "y", "$db": "x"}))
        assert begun.wait(60)
    assert asked.proxy.stop() == 0
    hold.set()

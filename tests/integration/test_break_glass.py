"""An emergency: a few patients, found by what identifies them, counted, recorded, reviewed."""

import json
import time

import bson
import pytest
from pymongo.errors import OperationFailure

import wire
from conftest import Clients, finish, metric
from harness import PROGRAM, ROOT, Proxy, eventually, password_of, run

USERS = {
    "job": (["import"], {}, None),
    "mia": (["medic"], {"ward": "W1"}, None),
    "max": (["medic"], {"ward": "W1"}, None),
    "ana": (["analyst"], {}, None),
}
EMERGENCY = {"purpose": "emergency", "reason": "found unconscious, Rue de la Paix"}


@pytest.fixture
def proxy(tmp_path, upstream):
    with upstream.client() as client:
        for name in ("clinic", "encryption"):
            client.drop_database(name)
    proxy = Proxy(tmp_path / "mongoward", upstream.uri)
    proxy.init(policy=ROOT / "tests/policy/rows").add_users(USERS)
    proxy.command("key", "create", "--missing")
    proxy.start()
    with proxy.client("job") as client:
        client.clinic.cases.insert_many(
            {"name": name, "ssn": "1" + name, "badge": badge, "born": born, "city": "Lyon",
             "ward": ward, "illness": "Flu", **more}
            for name, badge, born, ward, more in (
                ("Ada", 1, 1980, "W2", {}), ("Ada", 2, 1981, "W1", {}),
                ("Bruno", 3, 1980, "W2", {}), ("Chloe", 4, 1990, "W2", {"vip": True}),
                ("Emma", 5, 1980, "W3", {})))
    yield proxy
    finish(proxy)


@pytest.fixture
def clients(proxy):
    found = Clients(proxy)
    yield found
    found.close()


@pytest.fixture
def cases(clients):
    return lambda user: clients[user].clinic.cases


def refused(action, code=13):
    with pytest.raises(OperationFailure) as caught:
        action()
    assert caught.value.code == code
    return caught.value.details["errmsg"]


def names(found):
    return sorted(d["name"] for d in found)


def uses(proxy):
    return [r for r in proxy.records() if r.get("break_glass")]


def unreviewed(proxy):
    return [json.loads(line) for line in
            proxy.command("audit", "review", "--json").splitlines()]


def review(proxy, *ids, by="dr.chief", expect=0):
    return proxy.command("audit", "review", *ids, "--by", by, expect=expect)


def reviewed(proxy, *ids, by="dr.chief"):
    """As the proxy sees by itself, after a second or two."""
    review(proxy, *ids, by=by)
    eventually(lambda: {r["target"] for r in proxy.records()
                        if r.get("act") == "break-glass review"} >= set(ids))


def test_another_ward(proxy, cases):
    mine = cases("mia")
    assert mine.find_one({"name": "Bruno"}) is None
    found = list(mine.find({"name": "Bruno"}, comment=EMERGENCY))
    assert names(found) == ["Bruno"] and found[0]["illness"] == "Flu" and found[0]["ssn"] == "1Bruno"
    assert mine.find_one({"name": "Bruno"}) is None
    record = uses(proxy)[-1]
    assert record["event"] == "access" and record["user"] == "mia" and record["code"] == 0
    assert record["purpose"] == "emergency" and record["docs"] == 1
    assert record["rule"] == "roles.medic.break_glass.grants[0]"
    assert record["reason_len"] == len(EMERGENCY["reason"]) and len(record["subjects"]) == 1
    assert EMERGENCY["reason"] not in json.dumps(proxy.records())
    assert metric(proxy, "mongoward_break_glass_total") == 1
    eventually(lambda: metric(proxy, "mongoward_break_glass_unreviewed") == 1)
    said = [line for line in proxy.server.lines["stderr"] if "break-glass" in line]
    assert len(said) == 1 and record["request"] in said[0] and "mia" in said[0]
    assert EMERGENCY["reason"] not in said[0] and "Bruno" not in said[0]


def test_as_many_as_may_be_shown(proxy, cases):
    mine = cases("mia")
    assert names(mine.find({"name": "Ada"}, comment=EMERGENCY)) == ["Ada", "Ada"]
    assert names(mine.find({"name": {"$in": ["Bruno", "Emma"]}}, comment=EMERGENCY)) == [
        "Bruno", "Emma"]
    # Three: none is shown, and it was a use.
    assert "more patients" in refused(
        lambda: list(mine.find({"name": {"$in": ["Ada", "Bruno"]}}, comment=EMERGENCY)))
    last = uses(proxy)[-1]
    assert last["code"] == 13 and "subjects" not in last and len(uses(proxy)) == 3


def test_the_clients_own_limit_is_not_a_way_around(cases):
    mine = cases("mia")
    both = {"name": {"$in": ["Ada", "Bruno"]}}
    refused(lambda: list(mine.find(both, comment=EMERGENCY).limit(50)))
    assert len(list(mine.find(both, comment=EMERGENCY).limit(1))) == 1
    refused(lambda: list(mine.find(both, comment=EMERGENCY, batch_size=1)))


def test_by_a_whole_line_of_the_subject(cases):
    mine = cases("mia")
    assert names(mine.find({"born": 1990, "city": "Lyon"}, comment=EMERGENCY)) == []  # protected
    assert names(mine.find({"born": 1981, "city": "Lyon"}, comment=EMERGENCY)) == ["Ada"]


@pytest.mark.parametrize("query", [
    {}, {"city": "Lyon"}, {"ward": "W2"}, {"illness": "Flu"}, {"name": {"$ne": "Ada"}},
    {"name": {"$exists": True}}, {"badge": {"$gt": 0}}, {"badge": {"$in": [1, 2, 3]}},
    {"$or": [{"name": "Ada"}, {"name": "Emma"}]}, {"badge": None}, {"name": "Ada", "ward": "W2"},
])
def test_nothing_but_who_is_meant(proxy, cases, query):
    refused(lambda: list(cases("mia").find(query, comment=EMERGENCY)))
    assert uses(proxy) == []
    last = [r for r in proxy.records() if r["event"] == "refusal"][-1]
    assert last["purpose"] == "emergency" and last["user"] == "mia"


def test_other_commands_and_other_data(proxy, cases, clients):
    mine = cases("mia")
    refused(lambda: mine.count_documents({"name": "Bruno"}, comment=EMERGENCY))
    refused(lambda: mine.distinct("name", {"name": "Bruno"}, comment=EMERGENCY))
    refused(lambda: list(mine.aggregate([{"$match": {"name": "Bruno"}}], comment=EMERGENCY)))
    refused(lambda: mine.update_one({"name": "Bruno"}, {"$set": {"illness": "x"}}, comment=EMERGENCY))
    refused(lambda: mine.find_one_and_update(
        {"name": "Bruno"}, {"$set": {"illness": "x"}}, comment=EMERGENCY))
    refused(lambda: clients["mia"].clinic.patients.find_one({"name": "Ada"}, comment=EMERGENCY))
    refused(lambda: cases("ana").find_one({"name": "Bruno"}, comment=EMERGENCY))
    refused(lambda: mine.find_one({"name": "Bruno"}, comment={"purpose": "emergency"}))
    refused(lambda: mine.find_one({"name": "Bruno"}, comment={**EMERGENCY, "reason": "  "}))
    assert uses(proxy) == []


def test_uses_wait_for_a_review(proxy, cases):
    mine = cases("mia")
    for name in ("Bruno", "Emma", "Nobody"):
        list(mine.find({"name": name}, comment=EMERGENCY))
    assert "reviewed" in refused(lambda: mine.find_one({"name": "Bruno"}, comment=EMERGENCY))
    # Of others, and in ordinary, nothing is taken away.
    assert cases("max").find_one({"name": "Bruno"}, comment=EMERGENCY)
    assert mine.find_one({"name": "Ada"})["badge"] == 2
    waiting = unreviewed(proxy)
    assert [u["user"] for u in waiting] == ["mia", "mia", "mia", "max"]
    assert waiting[0]["ns"] == "clinic.cases" and waiting[0]["purpose"] == "emergency"
    assert set(u["request"] for u in waiting) == {r["request"] for r in uses(proxy)}
    first = waiting[0]["request"]
    assert first in proxy.command("audit", "review")
    reviewed(proxy, first)
    assert mine.find_one({"name": "Bruno"}, comment=EMERGENCY)
    refused(lambda: mine.find_one({"name": "Bruno"}, comment=EMERGENCY))
    assert len(unreviewed(proxy)) == 4
    eventually(lambda: metric(proxy, "mongoward_break_glass_unreviewed") == 4)


def test_who_may_review_what(proxy, cases):
    cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY)
    request = unreviewed(proxy)[0]["request"]
    review(proxy, request, by="mia", expect=2)
    review(proxy, "0" * 32, expect=2)
    review(proxy, request, "0" * 32, expect=2)
    proxy.command("audit", "review", request, expect=2)
    proxy.command("audit", "review", "--by", "dr.chief", expect=2)
    assert not (proxy.folder / "reviews.yaml").exists()
    reviewed(proxy, request)
    assert unreviewed(proxy) == []
    review(proxy, request, expect=2)
    done = [r for r in proxy.records() if r.get("act") == "break-glass review"]
    assert [(r["event"], r["user"], r["target"]) for r in done] == [("admin", "dr.chief", request)]


def test_the_file_alone_reviews_nothing_of_ones_own(proxy, cases):
    cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY)
    request = unreviewed(proxy)[0]["request"]
    file = proxy.folder / "reviews.yaml"
    file.write_text(f"reviews:\n  - {{request: {request}, by: mia}}\n  - {{request: x, by: y}}\n")
    file.chmod(0o600)
    assert proxy.reload()
    file.write_text("reviews: 7\n")
    assert proxy.reload()
    assert any("file of reviews" in line for line in proxy.server.lines["stderr"])
    assert [u["request"] for u in unreviewed_without_file(proxy)] == [request]
    assert not [r for r in proxy.records() if r.get("act") == "break-glass review"]
    file.write_text(f"reviews:\n  - {{request: {request}, by: dr.chief}}\n")
    file.chmod(0o666)
    assert proxy.reload()
    assert not [r for r in proxy.records() if r.get("act") == "break-glass review"]
    file.chmod(0o600)
    assert proxy.reload()
    assert [r for r in proxy.records() if r.get("act") == "break-glass review"]


def unreviewed_without_file(proxy):
    (proxy.folder / "reviews.yaml").unlink()
    return unreviewed(proxy)


def test_a_day_has_so_many(proxy, cases):
    mine = cases("mia")
    before = time.gmtime().tm_yday
    for _ in range(4):
        mine.find_one({"name": "Bruno"}, comment=EMERGENCY)
        reviewed(proxy, unreviewed(proxy)[0]["request"])
    if time.gmtime().tm_yday == before:
        assert "in a day" in refused(lambda: mine.find_one({"name": "Bruno"}, comment=EMERGENCY))


def test_restarts_and_reloads_forget_nothing(proxy, cases, clients):
    for name in ("Bruno", "Emma", "Nobody"):
        cases("mia").find_one({"name": name}, comment=EMERGENCY)
    reviewed(proxy, unreviewed(proxy)[0]["request"])
    proxy.stop()
    (proxy.folder / "reviews.yaml").unlink()  # what the log says, counts
    proxy.start()
    assert cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY)
    refused(lambda: cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY))
    assert proxy.reload()
    refused(lambda: cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY))
    assert len(unreviewed(proxy)) == 3


def test_rules_that_come_with_a_reload(proxy, cases):
    """The log is read when the first such rule comes."""
    policy = proxy.folder / "policies/hospital/policy.yaml"
    whole = policy.read_text()
    for name in ("Bruno", "Emma", "Nobody"):
        cases("mia").find_one({"name": name}, comment=EMERGENCY)
    begin = whole.index("    break_glass:")
    end = whole.index("  portioned:")
    policy.write_text(whole[:begin] + whole[end:])
    proxy.stop()
    proxy.start()
    # Without the rule, the purpose is one like any other.
    assert cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY) is None
    policy.write_text(whole)
    assert proxy.reload()
    refused(lambda: cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY))
    assert cases("max").find_one({"name": "Bruno"}, comment=EMERGENCY)


def test_a_gap_in_the_log_stops_it_until_it_is_reviewed(proxy, cases):
    for _ in range(2):
        cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY)
    proxy.stop()
    # The last lines are gone: the witness has seen more than there is.
    file = sorted(proxy.audit_folder.glob("*.jsonl"))[-1]
    lines = file.read_bytes().splitlines(keepends=True)
    used = next(i for i, line in enumerate(lines) if b'"break_glass":true' in line)
    file.write_bytes(b"".join(lines[:used]))
    proxy.start("--accept-gap", "the disk was lost")
    assert "counted" in refused(lambda: cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY))
    waiting = unreviewed(proxy)
    assert len(waiting) == 1 and waiting[0]["request"].startswith("gap:")
    reviewed(proxy, waiting[0]["request"])
    assert cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY)


def test_a_log_that_is_not_understood(proxy, cases):
    cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY)
    proxy.stop()
    stray = proxy.audit_folder / "other-000000000000.jsonl"
    stray.write_text('{"v":1,"event":"access","break_glass":true}\n')
    proxy.start()
    eventually(lambda: any("cannot be read" in line for line in proxy.server.lines["stderr"]))
    refused(lambda: cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY))
    assert cases("mia").find_one({"name": "Ada"})  # all else goes on
    stray.unlink()


def test_a_log_that_could_lose_it(tmp_path, upstream, proxy, cases):
    proxy.stop()
    proxy.env["MONGOWARD_AUDIT_DURABILITY"] = "flush"
    proxy.start()
    eventually(lambda: any("not strict" in line and "glass" in line
                           for line in proxy.server.lines["stderr"]))
    refused(lambda: cases("mia").find_one({"name": "Bruno"}, comment=EMERGENCY))
    assert cases("mia").find_one({"name": "Ada"})


# ------------------------------------------------------------------ scripted

POLICY = """\
mongoward: 1
classes: {identity: {}}
collections:
  x.y: {subject: [{of: [a]}], fields: {a: {class: identity}}}
roles:
  medic:
    break_glass:
      {purpose: emergency, subjects: 2, per_day: 99, unreviewed_max: 99,
       grants: [{namespace: x.y, do: [read], see: {"*": plaintext}}]}
"""


@pytest.fixture
def scripted(tmp_path):
    upstream = wire.ScriptedUpstream()
    proxy = Proxy(tmp_path / "mongoward", f"mongodb://127.0.0.1:{upstream.port}/?tls=false")
    run([PROGRAM, "init", proxy.folder, "--upstream", proxy.upstream_uri, "--insecure-upstream"])
    target = proxy.folder / "policies/hospital"
    for file in target.iterdir():
        file.unlink()
    (target / "policy.yaml").write_text(POLICY)
    proxy.command("user", "remove", "admin")
    proxy.add_user("u", ["medic"])
    proxy.start()
    yield upstream, proxy
    finish(proxy)
    upstream.close()


def batch(documents, cursor=0):
    return {"cursor": {"id": bson.Int64(cursor), "ns": "x.y", "firstBatch": documents}, "ok": 1.0}


def test_what_is_asked_for_and_what_is_left_open(scripted):
    upstream, proxy = scripted
    killed, asked = [], []
    answers = [batch([{"a": 1}, {"a": 1}], cursor=77), batch([{"a": 1}] * 3), batch([{"a": 1}] * 9)]

    def find(body):
        if body["find"] != "y":
            return batch([])
        asked.append(body)
        return answers.pop(0)
    upstream.answers["find"] = find
    upstream.answers["killCursors"] = lambda body: killed.append(body) or {"ok": 1.0}
    with wire.Client(proxy.port, proxy.ca) as client:
        assert client.login("u", password_of("u"))["ok"] == 1
        command = {"find": "y", "filter": {"a": 1}, "batchSize": 1, "limit": 1000,
                   "singleBatch": False, "$db": "x", "comment": EMERGENCY}
        answer = client.command(command)
        assert answer["cursor"]["id"] == 0 and len(answer["cursor"]["firstBatch"]) == 2
        assert client.command(command)["code"] == 13
        assert client.command(command)["code"] == 13
    assert [(b["limit"], b["singleBatch"], "batchSize" in b, b["collation"]) for b in asked] == [
        (3, True, False, {"locale": "simple"})] * 3
    assert EMERGENCY["reason"] not in str(asked)
    eventually(lambda: killed)
    assert killed[0]["cursors"] == [77]


def test_a_client_that_does_not_wait_is_recorded(scripted):
    upstream, proxy = scripted
    upstream.answers["find"] = lambda body: (
        time.sleep(0.5) if body["find"] == "y" else None) or batch([])
    with wire.Client(proxy.port, proxy.ca) as client:
        assert client.login("u", password_of("u"))["ok"] == 1
        client.send(wire.op_msg({"find": "y", "filter": {"a": 1}, "$db": "x", "comment": EMERGENCY}))
        eventually(lambda: [c for c in upstream.seen if c.get("find") == "y"])
    eventually(lambda: uses(proxy))
    assert uses(proxy)[0]["event"] == "access"

"""`mode: observe`: a rule is tried in production; it gives nothing, takes nothing, and is recorded."""


import pytest
from pymongo.errors import OperationFailure

from conftest import Clients, finish, metric
from harness import PROGRAM, ROOT, Proxy, eventually, run

USERS = {
    "job": (["import"], {}, None),
    "nina": (["nurse"], {"ward": "W1"}, None),
    "nora": (["nurse"], {}, None),
    "ana": (["analyst"], {}, None),
}
FOLDER = ROOT / "tests/integration/policies/observe"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, upstream):
    with upstream.client() as client:
        for name in ("clinic", "encryption"):
            client.drop_database(name)
    proxy = Proxy(tmp_path_factory.mktemp("observe") / "mongoward", upstream.uri)
    proxy.init(policy=FOLDER).add_users(USERS)
    proxy.start()
    with proxy.client("job") as client:
        client.clinic.cases.insert_many([
            {"name": "Ada", "illness": "Flu", "ward": "W1"},
            {"name": "Bruno", "illness": "Gout", "ward": "W2"}])
    yield proxy
    finish(proxy)


@pytest.fixture
def cases(proxy):
    clients = Clients(proxy)
    yield lambda user: clients[user].clinic.cases
    clients.close()


def last(proxy, **wanted):
    def look():
        found = [r for r in proxy.records() if wanted.items() <= r.items()]
        return found[-1] if found else None
    return eventually(look)


def test_said_aloud(proxy):
    said = [line for line in proxy.server.lines["stderr"] if "NOT ENFORCED" in line]
    assert len(said) == 2
    assert "roles.nurse.grants[1]" in said[0] and "policy.yaml:15" in said[0]
    assert "roles.analyst.grants[0]" in said[1]
    run([PROGRAM, "policy", "check", FOLDER, "--strict"], expect=1)


def test_what_would_have_been_hidden(proxy, cases):
    before = metric(proxy, "mongoward_would_change_total")
    found = list(cases("nina").find({}, {"_id": 0}).sort("name", 1))
    # Everything that the enforced grant gives, as it is.
    assert found == [{"name": "Ada", "illness": "Flu", "ward": "W1"},
                     {"name": "Bruno", "illness": "Gout", "ward": "W2"}]
    record = last(proxy, user="nina", command="find")
    assert record["decision"] == "allow" and record["rule"] == "roles.nurse.grants[0]"
    assert record["disclosed"]["identity"] == "plaintext"
    assert record["would"] == {"decision": "allow", "rule": "roles.nurse.grants[1]",
                               "less": ["identity"], "rows": True}
    assert metric(proxy, "mongoward_would_change_total") == before + 1


def test_only_what_left_counts(proxy, cases):
    assert list(cases("nina").find({"ward": "W1"}, {"_id": 0, "illness": 1})) == [{"illness": "Flu"}]
    assert last(proxy, user="nina", command="find")["would"] == {
        "decision": "allow", "rule": "roles.nurse.grants[1]", "rows": True}


def test_what_would_have_been_refused(proxy, cases):
    before = metric(proxy, "mongoward_would_refuse_total")
    done = cases("nina").update_one({"name": "Ada"}, {"$set": {"illness": "Cold"}})
    assert done.modified_count == 1
    record = last(proxy, user="nina", event="intent", command="update")
    assert record["decision"] == "allow"
    assert record["would"] == {"decision": "refuse", "code": 13}
    assert "would" not in last(proxy, event="outcome", request=record["request"])
    assert metric(proxy, "mongoward_would_refuse_total") == before + 1
    # Without the attribute that its rows need.
    assert cases("nora").count_documents({}) == 2
    assert last(proxy, user="nora", event="access")["would"] == {
        "decision": "refuse", "code": 13, "rule": "roles.nurse.grants[1]"}


def test_what_is_tried_gives_nothing(proxy, cases):
    with pytest.raises(OperationFailure) as caught:
        cases("ana").find_one()
    assert caught.value.code == 13
    record = last(proxy, user="ana", event="refusal")
    assert record["decision"] == "refuse" and "rule" not in record
    assert record["would"] == {"decision": "allow", "rule": "roles.analyst.grants[0]"}
    with proxy.client("ana") as client:
        assert client.clinic.list_collection_names() == []
        assert client.list_database_names() == []


def test_of_others_nothing_is_said(proxy, cases):
    assert cases("job").count_documents({}) == 2
    assert "would" not in last(proxy, user="job", event="access")


def test_explain_and_strict_reading(proxy):
    words = [PROGRAM, "policy", "explain", FOLDER, "--as", "nurse", "--command",
             '{"update": "cases", "$db": "clinic", "updates": [{"q": {}, "u": {"$set": {"illness": "x"}}}]}']
    assert "roles.nurse.grants[0]" in run(words)
    run([*words, "--observe"], expect=1)
    proxy.verify()

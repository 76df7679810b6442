"""What one user may have in a day or in a minute: counted over connections, workers and reloads."""


import pytest
from pymongo.errors import OperationFailure

from conftest import Clients, finish, metric
from harness import ROOT, Proxy, eventually

USERS = {
    "job": (["import"], {}, None),
    "paula": (["portioned"], {}, None),
    "peter": (["portioned"], {}, None),
    "hasty": (["hasty"], {}, None),
}


@pytest.fixture
def proxy(tmp_path, upstream):
    with upstream.client() as client:
        for name in ("clinic", "encryption"):
            client.drop_database(name)
    proxy = Proxy(tmp_path / "mongoward", upstream.uri)
    proxy.env["MONGOWARD_WORKERS"] = "2"
    proxy.init(policy=ROOT / "tests/policy/rows").add_users(USERS)
    proxy.command("key", "create", "--missing")
    proxy.start()
    with proxy.client("job") as client:
        client.clinic.patients.insert_many(
            {"name": f"N{i}", "ward": f"W{i % 3}", "illness": "Flu"} for i in range(12))
    yield proxy
    finish(proxy)


@pytest.fixture
def clients(proxy):
    found = Clients(proxy)
    yield found
    found.close()


def refused(action):
    with pytest.raises(OperationFailure) as caught:
        action()
    assert caught.value.code == 13
    return caught.value.details["errmsg"]


def open_cursors(upstream):
    with upstream.client() as client:
        return client.admin.command("serverStatus")["metrics"]["cursor"]["open"]["total"]


def test_documents_of_a_day(proxy, clients):
    """Ten documents, in whatever way they come."""
    rows = clients["paula"].clinic.patients
    assert len(list(rows.find().limit(3))) == 3
    assert len(rows.distinct("ward")) == 3                                   # 6
    assert rows.count_documents({}) == 12                                    # one row: 7
    assert rows.estimated_document_count() == 12                             # none
    assert "midnight" in refused(lambda: list(rows.find()))                  # 12 more: none leaves
    assert rows.find_one_and_update({"name": "N1"}, {"$set": {"illness": "x"}})  # 8
    # Another connection, and so another worker, counts on.
    with proxy.client("paula") as other:
        assert len(list(other.clinic.patients.find().limit(2))) == 2         # 10
    assert "limit is reached" in refused(lambda: rows.find_one())
    assert "limit is reached" in refused(lambda: rows.estimated_document_count())
    assert "limit is reached" in refused(
        lambda: rows.update_one({"name": "N1"}, {"$set": {"illness": "y"}}))
    # Others have their own.
    assert len(list(clients["peter"].clinic.patients.find().limit(10))) == 10
    assert len(list(clients["job"].clinic.patients.find())) == 12
    # A reload forgets nothing; a restart does.
    assert proxy.reload()
    refused(lambda: rows.find_one())
    assert metric(proxy, "mongoward_commands_limited_total") >= 5
    said = [r for r in proxy.records() if r.get("user") == "paula" and r.get("code") == 13]
    assert {r["event"] for r in said} == {"access", "refusal"}
    assert all(r["rule"] == "roles.portioned.grants[0]" for r in said)
    proxy.stop()
    proxy.start()
    assert rows.find_one()


def test_a_cursor_ends_at_the_limit(proxy, clients, upstream):
    rows = clients["paula"].clinic.patients
    cursor = rows.find(batch_size=4)
    assert len([next(cursor) for _ in range(8)]) == 8
    refused(lambda: next(cursor))
    # It is gone, here and at the upstream.
    assert len(list(rows.find().limit(2))) == 2
    killed = [r for r in proxy.records() if r.get("user") == "paula"]
    assert [r["code"] for r in killed if r.get("command") == "getMore"] == [0, 13]
    eventually(lambda: open_cursors(upstream) == 0)


def test_the_first_batch_ends_a_cursor_too(clients, upstream):
    rows = clients["paula"].clinic.patients
    refused(lambda: next(rows.find(batch_size=11)))
    eventually(lambda: open_cursors(upstream) == 0)
    assert len(list(rows.find(batch_size=5).limit(10))) == 10


def test_commands_of_a_minute(proxy, clients):
    rows = clients["hasty"].clinic.patients

    def four():
        for _ in range(4):
            rows.find_one()
    # A minute may end within the first four; not within the second, too.
    try:
        four()
    except OperationFailure as error:
        assert error.code == 13 and "minute" in error.details["errmsg"]
    else:
        assert "minute" in refused(four)
    refused(lambda: rows.update_one({}, {"$set": {"illness": "x"}}))
    assert len(list(clients["job"].clinic.patients.find())) == 12

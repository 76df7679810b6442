"""Rows that exist for some and not for others: what each role finds, changes and is told."""

import pymongo
import pytest
from pymongo.errors import OperationFailure

from conftest import Clients, finish
from harness import PROGRAM, ROOT, Proxy, run

USERS = {
    "job": (["import"], {}, None),
    "whole": (["whole"], {}, None),
    "nurse": (["nurse"], {"ward": "W1"}, None),
    "vip": (["vip_team"], {}, None),
    "privacy": (["privacy"], {}, None),
    "ana": (["analyst"], {}, None),
    "dan": (["desk"], {"ward": "W1"}, None),
}

# name: (ward, flags).  Dora's flags are in an array; Ada and Bruno are protected by name.
PATIENTS = {
    "Ada": ("W1", {"vip": False}),
    "Bruno": ("W1", {"vip": True}),
    "Chloe": ("W1", {"vip": True}),
    "Emma": ("W1", {"vip": False}),
    "Felix": ("W1", {}),
    "Gina": ("W2", None),
    "Dora": ("W1", [{"vip": True}]),
}
NURSE, WHOLE = {"Emma", "Felix"}, {"Emma", "Felix", "Gina"}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, upstream):
    with upstream.client() as client:
        for name in ("clinic", "encryption"):
            client.drop_database(name)
    proxy = Proxy(tmp_path_factory.mktemp("rows") / "mongoward", upstream.uri)
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
def patients(clients, upstream):
    """A function from a user to the collection, freshly filled."""
    everything = clients["job"].clinic.patients
    everything.delete_many({})
    everything.insert_many(
        {"name": name, "ssn": "1" + name, "ward": ward, "illness": "Flu",
         **({} if flags is None else {"flags": flags})}
        for name, (ward, flags) in PATIENTS.items())
    return lambda user: clients[user].clinic.patients


def refused(action, *arguments, **options):
    with pytest.raises(OperationFailure) as caught:
        action(*arguments, **options)
    assert caught.value.code == 13, caught.value
    return caught.value.details["errmsg"]


def names(found):
    return {d["name"] for d in found}


@pytest.mark.parametrize("user,expected", [
    ("job", set(PATIENTS)), ("nurse", NURSE), ("whole", WHOLE),
    ("vip", set(PATIENTS) - {"Ada", "Bruno"}), ("privacy", {"Ada", "Emma", "Felix", "Gina"}),
])
def test_every_read_has_the_same_rows(patients, user, expected):
    rows = patients(user)
    assert names(rows.find()) == expected
    assert names(rows.find({}, {"name": 1})) == expected
    assert names(rows.find({"$or": [{"flags.vip": True}, {"flags.vip": {"$ne": True}}]})) == expected
    assert rows.count_documents({}) == len(expected)
    assert rows.estimated_document_count() == len(expected)
    assert sum(d["n"] for d in rows.aggregate(
        [{"$group": {"_id": "$ward", "n": {"$sum": 1}}}])) == len(expected)
    assert set(rows.distinct("ward")) == {PATIENTS[name][0] for name in expected}
    for name in PATIENTS:
        found = rows.find_one({"name": name})
        assert (found is not None) == (name in expected)
    assert names(rows.find({"name": {"$in": list(PATIENTS)}})) == expected


@pytest.mark.parametrize("user", ["nurse", "whole"])
def test_protected_rows_look_absent(patients, user, clients):
    hidden = patients("job").find_one({"name": "Chloe"})["_id"]
    rows = patients(user)
    for name in ("Chloe", "Nobody"):
        assert rows.find_one({"name": name}) is None
        assert rows.update_one({"name": name}, {"$set": {"illness": "x"}}).matched_count == 0
        assert rows.delete_one({"name": name}).deleted_count == 0
        assert rows.find_one_and_update({"name": name}, {"$set": {"illness": "x"}}) is None
        assert rows.find_one_and_delete({"name": name}) is None
    assert rows.find_one({"_id": hidden}) is None
    assert rows.find_one({"flags.vip": True}) is None
    assert rows.delete_many({"_id": hidden}).deleted_count == 0
    assert patients("job").find_one({"name": "Chloe"})["illness"] == "Flu"


def test_writes_leave_what_is_protected(patients):
    done = patients("whole").update_many({}, {"$set": {"illness": "Cold"}})
    assert done.matched_count == len(WHOLE)
    assert names(patients("job").find({"illness": "Cold"})) == WHOLE
    assert patients("whole").delete_many({}).deleted_count == len(WHOLE)
    assert names(patients("job").find()) == set(PATIENTS) - WHOLE


@pytest.mark.parametrize("update", [
    {"$set": {"flags.vip": True}}, {"$set": {"flags": {"vip": True}}}, {"$unset": {"flags": ""}},
    {"$set": {"name": "Ada"}}, {"$rename": {"illness": "flags.vip"}},
    {"$unset": {"flags.vip": ""}}, [{"$set": {"flags.vip": True}}],
])
def test_nobody_else_makes_or_lifts_protection(patients, update):
    for user in ("nurse", "whole"):
        refused(patients(user).update_many, {}, update)
        refused(patients(user).find_one_and_update, {}, update)
    assert names(patients("nurse").find()) == NURSE


def test_inserts_and_upserts_of_others(patients):
    rows = patients("whole")
    refused(rows.insert_one, {"name": "New", "flags": {"vip": True}})
    refused(rows.insert_one, {"name": "New", "flags": [{"vip": False}]})
    refused(rows.insert_many, [{"name": "New"}, {"name": "Bruno"}])
    refused(rows.update_one, {"name": "New"}, {"$set": {"illness": "x"}}, upsert=True)
    refused(rows.replace_one, {"name": "Emma"}, {"name": "Emma"})
    rows.insert_one({"name": "New", "flags": {"vip": False}})
    assert names(patients("job").find()) == {*PATIENTS, "New"}


def test_a_collation_does_not_widen(patients):
    for user in ("nurse", "whole", "vip"):
        refused(lambda user=user: list(patients(user).find().collation(
            pymongo.collation.Collation("fr", strength=1))))


def test_a_listed_role_does_as_it_likes(patients):
    rows = patients("job")
    rows.update_one({"name": "Chloe"}, {"$set": {"flags.vip": False}})
    assert names(patients("nurse").find()) == {*NURSE, "Chloe"}
    rows.replace_one({"name": "Emma"}, {"name": "Emma", "ward": "W1", "flags": {"vip": True}})
    assert names(patients("nurse").find()) == {"Felix", "Chloe"}


def test_a_view_leaves_them_out(patients, clients):
    view = clients["ana"].clinic.anonymous
    assert [sorted(d) for d in view.find()] == [["illness"]] * len(WHOLE)
    patients("job").update_one({"name": "Chloe"}, {"$set": {"flags.vip": False}})
    assert len(list(view.find({"illness": "Flu"}))) == len(WHOLE) + 1


def test_the_record_says_nothing_else(proxy, patients):
    """A search for a protected row is recorded as a search that finds nothing."""
    patients("nurse").find_one({"name": "Chloe"})
    found = [r for r in proxy.records() if r["event"] == "access" and r.get("user") == "nurse"]
    assert found[-1]["docs"] == 0 and len(found[-1]["searched"]) == 1
    assert found[-1]["rule"] == "roles.nurse.grants[0]" and "subjects" not in found[-1]


@pytest.mark.parametrize("roles", [["nurse", "analyst"], ["vip_team", "auditor"],
                                   ["privacy", "vip_team", "nurse"]])
def test_exclusive_roles_cannot_be_given_together(proxy, roles):
    before = (proxy.folder / "users.yaml").read_bytes()
    words = ["user", "add", "greedy", *(w for r in roles for w in ("--role", r))]
    done = proxy.command(*words, "--password-stdin", stdin="x" * 20 + "\n", expect=None)
    assert done.returncode == 2 and "exclude each other" in done.stderr
    assert (proxy.folder / "users.yaml").read_bytes() == before


def test_exclusive_roles_in_the_users_file(proxy, clients):
    """Written by hand, they are found by `policy check`, refused by a reload and by a start."""
    users = proxy.folder / "users.yaml"
    before = users.read_text()
    assert "roles: [nurse]" in before
    users.write_text(before.replace("roles: [nurse]", "roles: [nurse, analyst]"))
    try:
        assert not proxy.reload()
        assert clients["nurse"].clinic.patients.count_documents({}) >= 0
        done = run([PROGRAM, "policy", "check", proxy.folder / "policies/hospital",
                    "--users", users], expect=None)
        assert done.returncode == 2
        assert "user nurse holds the roles nurse and analyst, which exclude" in done.stderr
        other = Proxy(proxy.folder, proxy.upstream_uri)
        other.launch()
        other.server.wait_for_line("stderr", "exclude each other")
        assert other.server.wait() == 2
    finally:
        users.write_text(before)
    assert proxy.reload()


def test_joined_rows_are_compared_byte_by_byte(patients, clients, upstream):
    """Whatever the collation of the command, or of the collection that they are joined to."""
    patients("job").insert_one({"name": "Hana", "ssn": "1", "ward": "w1", "illness": "Flu"})
    with upstream.client() as direct:
        direct.clinic.drop_collection("heads")
        direct.clinic.create_collection("heads", collation={"locale": "en", "strength": 2})
        direct.clinic.heads.insert_one({"head": "dan"})
        like = list(direct.clinic.heads.aggregate([{"$unionWith": {
            "coll": "patients", "pipeline": [{"$match": {"ward": "W1"}}]}}],
            collation={"locale": "en", "strength": 2}))
        assert any(d.get("ward") == "w1" for d in like)  # as the database compares if asked to
    heads = clients["dan"].clinic.heads
    for stage in ({"$unionWith": "patients"},
                  {"$unionWith": {"coll": "patients", "pipeline": []}},
                  {"$lookup": {"from": "patients", "pipeline": [], "as": "all"}}):
        found = list(heads.aggregate([stage]))
        wards = [d["ward"] for d in found + found[0].get("all", []) if "ward" in d]
        assert wards == ["W1"] * len(NURSE), stage
        refused(heads.aggregate, [stage], collation={"locale": "en", "strength": 2})

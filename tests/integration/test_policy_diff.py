"""`mongoward policy diff`: what a change of the policy does to the requests of an audit log."""

import json
import shutil

import pymongo
import pytest
from pymongo.errors import OperationFailure

import conftest
import harness
from conftest import Clients
from harness import ROOT, Proxy, run

HOSPITAL = ROOT / "policies/hospital"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, upstream):
    """Has a log of one's own, so that its numbers are known."""
    conftest.wipe(upstream)
    proxy = conftest.make_proxy(tmp_path_factory.mktemp("diff"), upstream).start()
    yield proxy
    conftest.finish(proxy)


def refused(action, *arguments, **options):
    with pytest.raises(OperationFailure):
        result = action(*arguments, **options)
        if isinstance(result, pymongo.cursor.Cursor):
            list(result)


@pytest.fixture(scope="module")
def log(proxy, upstream):
    clients = Clients(proxy)
    people = [conftest.patient(*p[:3], age=p[3]) for p in conftest.PATIENTS]
    clients.patients("import-job").insert_many(people)
    for _ in range(3):
        assert clients.patients("dr.nord").find_one({"personal_info.name": "Ada Durand"})
    assert clients.patients("dr.sud").find_one({"medical_info.condition": "Asthma"})
    assert len(clients.patients("dr.nord").distinct("admission_info.admission_type")) == 1
    assert list(clients.patients("dr.nord").aggregate([
        {"$group": {"_id": "$admission_info.admission_type", "n": {"$sum": 1}}}]))
    refused(clients.patients("dr.nord").find_one,
            {"administrative_info.insurance_provider": "Cigna"})
    clients.patients("dr.nord").update_one(
        {"personal_info.name": "Ada Durand"}, {"$set": {"medical_info.condition": "Flu"}})
    clients.close()
    return proxy.audit_folder


def changed(tmp_path, *changes):
    folder = tmp_path / "new"
    shutil.copytree(HOSPITAL, folder)
    file = folder / "roles.yaml"
    text = file.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    file.write_text(text)
    (folder / "tests.yaml").unlink()
    return folder


def diff(log, new, *words, expect=1, old=HOSPITAL):
    return run([harness.PROGRAM, "policy", "diff", old, new, "--audit", log, *words],
               expect=expect)


def told(log, new, *words, expect=1):
    return json.loads(diff(log, new, "--json", *words, expect=expect))


def change(found, kind, command):
    return [c for c in found["changes"] if (c["kind"], c["command"]) == (kind, command)]


def test_nothing_changes(proxy, log):
    found = told(log, HOSPITAL, "--users", proxy.folder / "users.yaml", expect=0)
    assert found["refused"] == found["allowed"] == found["shown"] == found["undecided"] == 0
    assert found["unchanged"] == found["requests"] > 8
    assert found["of_another_policy"] == 0
    assert found["old"] == found["new"]


def test_who_is_refused_now(log, tmp_path):
    new = changed(tmp_path, ("          admission: plaintext\n", ""))
    found = told(log, new)
    assert found["allowed"] == found["undecided"] == 0
    (distinct,) = change(found, "refused", "distinct")
    assert (distinct["requests"], distinct["users"]) == (1, ["dr.nord"])
    assert "'$admission_info." in distinct["new"]["error"]
    assert distinct["old"]["rule"] == "roles.doctor.grants[0]"
    assert distinct["old"]["file"].endswith("policies/hospital/roles.yaml")
    assert distinct["new"]["line"] == distinct["old"]["line"]
    (group,) = change(found, "refused", "aggregate")
    assert group["requests"] == 1
    shown = change(found, "shown", "find")
    assert sum(c["requests"] for c in shown) == 4
    assert {"was": "admission_info: plaintext", "is": "admission_info: not shown"} in \
        shown[0]["shows"]


def test_who_is_allowed_now(log, tmp_path):
    new = changed(tmp_path, ("          admission: plaintext\n",
                             "          admission: plaintext\n          billing: plaintext\n"))
    (find,) = change(told(log, new), "allowed", "find")
    assert find["requests"] == 1 and "insurance_provider" not in find["old"]["error"]


def test_writes(log, tmp_path):
    new = changed(tmp_path, ("change: [medical, admission]", "change: [admission]"))
    found = told(log, new)
    (update,) = change(found, "refused", "update")
    assert update["requests"] == 1 and found["refused"] == 1


def test_masks_and_rows(log, tmp_path):
    new = changed(tmp_path, ("keep_last: 4", "keep_last: 2"), (
        'rows: {administrative_info.hospital: "${user.hospital}"}',
        'rows: {administrative_info.hospital: "${user.hospital}", personal_info.age: {$gt: 18}}'))
    found = told(log, new)
    lines = change(found, "shown", "find")[0]["shows"]
    assert {"was": "personal_info.ssn: partial first 0, last 4",
            "is": "personal_info.ssn: partial first 0, last 2"} in lines
    assert any(line["is"].startswith("rows: ") for line in lines)


def test_a_role_that_is_gone(log, tmp_path):
    text = (HOSPITAL / "roles.yaml").read_text()
    begin, end = text.index("  doctor:"), text.index("  home_care:")
    new = changed(tmp_path, (text[begin:end], ""))
    found = told(log, new)
    assert {u for c in found["changes"] if c["kind"] == "refused" for u in c["users"]} == {
        "dr.nord", "dr.sud"}


def test_text_for_people(log, tmp_path):
    new = changed(tmp_path, ("          admission: plaintext\n", ""))
    text = diff(log, new)
    assert "refused now: 2 requests of 1 users" in text
    assert "admission_info: not shown, was plaintext" in text
    assert all(len(line) <= 80 for line in text.splitlines() if str(tmp_path) not in line
               and str(ROOT) not in line), text


def test_bad_usage(log, tmp_path):
    diff(tmp_path / "nothing", HOSPITAL, expect=2)
    diff(log, tmp_path, expect=2)
    run([harness.PROGRAM, "policy", "diff", HOSPITAL, HOSPITAL], expect=2)
    file = tmp_path / "x.jsonl"
    file.write_text("no record\n")
    diff(file, HOSPITAL, expect=1)


def test_what_a_record_keeps_of_options(proxy, tmp_path):
    """Which collection is joined, whether _id is left out, whether an update is an upsert."""
    clients = Clients(proxy)
    doctor = clients.patients("dr.nord")
    before = len(proxy.records())
    list(doctor.find({}, {"_id": 0, "medical_info.condition": 1}))
    list(doctor.aggregate([{"$lookup": {"from": "patients", "localField": "admission_info.admission_type",
                                        "foreignField": "admission_info.admission_type", "as": "others"}},
                           {"$limit": 1}, {"$project": {"medical_info": 1}}]))
    doctor.update_one({"personal_info.name": "Ada Durand"}, {"$set": {"medical_info.condition": "Flu"}})
    clients.close()
    new = [r for r in proxy.records()[before:] if "shape" in r]
    assert "'from': 'patients'" in str(new) and "'upsert': False" in str(new)
    (tmp_path / "log.jsonl").write_text(
        "".join(json.dumps(r, separators=(",", ":"), ensure_ascii=False) + "\n" for r in new))
    found = told(tmp_path / "log.jsonl", HOSPITAL, expect=0)
    assert found["undecided"] == 0 and found["unchanged"] == found["requests"] == 3

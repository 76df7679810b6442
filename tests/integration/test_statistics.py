"""A grant that gives statistics only, through a real driver: what works, what is not told."""

import collections
import datetime
import shutil
import statistics as plain
import subprocess
import sys

import pymongo
import pytest
from bson import Int64
from pymongo.errors import OperationFailure

import conftest
from conftest import Clients
from harness import ROOT, Proxy

sys.path.insert(0, str(ROOT / "scripts"))

import demo  # noqa: E402

ROWS = 700
NOISE = 8  # most that is added to a count, or taken from it
GROUP = 11

# Beside the hospital's own roles.
ROLES = """\
mongoward: 1
roles:
  counter:
    grants:
      - namespace: healthcare_db.patients
        do: [read]
        statistics: {min_group: 11, queries_per_day: 10000}
        see: {demographic: plaintext, medical: plaintext, admission: plaintext, billing: plaintext}
  own_counter:
    grants:
      - namespace: healthcare_db.patients
        do: [read]
        rows: {administrative_info.doctor: "${user.doctor}"}
        statistics: {}
        see: {demographic: plaintext, medical: plaintext, administrative_info.hospital: plaintext}
  frugal:
    grants:
      - namespace: healthcare_db.patients
        do: [read]
        statistics: {queries_per_day: 3}
        see: {demographic: plaintext, medical: plaintext}
"""
USERS = {
    "import-job": (["import"], {}, None),
    "stat": (["statistician"], {}, None),
    "counter": (["counter"], {}, None),
    "counter2": (["counter"], {}, None),
    "who": (["own_counter"], {"doctor": "Dr. Gout"}, None),
    "nobody": (["own_counter"], {}, None),
    "frugal": (["frugal"], {}, None),
    "frugal2": (["frugal"], {}, None),
}


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy") / "hospital"
    shutil.copytree(ROOT / "policies/hospital", folder)
    (folder / "counters.yaml").write_text(ROLES)
    return folder


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, upstream, policy):
    conftest.wipe(upstream)
    proxy = Proxy(tmp_path_factory.mktemp("statistics") / "mongoward", upstream.uri)
    proxy.init(policy).add_users(USERS)
    proxy.command("key", "create", "--missing")
    proxy.start()
    yield proxy
    conftest.finish(proxy)


@pytest.fixture(scope="module")
def clients(proxy):
    found = Clients(proxy)
    yield found
    found.close()


def extra(number, ssn=None, **more):
    """A patient beside those of the file."""
    document = conftest.patient(f"Extra {number}", "H-NORD", ssn or f"9990000000{number:05d}")
    for path, value in more.items():
        section, name = path.split("__")
        document[section][name] = value
    return document


@pytest.fixture(scope="module")
def documents(tmp_path_factory, clients):
    file = tmp_path_factory.mktemp("data") / "patients.csv"
    subprocess.run([sys.executable, ROOT / "tests/data/make_patients.py", "--identifiers",
                    "--rows", str(ROWS), "--out", file], check=True, capture_output=True)
    _, found = demo.read_patients(file)
    # Thirty of one doctor; one who has been there often; one whose bill is high; one with a room.
    found += [extra(i, administrative_info__doctor="Dr. Gout", medical_info__condition="Gout")
              for i in range(30)]
    found += [extra(20, medical_info__condition="Cough") for _ in range(60)]
    found += [extra(100 + i, medical_info__condition="Cough") for i in range(25)]
    found += [extra(200 + i, medical_info__condition="Rash",
                    administrative_info__billing_amount=9e6 if i == 0 else 1000.0)
              for i in range(40)]
    found += [extra(300 + i, medical_info__condition="Itch", admission_info__room_number=room)
              for i, room in enumerate([7] + ["none"] * 39)]
    found += [extra(400 + i, medical_info__condition="Secret", metadata__vip=True)
              for i in range(30)]
    clients.patients("import-job").delete_many({})
    clients.patients("import-job").insert_many([dict(d) for d in found])
    return [d for d in found if not d["metadata"].get("vip")]


def value(document, path):
    section, name = path.split(".")
    return document[section].get(name)


def group(documents, *paths):
    found = collections.defaultdict(list)
    for document in documents:
        found[tuple(value(document, path) for path in paths)].append(document)
    return found


def subjects(documents):
    return len({d["personal_info"]["ssn"] for d in documents})


CONDITION, GENDER = "medical_info.condition", "personal_info.gender"
BILL, DAYS = "administrative_info.billing_amount", "admission_info.duration_days"
COUNT = {"$sum": 1}


def by(*paths, **more):
    key = {p.split(".")[1]: f"${p}" for p in paths} if len(paths) > 1 else f"${paths[0]}"
    return {"$group": {"_id": key, "n": COUNT, **more}}


def test_counts_are_near_the_truth(documents, clients):
    patients = clients.patients("counter")
    truth = group(documents, CONDITION)
    found = {d["_id"]: d["n"] for d in patients.aggregate([by(CONDITION)])}
    plentiful = {c for (c,), ds in truth.items() if subjects(ds) >= GROUP + NOISE and c != "Cough"}
    assert plentiful and plentiful <= set(found) <= {c for (c,) in truth}
    for condition in plentiful:
        assert abs(found[condition] - len(truth[condition,])) <= NOISE
        assert isinstance(found[condition], int)
    assert "Secret" not in found  # protected rows are nobody's
    total = sum(len(ds) for ds in truth.values())
    most = max(collections.Counter(d["personal_info"]["ssn"] for d in documents).values())
    assert abs(patients.estimated_document_count() - total) <= most * (NOISE + 1)
    flu = {CONDITION: "Asthma"}
    assert abs(patients.count_documents(flu) - len(truth["Asthma",])) <= NOISE
    assert abs(patients.database.command("count", "patients", query=flu)["n"]
               - len(truth["Asthma",])) <= NOISE
    assert set(patients.distinct(CONDITION)) == set(found)
    assert set(patients.distinct(CONDITION, {GENDER: "Female"})) >= {"Asthma", "Cancer"}


def test_sums_averages_and_deviations(documents, clients):
    truth = group(documents, GENDER)
    found = {d["_id"]: d for d in clients.patients("counter").aggregate([{"$group": {
        "_id": f"${GENDER}", "n": {"$count": {}}, "days": {"$sum": f"${DAYS}"},
        "mean": {"$avg": f"${DAYS}"}, "spread": {"$stdDevPop": f"${DAYS}"}}}])}
    assert set(found) == {"Female", "Male"}
    days = [value(d, DAYS) for d in truth["Male",]]
    row = found["Male"]
    assert row["days"] != sum(days) and abs(row["days"] - sum(days)) <= max(days) * (NOISE + 1)
    assert abs(row["mean"] / plain.mean(days) - 1) < 0.1
    assert abs(row["spread"] / plain.pstdev(days) - 1) < 0.3


def test_keys_of_several_parts_and_what_comes_behind(documents, clients):
    patients = clients.patients("counter")
    truth = group(documents, GENDER, "admission_info.admission_type")
    rows = list(patients.aggregate([
        by(GENDER, "admission_info.admission_type", days={"$avg": f"${DAYS}"}),
        {"$sort": {"_id.admission_type": -1, "_id.gender": 1}}]))
    assert [(r["_id"]["gender"], r["_id"]["admission_type"]) for r in rows] == sorted(
        truth, key=lambda k: (-("Elective", "Emergency", "Urgent").index(k[1]), k[0]))
    page = list(patients.aggregate([
        by(GENDER, "admission_info.admission_type", days={"$avg": f"${DAYS}"}),
        {"$sort": {"days": -1}}, {"$skip": 1}, {"$limit": 2},
        {"$project": {"_id": 0, "type": "$_id.admission_type", "days": True}}]))
    expected = sorted(rows, key=lambda r: -r["days"])[1:3]
    assert page == [{"days": r["days"], "type": r["_id"]["admission_type"]} for r in expected]
    counted = list(patients.aggregate([{"$sortByCount": f"${GENDER}"}]))
    assert [r["count"] for r in counted] == sorted((r["count"] for r in counted), reverse=True)
    assert {r["_id"] for r in counted} == {"Female", "Male"}
    buckets = {r["_id"]: r["count"] for r in patients.aggregate([{"$bucket": {
        "groupBy": "$personal_info.age", "boundaries": [0, 30, 60, 200], "default": "other"}}])}
    assert set(buckets) == {0, 30, 60}
    ages = [value(d, "personal_info.age") for d in documents]
    assert abs(buckets[60] - sum(a >= 60 for a in ages)) <= NOISE
    (total,) = patients.aggregate([{"$match": {GENDER: "Male"}}, {"$count": "n"}])
    assert abs(total["n"] - len(group(documents, GENDER)["Male",])) <= NOISE


def test_masked_fields_are_grouped_by_as_they_are_seen(documents, clients):
    patients = clients.patients("stat")
    ages = {r["_id"] for r in patients.aggregate([by("personal_info.age")])}
    assert ages <= set(range(10, 101, 10)) and len(ages) >= 6
    years = {r["_id"] for r in patients.aggregate([by("admission_info.date_admission")])}
    assert years and all((y.month, y.day, y.hour) == (1, 1, 0) for y in years)
    one = datetime.datetime(2023, 1, 1, tzinfo=datetime.timezone.utc)
    of_2023 = [d for d in documents
               if value(d, "admission_info.date_admission").year == 2023]
    most = max(collections.Counter(d["personal_info"]["ssn"] for d in of_2023).values())
    found = patients.count_documents({"admission_info.date_admission": one})
    assert abs(found - len(of_2023)) <= most * (NOISE + 1)
    assert patients.count_documents(
        {"admission_info.date_admission": one + datetime.timedelta(days=3)}) == 0
    # What it does not see is no group, and no condition.
    for path in ("administrative_info.hospital", "personal_info.name", "metadata.source"):
        with pytest.raises(OperationFailure) as caught:
            list(patients.aggregate([by(path)]))
        assert caught.value.code == 13 and path in str(caught.value)


def test_small_sets_are_not_there(documents, clients):
    patients = clients.patients("counter")
    for filter_ in ({BILL: 9e6}, {"personal_info.age": 0}, {CONDITION: "Secret"},
                    {CONDITION: "Unheard of"}, {CONDITION: {"$ne": "Unheard of"}},
                    {"$nor": [{BILL: 9e6}]}, {GENDER: {"$in": ["Female", "Male"]}},
                    {CONDITION: "Rash", BILL: {"$lt": 5e6}}, {BILL: {"$gte": 0}}):
        assert list(patients.aggregate([{"$match": filter_}, {"$count": "n"}])) == []
        assert patients.count_documents(filter_) == 0
        assert patients.distinct(GENDER, filter_) == []
    # A group that all but few are in, and those few.
    rash = {CONDITION: "Rash"}
    assert list(patients.aggregate([{"$match": rash}, by(BILL)])) == []
    assert len(list(patients.aggregate([{"$match": rash}, by(CONDITION)]))) == 1
    ages = group(documents, "personal_info.age", GENDER, "admission_info.date_admission")
    assert len(ages) > 500
    assert {r["_id"]["age"] for r in patients.aggregate([
        by("personal_info.age", GENDER, "admission_info.date_admission")])} <= {41}


def test_one_patient_alone_is_not_told(documents, clients):
    patients = clients.patients("counter")
    found = {r["_id"]: r for r in patients.aggregate([
        by(CONDITION, bill={"$sum": f"${BILL}"}, mean={"$avg": f"${BILL}"},
           room={"$avg": "$admission_info.room_number"}, days={"$sum": f"${DAYS}"})])}
    assert "Cough" not in found  # one patient has most of its documents
    assert found["Rash"]["bill"] is None and found["Rash"]["mean"] is None
    assert found["Rash"]["days"] is not None
    assert found["Itch"]["room"] is None and found["Itch"]["days"] is not None
    assert found["Asthma"]["bill"] is not None and found["Asthma"]["room"] is not None


def test_the_same_patients_give_the_same_answer(documents, clients, proxy):
    question = [by(CONDITION, bill={"$avg": f"${BILL}"})]
    first = list(clients.patients("counter").aggregate(question))
    for name in ("counter", "counter2"):
        assert list(clients.patients(name).aggregate(question)) == first
    counted = [{"$match": {GENDER: "Male", CONDITION: "Asthma"}}, {"$count": "n"}]
    other = [{"$match": {"$and": [{CONDITION: {"$in": ["Asthma"]}}]}},
             {"$match": {GENDER: {"$eq": "Male"}}}, {"$count": "n"}]
    patients = clients.patients("counter")
    assert list(patients.aggregate(counted)) == list(patients.aggregate(other))
    proxy.stop()
    proxy.start()
    assert list(patients.aggregate(question)) == first
    # Once a patient comes or goes all of it is drawn anew.
    writer = clients.patients("import-job")
    came = writer.insert_one(extra(900)).inserted_id
    changed = list(patients.aggregate(question))
    assert [r["_id"] for r in changed] == [r["_id"] for r in first]
    assert all(a["bill"] is None or a["bill"] != b["bill"] for a, b in zip(first, changed))
    assert sum(a["n"] != b["n"] for a, b in zip(first, changed)) >= 1
    writer.delete_one({"_id": came})
    assert list(patients.aggregate(question)) == first


def test_a_changed_value_changes_all_groups(documents, clients):
    """Else the one group that changes would be the patient's."""
    patients, writer = clients.patients("counter"), clients.patients("import-job")
    question = [by(CONDITION, bill={"$sum": f"${BILL}"}, days={"$sum": f"${DAYS}"})]
    victim = next(d for d in documents if value(d, CONDITION) == "Asthma")
    first = list(patients.aggregate(question))
    stored = writer.find_one({"personal_info.name": victim["personal_info"]["name"],
                              BILL: value(victim, BILL)})
    writer.delete_one({"_id": stored["_id"]})
    stored["administrative_info"]["billing_amount"] += 1
    writer.insert_one(stored)
    changed = list(patients.aggregate(question))
    assert all(a["bill"] is None or a["bill"] != b["bill"] for a, b in zip(first, changed))
    assert [(r["_id"], r["n"], r["days"]) for r in changed] == [
        (r["_id"], r["n"], r["days"]) for r in first]
    stored["administrative_info"]["billing_amount"] -= 1
    writer.delete_one({"_id": stored["_id"]})
    writer.insert_one(stored)
    assert list(patients.aggregate(question)) == first


def test_a_row_filter_over_an_encrypted_field(documents, clients):
    patients = clients.patients("who")
    (row,) = patients.aggregate([{"$group": {"_id": None, "n": COUNT}}])
    assert abs(row["n"] - 30) <= NOISE
    assert patients.distinct(CONDITION) == []  # there is only one
    with pytest.raises(OperationFailure) as caught:
        clients.patients("nobody").count_documents({})
    assert caught.value.code == 13


def test_documents_that_the_proxy_has_not_stored_are_one_patient(documents, clients, upstream):
    with upstream.client() as direct:
        direct.healthcare_db.patients.insert_many(
            [{"medical_info": {"condition": "Foreign"}, "old": True} for _ in range(200)])
    try:
        found = clients.patients("counter").aggregate([by(CONDITION)])
        assert "Foreign" not in {r["_id"] for r in found}
    finally:
        with upstream.client() as direct:
            direct.healthcare_db.patients.delete_many({"old": True})


def refused(call, *arguments, **named):
    with pytest.raises(OperationFailure) as caught:
        result = call(*arguments, **named)
        list(result) if isinstance(result, pymongo.command_cursor.CommandCursor) else result
    assert caught.value.code == 13
    return str(caught.value.details["errmsg"])


def test_rows_are_refused_with_what_works(documents, clients):
    patients = clients.patients("counter")
    text = refused(patients.find_one)
    assert "'find'" in text and "$sum: 1" in text and "$bucket with a default" in text
    for stages in ([], [{"$limit": 1}], [{"$sort": {BILL: 1}}, {"$limit": 1}, by(CONDITION)],
                   [{"$facet": {"a": [by(CONDITION)]}}], [by(CONDITION), {"$out": "x"}],
                   [{"$set": {"x": 1}}, by(CONDITION)], [{"$sample": {"size": 20}}, by(GENDER)],
                   [by(CONDITION, x={"$push": f"${BILL}"})], [by(CONDITION, x={"$max": f"${BILL}"})],
                   [by(CONDITION, x={"$sum": {"$cond": [{"$eq": [f"${BILL}", 9e6]}, 1, 0]}})],
                   [by(CONDITION, x={"$sum": Int64(2)})]):
        assert "statistics only" in refused(patients.aggregate, stages)
    refused(patients.find_one_and_update, {}, {"$set": {"x": 1}})
    refused(patients.database.command, "explain", {"count": "patients"})
    refused(patients.insert_one, {"x": 1})
    refused(patients.index_information)
    refused(patients.count_documents, {}, limit=1)


def test_the_record_is_by_shape(documents, clients, proxy):
    list(clients.patients("stat").aggregate([
        {"$match": {CONDITION: "Asthma"}}, by(GENDER, bill={"$sum": f"${BILL}"})]))
    record = [r for r in proxy.records() if r["event"] == "access"][-1]
    assert record["way"] == "barrier" and record["user"] == "stat" and record["docs"] == 2
    assert record["disclosed"] == {"demographic": "plaintext", "billing": "plaintext"}
    assert not record.get("subjects") and not record.get("searched")
    assert "Asthma" not in str(record) and "$match" in str(record["shape"])
    assert clients.patients("stat").count_documents({CONDITION: "Nothing"}) == 0
    nothing = [r for r in proxy.records() if r["event"] == "access"][-1]
    assert nothing["docs"] == 0 and "disclosed" not in nothing and nothing["code"] == 0


def test_a_day_has_so_many_questions(documents, clients, proxy):
    patients = clients.patients("frugal")
    questions = [{CONDITION: c} for c in ("Asthma", "Cancer", "Obesity")]
    first = [patients.count_documents(q) for q in questions]
    text = refused(patients.count_documents, {CONDITION: "Diabetes"})
    assert text.startswith("all different questions of today have been asked")
    # The same ones again, in other words too; another user has its own.
    assert [patients.count_documents(q) for q in questions] == first
    assert patients.count_documents({"$and": [{CONDITION: {"$in": ["Asthma"]}}]}) == first[0]
    assert clients.patients("frugal2").count_documents({CONDITION: "Diabetes"}) > 0
    # New data are a new question.
    writer = clients.patients("import-job")
    came = writer.insert_one(extra(950)).inserted_id
    try:
        assert refused(patients.count_documents, questions[0]) == text
    finally:
        writer.delete_one({"_id": came})
    assert [patients.count_documents(q) for q in questions] == first
    refusals = [r for r in proxy.records() if r["event"] == "refusal" and r["user"] == "frugal"]
    assert len(refusals) == 2 and all(r["code"] == 13 for r in refusals)

"""Pipelines of roles that see accountable values: the record names everybody who went in."""

import pytest
from pymongo.errors import OperationFailure

from conftest import PATIENTS, patient
from test_roles import SECRETS

NORD = sorted(name for name, hospital, *_ in PATIENTS if hospital == "H-NORD")


@pytest.fixture(autouse=True)
def _data(loaded):
    yield


@pytest.fixture
def doctor(clients):
    return clients.patients("dr.nord")


def last_access(proxy):
    return [r for r in proxy.records() if r["event"] == "access"][-1]


def subjects_of_find(proxy, doctor, query):
    """As find names them."""
    list(doctor.find(query))
    return sorted(last_access(proxy)["subjects"])


def test_a_facet_names_all_who_went_in(proxy, doctor):
    (found,) = doctor.aggregate([{"$facet": {
        "conditions": [{"$sortByCount": "$medical_info.condition"}],
        "names": [{"$group": {"_id": None, "all": {"$push": "$personal_info.name"}}}],
        "hidden": [{"$replaceWith": {"b": "$administrative_info.billing_amount"}},
                   {"$group": {"_id": "$b"}}]}}])
    record = last_access(proxy)
    assert sorted(found["names"][0]["all"]) == NORD
    assert found["conditions"] == [{"_id": "Asthma", "count": 3}]
    assert found["hidden"] == [{"_id": None}]
    assert record["way"] == "barrier" and record["docs"] == 1
    assert sorted(record["subjects"]) == subjects_of_find(proxy, doctor, {})
    assert record["disclosed"]["identity"] == "plaintext"


def test_what_stands_in_front_names_fewer(proxy, doctor):
    found = list(doctor.aggregate([
        {"$match": {"personal_info.age": {"$gt": 30}}}, {"$sort": {"personal_info.age": 1}},
        {"$limit": 1}, {"$replaceRoot": {"newRoot": "$personal_info"}}]))
    assert [d["name"] for d in found] == ["Ada Durand"] and "ssn" not in found[0]
    assert last_access(proxy)["subjects"] == subjects_of_find(
        proxy, doctor, {"personal_info.name": "Ada Durand"})
    searched = list(doctor.aggregate([
        {"$match": {"personal_info.name": "Ada Durand"}}, {"$redact": "$$KEEP"}]))
    record = last_access(proxy)
    assert len(searched) == 1 and len(record["searched"]) == 1 and len(record["subjects"]) == 1


def test_nobody_goes_in(proxy, doctor):
    pipeline = [{"$match": {"personal_info.age": 999}}, {"$facet": {"n": [{"$group": {"_id": None}}]}}]
    assert list(doctor.aggregate(pipeline)) == [{"n": []}]
    assert last_access(proxy).get("subjects", []) == []


def test_find_count_and_distinct(proxy, doctor, clients):
    expression = {"$expr": {"$gt": [{"$divide": [100, "$personal_info.age"]}, 2]}}
    assert sorted(d["personal_info"]["name"] for d in doctor.find(expression)) == [
        "Ada Durand", "Bruno Petit"]
    assert len(last_access(proxy)["subjects"]) == 3
    assert doctor.database.command("count", "patients", query=expression)["n"] == 2
    assert sorted(doctor.distinct("personal_info.name")) == NORD
    assert len(last_access(proxy)["subjects"]) == 3
    everybody = clients.patients("import-job")
    names = {d["_id"] for d in everybody.aggregate([{"$group": {"_id": "$personal_info.name"}}])}
    assert names == {name for name, *_ in PATIENTS}
    assert len(last_access(proxy)["subjects"]) == len(PATIENTS)


def test_joins_name_what_they_could_read(proxy, doctor):
    found = list(doctor.aggregate([
        {"$match": {"personal_info.name": "Ada Durand"}},
        {"$lookup": {"from": "patients", "localField": "medical_info.condition",
                     "foreignField": "medical_info.condition", "as": "like"}},
        {"$project": {"like.personal_info.name": 1}}]))
    assert sorted(d["personal_info"]["name"] for d in found[0]["like"]) == NORD
    assert sorted(last_access(proxy)["subjects"]) == subjects_of_find(proxy, doctor, {})
    found = list(doctor.aggregate([
        {"$match": {"personal_info.name": "Ada Durand"}},
        {"$unionWith": {"coll": "patients", "pipeline": [{"$project": {"personal_info.age": 1}}]}}]))
    assert sorted(d["personal_info"]["age"] for d in found) == [17, 41, 41, 66]
    assert len(last_access(proxy)["subjects"]) == 3
    assert not any(name.startswith("__mw") for d in found for name in d)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4])
def test_batches(doctor, size):
    pipeline = [{"$redact": "$$KEEP"}, {"$sort": {"personal_info.age": 1}}]
    found = [d["personal_info"]["age"] for d in doctor.aggregate(pipeline, batchSize=size)]
    assert found == [17, 41, 66]
    first = doctor.database.command("aggregate", "patients", pipeline=pipeline,
                                    cursor={"batchSize": size})["cursor"]
    assert len(first["firstBatch"]) == min(size, 3)
    assert not any("__mw" in d for d in first["firstBatch"])


def test_in_a_transaction(doctor, clients):
    with clients["dr.nord"].start_session() as session, session.start_transaction():
        (found,) = doctor.aggregate(
            [{"$group": {"_id": None, "all": {"$push": "$$ROOT"}}}], session=session)
        assert sorted(d["personal_info"]["name"] for d in found["all"]) == NORD
    text = repr(found)
    assert not any(s in text for s in SECRETS if s.isdigit())


def test_as_many_as_a_record_names(proxy, doctor, loaded):
    """10,000 subjects pass and one more does not."""
    more = 10_000 - len(NORD)
    loaded.insert_many([patient(f"Many {i}", "H-NORD", f"m{i}", age=300) for i in range(more)])
    try:
        (found,) = doctor.aggregate([{"$facet": {"n": [{"$group": {"_id": None, "n": {"$sum": 1}}}]}}])
        assert found["n"][0]["n"] == 10_000
        parts = [r for r in proxy.records() if r["event"] == "access"]
        request = parts[-1]["request"]
        assert sum(len(r.get("subjects", [])) for r in parts if r["request"] == request) == 10_000
        loaded.insert_one(patient("One more", "H-NORD", "one", age=300))
        with pytest.raises(OperationFailure) as caught:
            list(doctor.aggregate([{"$redact": "$$KEEP"}]))
        assert caught.value.code == 13 and "$match" in str(caught.value)
        narrowed = [{"$match": {"personal_info.age": {"$lt": 100}}}, {"$redact": "$$KEEP"}]
        assert len(list(doctor.aggregate(narrowed))) == len(NORD)
    finally:
        loaded.delete_many({"personal_info.age": 300})

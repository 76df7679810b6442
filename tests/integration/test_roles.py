"""What each role of the hospital's policy reads and writes, and what it is told when refused."""

import pymongo
import pytest
from bson import ObjectId
from pymongo.errors import BulkWriteError, OperationFailure

from conftest import PATIENTS, patient

NAMES = [name for name, *_ in PATIENTS]
SECRETS = NAMES + [ssn for _, _, ssn, _ in PATIENTS]


def refused(action, *arguments, **options):
    """Runs it; it must be refused with 13 in words that name nobody."""
    with pytest.raises(OperationFailure) as caught:
        action(*arguments, **options)
    error = caught.value
    assert error.code == 13 and error.details["codeName"] == "Unauthorized", error
    text = repr(error.details)
    assert not any(secret in text for secret in SECRETS)
    assert "roles." not in text  # the rule's own name is for the audit record
    return text


@pytest.fixture(autouse=True)
def _data(loaded):
    yield


def test_import_reads_everything(clients):
    found = list(clients.patients("import-job").find().sort("personal_info.age"))
    assert sorted(d["personal_info"]["name"] for d in found) == sorted(NAMES)
    expected = patient("Ada Durand", "H-NORD")
    del expected["metadata"]
    ada = next(d for d in found if d["personal_info"]["name"] == "Ada Durand")
    assert {k: v for k, v in ada.items() if k in expected} == expected
    assert set(ada) == {"_id", *patient("x", "y")}


@pytest.mark.parametrize("user,hospital", [("dr.nord", "H-NORD"), ("dr.sud", "H-SUD")])
def test_doctor_sees_the_own_hospital(clients, user, hospital):
    patients = clients.patients(user)
    mine = sorted(n for n, h, *_ in PATIENTS if h == hospital)
    assert sorted(d["personal_info"]["name"] for d in patients.find()) == mine
    assert patients.count_documents({}) == len(mine)
    assert patients.estimated_document_count() == len(mine)
    assert patients.distinct("administrative_info.hospital") == [hospital]
    assert sum(d["n"] for d in patients.aggregate(
        [{"$group": {"_id": None, "n": {"$sum": 1}}}])) == len(mine)


def test_doctor_cannot_widen_the_filter(clients):
    patients = clients.patients("dr.nord")
    assert patients.find_one({"administrative_info.hospital": "H-SUD"}) is None
    assert patients.count_documents({"$or": [
        {"administrative_info.hospital": "H-SUD"}, {"personal_info.age": {"$gt": 0}}]}) == 3
    assert patients.find_one({"personal_info.name": "Emma Blanc"}) is None


def test_what_a_doctor_sees_of_a_patient(clients):
    found = clients.patients("dr.nord").find_one({"personal_info.name": "Ada Durand"})
    assert found["personal_info"] == {
        "name": "Ada Durand", "age": 41, "gender": "Female", "blood_type": "A+",
        "ssn": "***********8436"}
    assert found["administrative_info"] == {"hospital": "H-NORD"}
    assert found["medical_info"]["condition"] == "Asthma"
    assert "metadata" in found and "__mw" not in found


@pytest.mark.parametrize("query", [
    {"personal_info.ssn": "285057800608436"},
    {"administrative_info.billing_amount": {"$gt": 1}},
    {"administrative_info.doctor": "Dr. Who"},
    {"$where": "this.personal_info"},
    {"$expr": {"$eq": ["$personal_info.ssn", "1"]}},
    {"__mw.s": "x"},
    {"personal_info.name": {"$gt": "A"}},
    {"personal_info.name": {"$regex": "^A"}},
])
def test_doctor_cannot_ask_about_what_is_hidden(clients, query):
    refused(clients.patients("dr.nord").find_one, query)
    refused(clients.patients("dr.nord").count_documents, query)


def test_a_document_is_compared_as_it_is_seen(clients):
    patients = clients.patients("dr.nord")
    assert len(list(patients.find({"administrative_info": {"hospital": "H-NORD"}}))) == 3
    assert list(patients.find({"administrative_info": {
        "doctor": "Dr. Who", "hospital": "H-NORD", "insurance_provider": "Cigna",
        "billing_amount": 18420.5}})) == []


def test_projections_cannot_rename(clients):
    refused(lambda: list(clients.patients("dr.nord").find({}, {"x": "$personal_info.ssn"})))


@pytest.mark.parametrize("stage", [
    {"$project": {"x": "$personal_info.ssn"}},
    {"$group": {"_id": "$personal_info.ssn"}},
    {"$group": {"_id": None, "x": {"$push": "$$ROOT"}}},
    {"$replaceRoot": {"newRoot": {"x": {"$objectToArray": "$$ROOT"}}}},
    {"$set": {"x": {"$getField": {"field": "ssn", "input": "$personal_info"}}}},
    {"$lookup": {"from": "patients", "localField": "administrative_info.hospital",
                 "foreignField": "administrative_info.hospital", "as": "x"}},
    {"$unionWith": "patients"},
    {"$facet": {"x": [{"$project": {"s": "$personal_info.ssn"}}]}},
])
def test_pipelines_do_not_leak(clients, stage):
    """Refused, or run on what the doctor may see."""
    try:
        rows = list(clients.patients("dr.nord").aggregate([stage]))
    except OperationFailure as error:
        assert error.code == 13
        text = repr(error.details)
    else:
        text = repr(rows)
    for name, hospital, ssn, _ in PATIENTS:
        assert ssn not in text
        assert "18420" not in text and "Dr. Who" not in text and "__mw" not in text
        if hospital != "H-NORD":
            assert name not in text


def test_doctor_without_hospital_reads_nothing(clients):
    refused(clients.patients("dr.nowhere").find_one, {})


def test_doctor_writes_medical_things_of_own_patients(clients, loaded):
    patients = clients.patients("dr.nord")
    done = patients.update_one(
        {"personal_info.name": "Ada Durand"}, {"$set": {"medical_info.medication": "Ibuprofen"}})
    assert (done.matched_count, done.modified_count) == (1, 1)
    assert loaded.find_one({"personal_info.name": "Ada Durand"})[
        "medical_info"]["medication"] == "Ibuprofen"
    done = patients.update_one(
        {"personal_info.name": "Emma Blanc"}, {"$set": {"medical_info.medication": "x"}})
    assert done.matched_count == 0
    patients.update_one({"personal_info.name": "Ada Durand"},
                        {"$set": {"medical_info.medication": "Aspirin"}})


@pytest.mark.parametrize("update", [
    {"$set": {"personal_info.name": "X"}},
    {"$set": {"administrative_info.hospital": "H-SUD"}},
    {"$set": {"administrative_info": {"hospital": "H-SUD"}}},
    {"$set": {"administrative_info.billing_amount": 1.0}},
    {"$unset": {"personal_info": ""}},
    {"$rename": {"personal_info.ssn": "medical_info.x"}},
    {"$set": {"__mw.s": "x"}},
    {"$min": {"administrative_info.billing_amount": 5}},
    [{"$set": {"medical_info.x": "$personal_info.ssn"}}],
])
def test_doctor_cannot_write_the_rest(clients, loaded, update):
    before = list(loaded.find().sort("_id"))
    refused(clients.patients("dr.nord").update_many, {}, update)
    assert list(loaded.find().sort("_id")) == before


def test_doctor_neither_inserts_nor_deletes(clients, loaded):
    refused(clients.patients("dr.nord").insert_one, patient("New", "H-NORD"))
    refused(clients.patients("dr.nord").delete_many, {})
    refused(clients.patients("dr.nord").drop)
    assert loaded.count_documents({}) == len(PATIENTS)


def test_billing_clerk(clients):
    found = clients.patients("clerk").find_one({"personal_info.name": "Ada Durand"})
    assert found["personal_info"] == {"name": "Ada Durand", "ssn": "285057800608436"}
    assert found["administrative_info"] == {
        "hospital": "H-NORD", "insurance_provider": "Cigna", "billing_amount": 18420.5}
    assert "medical_info" not in found and "admission_info" not in found
    refused(clients.patients("clerk").find_one, {"medical_info.condition": "Asthma"})


def test_billing_clerk_needs_a_purpose(clients):
    patients = clients.patients("clerk-aimless")
    refused(patients.find_one, {})
    assert patients.find_one({}, comment={"purpose": "payment"})
    refused(patients.find_one, {}, comment={"purpose": "curiosity"})


def test_analyst_reads_the_view(clients):
    view = clients["analyst"].healthcare_db.patients_anonymized_view
    rows = list(view.find({"medical_condition": "Asthma"}))
    assert len(rows) == len(PATIENTS)
    assert sorted(r["age_range"] for r in rows) == ["0-17", "18-29", "30-49", "50-64", "65+"]
    for row in rows:
        assert set(row) == {"patient_id", "age_range", "gender", "medical_condition", "medication",
                            "admission_type", "admission_year", "duration_days",
                            "insurance_provider", "billing_range"}
        assert row["billing_range"] == "10K-25K" and row["duration_days"] % 5 == 0
        assert row["admission_year"].isoformat().startswith("2023-01-01")
    assert len({r["patient_id"] for r in rows}) == len(PATIENTS)
    assert not any(secret in repr(rows) for secret in SECRETS)
    again = {r["patient_id"] for r in view.find()}
    assert again == {r["patient_id"] for r in rows}


def test_analyst_asks_the_view_as_a_collection(clients):
    view = clients["analyst"].healthcare_db.patients_anonymized_view
    (old,) = view.find({"age_range": "65+"})
    assert view.find_one({"patient_id": old["patient_id"]}) == old
    assert view.count_documents({}) == len(PATIENTS)
    assert sorted(view.distinct("age_range")) == ["0-17", "18-29", "30-49", "50-64", "65+"]
    groups = list(view.aggregate([
        {"$match": {"medical_condition": "Asthma"}},
        {"$group": {"_id": {"age": "$age_range", "year": {"$year": "$admission_year"}},
                    "n": {"$sum": 1}}},
        {"$sort": {"_id.age": 1}}]))
    assert [g["_id"]["age"] for g in groups] == ["0-17", "18-29", "30-49", "50-64", "65+"]
    assert all(g["n"] == 1 and g["_id"]["year"] == 2023 for g in groups)
    rows = list(view.aggregate([{"$project": {"all": {"$objectToArray": "$$ROOT"}}}]))
    assert not any(secret in repr(rows) for secret in SECRETS)


def test_analyst_reaches_nothing_else(clients):
    database = clients["analyst"].healthcare_db
    refused(database.patients.find_one, {})
    assert database.patients_anonymized_view.find_one({"personal_info.name": "Ada Durand"}) is None
    refused(database.patients_anonymized_view.find_one, {"__mw.s": {"$exists": True}})
    refused(database.patients_anonymized_view.insert_one, {"a": 1})
    refused(clients["analyst"].encryption["__keyVault"].find_one, {})
    refused(clients["analyst"].other_db.things.find_one, {})


def test_admin_runs_the_database_and_reads_nobody(clients):
    database = clients["root"].healthcare_db
    refused(database.patients.find_one, {})
    refused(database.patients.count_documents, {"personal_info.name": "Ada Durand"})
    refused(database.patients.insert_one, {"a": 1})
    database.patients.create_index("personal_info.age", name="by_age")
    assert "by_age" in database.patients.index_information()
    database.patients.drop_index("by_age")
    assert "patients" in database.list_collection_names()
    refused(clients["root"].encryption["__keyVault"].find_one, {})


def test_backend_reads_and_writes(clients, loaded):
    patients = clients.patients("api")
    key = patients.insert_one(patient("Zoé Test", "H-SUD", ssn="111111111111111")).inserted_id
    assert patients.find_one({"_id": key})["personal_info"]["name"] == "Zoé Test"
    assert patients.update_one(
        {"personal_info.name": "Zoé Test"},
        {"$set": {"personal_info.age": 42}}).modified_count == 1
    refused(patients.delete_one, {"_id": key})
    assert loaded.delete_one({"_id": key}).deleted_count == 1


def test_data_engineer_sees_nobody(clients):
    database = clients["engineer"].healthcare_db
    found = database.patients.find_one({"personal_info.age": 41})
    assert set(found["personal_info"]) == {"age", "gender", "blood_type"}
    assert "medical_info" not in found and "billing_amount" not in found["administrative_info"]
    refused(database.patients.find_one, {"personal_info.name": "Ada Durand"})
    rows = list(database.patients.aggregate(
        [{"$project": {"all": {"$objectToArray": "$personal_info"}}}]))
    assert not any(secret in repr(rows) for secret in SECRETS)
    database.patients.create_index([("personal_info.gender", 1)], name="by_gender")
    database.patients.drop_index("by_gender")


@pytest.mark.parametrize("command", [
    {"eval": "1"}, {"mapReduce": "patients"}, {"currentOp": 1}, {"getLog": "global"},
    {"profile": 2}, {"top": 1}, {"applyOps": []}, {"fsync": 1}, {"shutdown": 1},
    {"noSuchCommand": 1}, {"killAllSessions": []}, {"createUser": "x", "pwd": "y", "roles": []},
    {"usersInfo": 1}, {"validate": "patients"}, {"clusterFind": "patients"},
    {"listDatabases": 1, "filter": {"$where": "1"}},
])
@pytest.mark.parametrize("user", ["dr.nord", "analyst", "clerk"])
def test_default_deny(clients, user, command):
    with pytest.raises(OperationFailure) as caught:
        clients[user].admin.command(command)
    assert caught.value.code in (13, 59)


def test_listings_show_only_what_may_be_read(clients):
    assert clients["analyst"].healthcare_db.list_collection_names() in (
        ["patients_anonymized_view"], [])
    listed = clients["dr.nord"].list_database_names()
    assert "encryption" not in listed and "admin" not in listed


def test_errors_name_no_values(clients, loaded):
    key = loaded.find_one({})["_id"]
    with pytest.raises(pymongo.errors.DuplicateKeyError) as caught:
        clients.patients("api").insert_one({**patient("Ghost", "H-SUD"), "_id": key})
    assert caught.value.code == 11000
    with pytest.raises(BulkWriteError) as caught:
        clients.patients("api").insert_many(
            [{**patient("Ghost", "H-SUD"), "_id": key}, {**patient("Ghost", "H-SUD"), "_id": key}],
            ordered=False)
    assert "Ghost" not in repr(
        [e.get("errmsg") for e in caught.value.details["writeErrors"]])


def test_a_foreign_id_looks_absent(clients, loaded):
    foreign = loaded.find_one({"personal_info.name": "Emma Blanc"})["_id"]
    doctor = clients.patients("dr.nord")
    assert doctor.find_one({"_id": foreign}) is None
    assert doctor.find_one({"_id": ObjectId()}) is None


def test_wrong_passwords_and_unknown_users_look_alike(proxy):
    texts = set()
    for name, password in (("dr.nord", "wrong"), ("nobody", "wrong")):
        with proxy.client(name, password) as client, pytest.raises(OperationFailure) as caught:
            client.healthcare_db.patients.find_one()
        assert caught.value.code == 18
        texts.add(caught.value.details["errmsg"])
    assert len(texts) == 1

"""What the upstream holds, what drivers with the master key read there, and what is refused."""

import bson
import pymongo
import pytest
from bson.binary import Binary
from bson.raw_bson import RawBSONDocument
from pymongo.encryption_options import AutoEncryptionOpts
from pymongo.errors import OperationFailure

from conftest import PATIENTS, patient

SEALED = ("personal_info.name", "personal_info.ssn", "administrative_info.doctor")


@pytest.fixture(autouse=True)
def _data(loaded):
    yield


@pytest.fixture(scope="module")
def direct(upstream):
    with upstream.client(tz_aware=True) as client:
        yield client


def get(document, path):
    for part in path.split("."):
        document = document[part]
    return document


def test_upstream_holds_ciphertext_only(upstream):
    needles = [text.encode() for name, _, ssn, _ in PATIENTS for text in (name, ssn, name[:5])]
    with upstream.client(document_class=RawBSONDocument) as client:
        for database in ("healthcare_db", "encryption", "local"):
            for collection in client[database].list_collection_names():
                for document in client[database][collection].find():
                    assert not any(needle in document.raw for needle in needles)
        stored = list(client.healthcare_db.patients.find())
    assert len(stored) == len(PATIENTS)


def test_stored_form(direct):
    stored = list(direct.healthcare_db.patients.find())
    for document in stored:
        for path in SEALED:
            value = get(document, path)
            assert isinstance(value, Binary) and value.subtype == 6
            assert value[0] == (2 if path.endswith("ssn") else 1) and value[17] == 2
    # One key for each path; equal doctors are equal, random numbers are not.
    for path in SEALED:
        assert len({get(d, path)[1:17] for d in stored}) == 1
    assert len({get(stored[0], path)[1:17] for path in SEALED}) == 3
    assert len({bytes(get(d, "administrative_info.doctor")) for d in stored}) == 1
    assert len({bytes(get(d, "personal_info.ssn")) for d in stored}) == len(PATIENTS)


def test_equality_and_in(clients, loaded):
    assert loaded.find_one({"personal_info.name": "Ada Durand"})["personal_info"]["age"] == 41
    assert loaded.find_one({"personal_info.name": {"$eq": "Ada Durand"}})
    assert loaded.count_documents({"personal_info.name": {"$in": ["Ada Durand", "Emma Blanc"]}}) == 2
    assert loaded.count_documents({"personal_info.name": {"$ne": "Ada Durand"}}) == 4
    assert loaded.count_documents({"personal_info.name": {"$nin": ["Ada Durand", "x"]}}) == 4
    assert loaded.count_documents({"personal_info.name": "ada durand"}) == 0
    assert loaded.count_documents({"personal_info.ssn": {"$exists": True}}) == len(PATIENTS)
    assert sorted(loaded.distinct("personal_info.name")) == sorted(n for n, *_ in PATIENTS)
    assert list(loaded.aggregate(
        [{"$group": {"_id": "$administrative_info.doctor", "n": {"$sum": 1}}}])) == [
            {"_id": "Dr. Who", "n": len(PATIENTS)}]
    groups = {g["_id"]: g["n"] for g in loaded.aggregate(
        [{"$match": {"administrative_info.doctor": "Dr. Who"}},
         {"$group": {"_id": "$administrative_info.insurance_provider", "n": {"$sum": 1}}}])}
    assert sum(groups.values()) == len(PATIENTS)


@pytest.mark.parametrize("query", [
    {"personal_info.name": {"$gt": "A"}},
    {"personal_info.name": {"$regex": "^A"}},
    {"personal_info.name": None},
    {"personal_info.name": 5},
    {"personal_info.ssn": "285057800608436"},
    {"personal_info.ssn": {"$in": ["285057800608436"]}},
    {"personal_info": {"name": "Ada Durand"}},
])
def test_what_ciphertext_cannot_serve_is_refused(loaded, query):
    with pytest.raises(OperationFailure) as caught:
        loaded.find_one(query)
    assert "personal_info" in caught.value.details["errmsg"]
    assert "Ada" not in caught.value.details["errmsg"]


def test_sort_on_ciphertext_is_refused(loaded):
    with pytest.raises(OperationFailure):
        list(loaded.find().sort("personal_info.name"))


def test_drivers_read_the_upstream_with_the_master_key(proxy, upstream):
    master = (proxy.folder / "keys/master.key").read_bytes()
    assert len(master) == 96
    options = AutoEncryptionOpts(
        {"local": {"key": master}}, "encryption.__keyVault", bypass_query_analysis=True,
        bypass_auto_encryption=True)
    with upstream.client(auto_encryption_opts=options, tz_aware=True) as client:
        found = list(client.healthcare_db.patients.find())
    assert sorted(d["personal_info"]["name"] for d in found) == sorted(n for n, *_ in PATIENTS)
    assert sorted(d["personal_info"]["ssn"] for d in found) == sorted(s for _, _, s, _ in PATIENTS)
    assert {d["administrative_info"]["doctor"] for d in found} == {"Dr. Who"}


@pytest.fixture(scope="module")
def ours(direct, loaded):
    """A ciphertext under our key, copied from the upstream."""
    return direct.healthcare_db.patients.find_one()["personal_info"]["name"]


def foreign(ours):
    return Binary(ours[:1] + bytes(range(16)) + ours[17:], 6)


def refuses(action, *arguments, **options):
    with pytest.raises(OperationFailure) as caught:
        action(*arguments, **options)
    assert caught.value.code == 13


def test_ciphertext_under_our_key_is_refused_everywhere(clients, loaded, ours):
    before = loaded.count_documents({})
    for patients in (loaded, clients.patients("api"), clients.patients("dr.nord")):
        refuses(patients.find_one, {"personal_info.name": ours})
        refuses(patients.find_one, {"medical_info.condition": ours})
        refuses(patients.find_one, {"medical_info.condition": {"$in": [ours]}})
        refuses(patients.count_documents, {"medical_info.x": {"y": [ours]}})
        refuses(patients.aggregate, [{"$match": {"medical_info.condition": ours}}])
        refuses(patients.update_one, {}, {"$set": {"medical_info.condition": ours}})
        refuses(patients.update_one, {}, {"$push": {"medical_info.x": {"$each": [ours]}}})
    refuses(loaded.insert_one, {**patient("X", "H-SUD"), "metadata": {"source": ours}})
    refuses(loaded.aggregate, [{"$set": {"x": {"$literal": ours}}}])
    assert loaded.count_documents({}) == before


def test_ciphertext_under_a_foreign_key_passes_and_stays(loaded, ours):
    value = foreign(ours)
    key = loaded.insert_one(
        {**patient("Foreign", "H-SUD"), "metadata": {"source": value}}).inserted_id
    assert loaded.find_one({"_id": key})["metadata"]["source"] == value
    loaded.delete_one({"_id": key})


def test_moved_ciphertext_is_opened_for_no_one_without_clearance(clients, direct, ours):
    """The operator copies a name's ciphertext to another path: a label travels with it."""
    key = direct.healthcare_db.patients.find_one()["_id"]
    direct.healthcare_db.patients.update_one(
        {"_id": key}, {"$set": {"metadata.source": ours, "medical_info.test_results": ours}})
    try:
        for user in ("dr.nord", "dr.sud", "clerk", "analyst"):
            collection = ("patients_anonymized_view" if user == "analyst" else "patients")
            for document in clients[user].healthcare_db[collection].find():
                assert bytes(ours) not in bson.encode(document)
    finally:
        direct.healthcare_db.patients.update_one(
            {"_id": key}, {"$set": {"metadata.source": "csv",
                                    "medical_info.test_results": "Normal"}})


def test_hidden_field_is_nobodys(loaded, clients, direct):
    assert "__mw" in direct.healthcare_db.patients.find_one()
    assert "__mw" not in loaded.find_one()
    refuses(lambda: list(loaded.find({}, {"__mw": 1}).limit(1)))
    refuses(loaded.update_one, {}, {"$set": {"__mw.s": "x"}})
    refuses(loaded.insert_one, {**patient("X", "H-SUD"), "__mw": {"s": "x"}})


def test_updates_are_sealed(clients, loaded, direct):
    key = loaded.insert_one(patient("Before", "H-SUD")).inserted_id
    loaded_api = clients.patients("api")
    loaded_api.update_one({"_id": key}, {"$set": {"administrative_info.doctor": "Dr. New"}})
    stored = direct.healthcare_db.patients.find_one({"_id": key})
    assert stored["administrative_info"]["doctor"].subtype == 6
    assert loaded.find_one({"administrative_info.doctor": "Dr. New"})["_id"] == key
    changed = loaded_api.find_one_and_update(
        {"_id": key}, {"$set": {"medical_info.condition": "Cancer"}},
        return_document=pymongo.ReturnDocument.AFTER)
    assert changed["personal_info"]["name"] == "Before" and "__mw" not in changed
    loaded.delete_one({"_id": key})

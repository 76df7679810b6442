"""Documents of two collections, and their twins: the same through a grant, different beneath it.

`HIDDEN` says by hand, for each user of the twin policy, what the grant hides of a document and
which other values look the same through it.  It is written from the policy's text and shares
no code with the program: that is what makes the comparison a proof.
"""

import copy
import datetime
import hashlib
import math

from bson import Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.binary import Binary

UTC = datetime.timezone.utc
GONE = object()

NAMES = ["Ada Durand", "Bruno Petit", "Chloé Moreau", "Denis Roux", "Emma Blanc", "Ève Ñandú",
         "Farid Benali", "Gaëlle Roy", "Hugo Lévy", "Inès Faure", "Jean Girard", "Karim Haddad"]
DOCTORS = ["Dr. Who", "Dr. No", "Dr. House", "Dr. Grey"]
CONDITIONS = ["Arthritis", "Asthma", "Cancer", "Diabetes", "Hypertension", "Obesity"]
DRUGS = ["Aspirin", "Ibuprofen", "Lipitor", "Paracetamol", "Penicillin"]
RESULTS = ["Abnormal", "Inconclusive", "Normal"]
INSURERS = ["Aetna", "Blue Cross", "Cigna", "Medicare"]
ADMISSIONS = ["Elective", "Emergency", "Urgent"]
HOSPITALS = ["H-NORD", "H-SUD", "H-EST"]
WARDS = ["W1", "W2", "W3"]
KINDS = ["scan", "blood", "x-ray", "talk"]
TAGS = ["urgent", "repeat", "night", "child", "fasting"]
BLOOD = ["A+", "A-", "B+", "O+", "O-", "AB+"]
STRANGE = ["", "285057800608436", "Ada", "H-NORD", 0, -1, 5, 41, 18420.5, 1e300, math.inf,
           Int64(1 << 40), True, False, None, [], [1, 2], ["Asthma"], [[3]], [{"a": 1}], {},
           {"a": 1}, {"$a": 1}, {"x": {"y": [1]}}, ObjectId("65a1b2c3d4e5f60718293a4b"),
           datetime.datetime(2023, 5, 1, tzinfo=UTC), Decimal128("12.5"), Binary(b"abc"),
           Regex("a+"), Timestamp(5, 1)]


def day(rng, year=None):
    year = year or rng.randint(2019, 2024)
    return datetime.datetime(year, rng.randint(1, 12), rng.randint(1, 28), tzinfo=UTC)


def strange(rng):
    return copy.deepcopy(rng.choice(STRANGE))


def sometimes(rng, document, path, share, value):
    """In a few documents a field is missing, null, or something else than it should be."""
    if rng.random() < share:
        put(document, path, value)


def patient(rng, number):
    document = {
        "_id": ObjectId(hashlib.sha256(b"patient %d" % number).digest()[:12]),
        "personal_info": {
            "name": rng.choice(NAMES), "age": rng.randint(0, 95),
            "gender": rng.choice(["Female", "Male"]), "blood_type": rng.choice(BLOOD),
            "ssn": "%015d" % rng.randrange(10 ** 15)},
        "medical_info": {
            "condition": rng.choice(CONDITIONS), "medication": rng.choice(DRUGS),
            "test_results": rng.choice(RESULTS)},
        "admission_info": {
            "date_admission": day(rng), "date_discharge": day(rng),
            "duration_days": rng.randint(1, 40), "admission_type": rng.choice(ADMISSIONS),
            "room_number": rng.randint(100, 140)},
        "administrative_info": {
            "doctor": rng.choice(DOCTORS), "hospital": rng.choice(HOSPITALS),
            "insurance_provider": rng.choice(INSURERS),
            "billing_amount": rng.choice([rng.randint(-500, 60000), rng.uniform(0, 60000)])},
        "metadata": {"source": rng.choice(["csv", "form"]), "migration_version": "1.0",
                     "created_at": day(rng)},
    }
    if rng.random() < 0.5:
        document["medical_info"]["tests"] = [
            {"code": rng.choice(KINDS), "value": rng.randint(0, 9)}
            for _ in range(rng.randint(0, 3))]
    if rng.random() < 0.4:
        document["notes"] = strange(rng)
    sometimes(rng, document, "personal_info.ssn", 0.1, GONE)
    sometimes(rng, document, "medical_info.condition", 0.1, rng.choice([GONE, None, 5]))
    sometimes(rng, document, "personal_info.age", 0.1, rng.choice([GONE, None, "old", 41.5]))
    sometimes(rng, document, "administrative_info.billing_amount", 0.1,
              rng.choice([GONE, None, "free", Int64(30000)]))
    return document


def visit(rng, number, patients):
    return {
        "_id": number,
        "patient": rng.choice(patients)["_id"] if patients and rng.random() < 0.9 else None,
        "kind": rng.choice(KINDS),
        "ward": rng.choice(WARDS),
        "score": rng.choice([rng.randint(0, 50), rng.uniform(0, 50), None]),
        "cost": rng.choice([rng.randint(0, 2000), rng.uniform(0, 2000)]),
        "at": day(rng),
        "nurse": rng.choice(["Paul", "Pia", "Zoé", "Ann"]),
        "badge": rng.choice(["B%d" % rng.randint(1, 6), rng.randint(1, 4)]),
        "tags": rng.sample(TAGS, rng.randint(0, 3)),
        "exam": {"result": rng.choice(RESULTS), "value": rng.randint(0, 20),
                 "items": [{"code": rng.choice(KINDS), "qty": rng.randint(1, 4),
                            "price": rng.randint(1, 90)} for _ in range(rng.randint(0, 3))]},
        **({"secret": strange(rng)} if rng.random() < 0.5 else {}),
    }


def base(rng, size):
    """Collection: documents, as the first world has them."""
    patients = [patient(rng, n) for n in range(size)]
    return {"patients": patients, "visits": [visit(rng, n, patients) for n in range(size)]}


# ---------------------------------------------------------------- paths of documents

def get(document, path):
    for part in path.split("."):
        if not isinstance(document, dict) or part not in document:
            return GONE
        document = document[part]
    return document


def put(document, path, value):
    *above, last = path.split(".")
    for part in above:
        document = document.get(part)
        if not isinstance(document, dict):
            return
    if value is GONE:
        document.pop(last, None)
    else:
        document[last] = value


# ------------------------------------------------- other values that look the same

def other(rng, _):
    """Of a field that is not there for the role: anything, or nothing."""
    return GONE if rng.random() < 0.3 else strange(rng)


def other_text(rng, _):
    """The same for a field that the policy gives a type: the store takes nothing else."""
    return GONE if rng.random() < 0.2 else rng.choice(NAMES + DOCTORS)


def other_number(rng, value):
    if value is GONE:
        return "%015d" % rng.randrange(10 ** 15) if rng.random() < 0.5 else GONE
    return GONE if rng.random() < 0.2 else "%015d" % rng.randrange(10 ** 15)


def constant(rng, value):
    """A constant hides all but that there is a value; a list shows how many it has."""
    if value is GONE or isinstance(value, list):
        return value
    while isinstance(found := strange(rng), list):
        pass
    return found


def partial(first, last):
    def vary(rng, value):
        if not isinstance(value, str):
            return value
        if first + last >= len(value):
            return "".join(rng.choice("abcXYZ019é") for _ in value)
        middle = "".join(rng.choice("0123456789") for _ in value[first:len(value) - last])
        return value[:first] + middle + value[len(value) - last:]
    return vary


def no_number(value):
    return isinstance(value, bool) or not isinstance(value, (int, float))


def masked_to_null(rng, value):
    """What a mask of numbers makes nothing of becomes null, whatever it was."""
    if value is GONE or isinstance(value, (list, Decimal128)):
        return value
    return rng.choice([None, "x", "old", True, day(rng)])


def bands(*edges):
    def vary(rng, value):
        if no_number(value):
            return masked_to_null(rng, value)
        limits = [-1000, *edges, max(edges) * 3]
        for low, high in zip(limits, limits[1:]):
            if low <= value < high:
                return rng.choice([rng.randint(low, high - 1), rng.uniform(low, high - 0.01)])
        return value
    return vary


def rounded(to):
    def vary(rng, value):
        if no_number(value):
            return masked_to_null(rng, value)
        if not math.isfinite(value):
            return value
        middle = round(value / to) * to
        if isinstance(value, Int64):
            return Int64(middle + rng.randint(-(to // 2) + 1, to // 2 - 1))
        if isinstance(value, int):
            return middle + rng.randint(-(to // 2) + 1, to // 2 - 1)
        return middle + rng.uniform(-0.49, 0.49) * to
    return vary


def truncated(unit):
    def vary(rng, value):
        if not isinstance(value, datetime.datetime):
            return value if value is GONE or isinstance(value, list) else rng.choice([None, "x", 5])
        month = rng.randint(1, 12) if unit == "year" else value.month
        return value.replace(month=month, day=rng.randint(1, 28), hour=rng.randint(0, 23),
                             minute=rng.randint(0, 59))
    return vary


def prices(rng, value):
    """The price within each item of a list."""
    if isinstance(value, list):
        for item in value:
            item["price"] = rng.choice([rng.randint(0, 999), "dear", None])
    return value


def no_prices(rng, value):
    if isinstance(value, list):
        for item in value:
            put(item, "price", other(rng, None))
    return value


BILLING = {"administrative_info.billing_amount": other, "administrative_info.items": other,
           "administrative_info.doctor": other_text,
           "administrative_info.insurance_provider": other}
UNLISTED = {"notes": other, "extra": other}
DEMOGRAPHIC = {"personal_info.age": other, "personal_info.gender": other,
               "personal_info.blood_type": other}
ADMISSION = {f"admission_info.{name}": other for name in (
    "date_admission", "date_discharge", "duration_days", "admission_type", "room_number")}
MEDICAL = {f"medical_info.{name}": other
           for name in ("condition", "medication", "test_results", "tests")}
METADATA = {f"metadata.{name}": other
            for name in ("source", "created_at", "migration_version", "owner")}
SSN = {"personal_info.ssn": other_number}
NAME = {"personal_info.name": other_text}

# user: collection: (whether the row is in the grant, path: variation)
HIDDEN = {
    "doctor": {
        "patients": (lambda d: get(d, "administrative_info.hospital") == "H-NORD", {
            "personal_info.ssn": partial(0, 4), **BILLING, **UNLISTED}),
    },
    "clerk": {
        "patients": (lambda d: True, {**DEMOGRAPHIC, **MEDICAL, **ADMISSION, **UNLISTED,
                                      "administrative_info.doctor": other_text}),
    },
    "analyst": {
        "patients": (lambda d: True, {
            "personal_info.age": bands(18, 30, 50, 65),
            "medical_info.test_results": other, "medical_info.tests": other,
            "admission_info.date_admission": truncated("year"),
            "admission_info.date_discharge": other, "admission_info.room_number": other,
            "admission_info.duration_days": rounded(5),
            "administrative_info.doctor": other_text,
            "administrative_info.billing_amount": bands(10000, 25000, 50000),
            **METADATA, **UNLISTED}),
    },
    "masked": {
        "patients": (lambda d: get(d, "administrative_info.hospital") == "H-NORD", {
            "personal_info.age": bands(18, 30, 50, 65),
            "personal_info.ssn": partial(0, 4),
            "personal_info.blood_type": other,
            "medical_info.test_results": constant,
            "admission_info.date_admission": truncated("year"),
            "admission_info.duration_days": rounded(5),
            "admission_info.date_discharge": other, "admission_info.room_number": other,
            "admission_info.admission_type": other,
            "administrative_info.doctor": other_text,
            "administrative_info.billing_amount": rounded(1000),
            "administrative_info.items": other,
            **UNLISTED}),
        "visits": (lambda d: d["ward"] == "W1", {
            "score": bands(10, 20, 40), "cost": rounded(100), "at": truncated("month"),
            "nurse": partial(1, 0), "exam.items": prices, "secret": other, "extra": other}),
    },
    "researcher": {
        "patients": (lambda d: True, {
            "_id": lambda rng, value: ObjectId(bytes(rng.randrange(256) for _ in range(12))),
            **NAME, **SSN, **ADMISSION, **BILLING, **METADATA, **UNLISTED,
            "administrative_info.hospital": other_text}),
        "visits": (lambda d: True, {
            "cost": other, "at": other, "nurse": other, "badge": other, "exam.items": no_prices,
            "secret": other, "extra": other}),
    },
    "sealed": {
        "patients": (lambda d: True, {**MEDICAL, **ADMISSION, **BILLING, **UNLISTED}),
    },
    "outsider": {
        "patients": (lambda d: False, {}),
        "visits": (lambda d: False, {}),
    },
}


def twin(rng, document, variations):
    made = copy.deepcopy(document)
    for path, vary in variations.items():
        put(made, path, vary(rng, get(made, path)))
    return made


def strangers(rng, collection, user, count, patients):
    """Rows that the grant hides: other ones in each world."""
    shown, _ = HIDDEN[user][collection]
    found = []
    while len(found) < count:
        number = 1000 + rng.randrange(10 ** 6)
        document = (patient(rng, number) if collection == "patients"
                    else visit(rng, number, patients))
        if not shown(document):
            found.append(document)
    return found


def twins(rng, documents, user):
    """The same collections as the second world has them, for one user."""
    made = {}
    for collection, list_ in documents.items():
        if collection not in HIDDEN[user]:
            made[collection] = copy.deepcopy(list_)
            continue
        shown, variations = HIDDEN[user][collection]
        rows = [twin(rng, d, variations) for d in list_ if shown(d)]
        hides_rows = len(rows) < len(list_)
        for document in strangers(rng, collection, user, rng.randint(0, len(list_)),
                                  documents["patients"]) if hides_rows else []:
            rows.insert(rng.randint(0, len(rows)), document)
        made[collection] = rows
    return made

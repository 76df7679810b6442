"""What a doctor, an analyst and a billing clerk reasonably ask under the policy that we ship:
all of it is answered, and with what the same command says of the documents as the role sees them.
"""

import datetime
import json
import subprocess
import sys

import bson
import pytest
from bson import json_util
from pymongo.errors import OperationFailure

import conftest
from conftest import Clients
from harness import ROOT, Proxy

sys.path.insert(0, str(ROOT / "scripts"))

import demo  # noqa: E402

ROWS = 1500
FOLDER = ROOT / "tests/policy/utility"
SEEN = "seen_db"
DATABASE = "healthcare_db"


def without(document, *paths):
    left = json_util.loads(json_util.dumps(document))
    for path in paths:
        holder = left
        *above, last = path.split(".")
        for name in above:
            holder = holder.get(name, {})
        holder.pop(last, None)
    return left


def as_doctor(document, hospital):
    if document["administrative_info"]["hospital"] != hospital:
        return None
    seen = without(document)
    seen["administrative_info"] = {"hospital": hospital}
    ssn = seen["personal_info"]["ssn"]
    seen["personal_info"]["ssn"] = "*" * (len(ssn) - 4) + ssn[-4:]
    return seen


def as_clerk(document, _):
    seen = without(document, "medical_info", "admission_info", "administrative_info.doctor")
    seen["personal_info"] = {k: seen["personal_info"][k] for k in ("name", "ssn")}
    return seen


def band(value, edges, labels):
    return labels[sum(value >= edge for edge in edges)]


def as_analyst(document, _):
    person, medical = document["personal_info"], document["medical_info"]
    stay, bill = document["admission_info"], document["administrative_info"]
    return {
        "age_range": band(person["age"], [18, 30, 50, 65],
                          ["0-17", "18-29", "30-49", "50-64", "65+"]),
        "gender": person["gender"],
        "medical_condition": medical["condition"],
        "medication": medical["medication"],
        "admission_type": stay["admission_type"],
        "admission_year": datetime.datetime(stay["date_admission"].year, 1, 1),
        "duration_days": round(stay["duration_days"] / 5) * 5,
        "insurance_provider": bill["insurance_provider"],
        "billing_range": band(bill["billing_amount"], [10000, 25000, 50000],
                              ["<10K", "10K-25K", "25K-50K", "50K+"]),
    }


ROLES = {"doctor": as_doctor, "analyst": as_analyst, "clerk": as_clerk}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, upstream):
    conftest.wipe(upstream)
    proxy = Proxy(tmp_path_factory.mktemp("utility") / "mongoward", upstream.uri).init()
    proxy.command("key", "create", "--missing")
    yield proxy
    conftest.finish(proxy)


@pytest.fixture(scope="module")
def hospital(proxy, upstream, tmp_path_factory):
    """Fills the database through the proxy, and beside it what each role sees of it."""
    file = tmp_path_factory.mktemp("patients") / "patients.csv"
    subprocess.run([sys.executable, ROOT / "tests/data/make_patients.py", "--identifiers",
                    "--rows", str(ROWS), "--out", file], check=True, capture_output=True)
    _, documents = demo.read_patients(file)
    # Large hospitals, so that every question has an answer.
    for number, document in enumerate(documents):
        document["_id"] = bson.ObjectId()
        document["administrative_info"]["hospital"] = f"H-{number % 3}"
    proxy.add_users({"import-job": (["import"], {}, None),
                     "doctor": (["doctor"], {"hospital": "H-1"}, None),
                     "analyst": (["analyst"], {}, None),
                     "clerk": (["billing"], {}, "payment")})
    proxy.start()
    clients, direct = Clients(proxy), upstream.client()
    direct.drop_database(SEEN)
    clients.patients("import-job").insert_many([dict(d) for d in documents])
    for role, show in ROLES.items():
        seen = [s for s in (show(d, "H-1") for d in documents) if s]
        direct[SEEN][role].insert_many(seen)
    mine = [d for d in documents if d["administrative_info"]["hospital"] == "H-1"]
    words = {"$NAME": mine[0]["personal_info"]["name"], "$HOSPITAL": "H-1",
             "$OTHER": documents[0]["personal_info"]["name"]}
    yield clients, direct, words
    direct.drop_database(SEEN)
    direct.close()
    clients.close()


def fill_in(value, words):
    if isinstance(value, dict):
        return {k: fill_in(v, words) for k, v in value.items()}
    if isinstance(value, list):
        return [fill_in(v, words) for v in value]
    return words.get(value, value) if isinstance(value, str) else value


def at(command, collection):
    """The command on another collection, in $lookup, too."""
    moved = json_util.loads(json_util.dumps(command))
    moved[next(iter(moved))] = collection
    for stage in moved.get("pipeline", []):
        if "$lookup" in stage:
            stage["$lookup"]["from"] = collection
    return moved


def answer(database, command):
    try:
        reply = database.command(command)
    except OperationFailure as error:
        return str(error.details["errmsg"])
    if "cursor" not in reply:
        return reply.get("values", reply.get("n"))
    rows, cursor = list(reply["cursor"]["firstBatch"]), reply["cursor"]["id"]
    while cursor:
        reply = database.command({"getMore": cursor, "collection": command[next(iter(command))]})
        rows += reply["cursor"]["nextBatch"]
        cursor = reply["cursor"]["id"]
    return rows


def essence(rows, role):
    """What can be compared: rows in any order, numbers as far as sums in another order agree."""
    def plain(value):
        if isinstance(value, float):
            return round(value, 6)
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()
                    if k != "patient_id" and not (role == "analyst" and isinstance(
                        v, bson.ObjectId))}
        return [plain(v) for v in value] if isinstance(value, list) else value
    if not isinstance(rows, list):
        return rows
    return sorted(json_util.dumps(plain(row), sort_keys=True) for row in rows)


@pytest.mark.parametrize("role", ROLES)
def test_all_is_answered(hospital, role):
    clients, direct, words = hospital
    asked = json_util.loads((FOLDER / f"{role}.json").read_text())
    assert len(asked) > 10
    unanswered = []
    for q in asked:
        command = fill_in(q["command"], words)
        told = essence(answer(clients[role][DATABASE], command), role)
        truth = essence(answer(direct[SEEN], at(command, role)), role)
        if told != truth or isinstance(told, str):
            unanswered.append((q["question"], told[:2] if told else told,
                               truth[:2] if truth else truth))
    assert not unanswered, json.dumps(unanswered, indent=1, default=str)

"""`mongoward policy explain`: what becomes of one command, told without a database."""

import json

import pytest

import harness
from harness import ROOT, run

FOLDER = ROOT / "policies/hospital"
FIND = {"find": "patients", "$db": "healthcare_db", "filter": {"personal_info.name": "Ada"}}


def explain(command, *words, expect=0, stdin=None, folder=FOLDER):
    text = command if isinstance(command, str) else json.dumps(command)
    return run([harness.PROGRAM, "policy", "explain", folder, "--command", text, *words],
               expect=expect, stdin=stdin)


def told(command, *words, expect=0):
    return json.loads(explain(command, "--json", *words, expect=expect))


def test_a_find_as_it_is():
    found = told(FIND, "--as", "doctor", "--attr", "hospital=H-NORD")
    assert (found["verdict"], found["way"]) == ("allowed", "native")
    assert found["rule"] == "roles.doctor.grants[0]" and found["names_subjects"]
    rows, own = found["sent"]["filter"]["$and"]
    assert rows == found["rows"] and "H-NORD" in json.dumps(rows)
    assert own == {"personal_info.name": "<encrypted: personal_info.name>"}
    shown = {s["path"]: (s["class"], s["as"]) for s in found["shows"]}
    assert shown["personal_info.ssn"] == ("identity", "partial")
    assert shown["administrative_info"] == ("billing", "not shown")


def test_behind_the_barrier():
    view = {"count": "patients_anonymized_view", "$db": "healthcare_db",
            "query": {"age_range": "65+"}}
    found = told(view, "--as", "analyst")
    assert found["way"] == "barrier" and found["sent"]["aggregate"] == "patients"
    assert {"$match": {"age_range": "65+"}} in found["sent"]["pipeline"]
    assert not found["names_subjects"]
    facet = {"aggregate": "patients", "$db": "healthcare_db", "cursor": {},
             "pipeline": [{"$facet": {"n": [{"$count": "n"}]}}]}
    assert told(facet, "--as", "doctor", "--attr", "hospital=X")["names_subjects"]


def test_a_walk_is_held_to_the_rows():
    """$graphLookup as it is sent: of the role's rows, and what it found read again."""
    walk = {"from": "patients", "startWith": "$_id", "connectFromField": "metadata.parent",
            "connectToField": "_id", "as": "family",
            "restrictSearchWithMatch": {"personal_info.name": "Ada"}}
    found = told({"aggregate": "patients", "$db": "healthcare_db", "cursor": {},
                  "pipeline": [{"$graphLookup": walk}]}, "--as", "doctor",
                 "--attr", "hospital=H-NORD")
    joined = found["sent"]["pipeline"][-1]["$unionWith"]["pipeline"]
    at = next(n for n, stage in enumerate(joined) if "$graphLookup" in stage)
    sent, ids, read, gone = joined[at:at + 4]
    rows, own = sent["$graphLookup"]["restrictSearchWithMatch"]["$and"]
    assert rows == found["rows"]
    assert own == {"personal_info.name": "<encrypted: personal_info.name>"}
    assert ids == {"$addFields": {"__mw": {"$map": {"input": "$family", "in": "$$this._id"}}}}
    assert read["$lookup"]["pipeline"][0] == {"$match": rows}
    assert (read["$lookup"]["localField"], read["$lookup"]["as"]) == ("__mw", "family")
    assert gone == {"$unset": "__mw"}
    assert found["sent"]["collation"] == {"locale": "simple"}


def test_refusals_say_why():
    found = told(FIND, "--as", "analyst", expect=1)
    assert found["verdict"] == "refused" and found["code"] == 13
    found = told({**FIND, "sort": {"personal_info.ssn": 1}}, "--as", "doctor", "--attr",
                 "hospital=X", expect=1)
    assert "personal_info.ssn" in found["error"] and found["rule"] == "roles.doctor.grants[0]"
    assert told(FIND, "--as", "doctor", expect=1)["code"] == 13  # no hospital, no rows
    assert told(FIND, "--as", "billing", expect=1)["code"] == 13
    assert told(FIND, "--as", "billing", "--purpose", "payment")["verdict"] == "allowed"


def test_text_fits_the_screen():
    for command in (FIND, {"aggregate": "patients", "$db": "healthcare_db", "cursor": {},
                           "pipeline": [{"$sortByCount": "$medical_info.condition"}]}):
        text = explain(command, "--as", "doctor", "--attr", "hospital=H-NORD")
        assert "roles.doctor.grants[0]" in text and "H-NORD" in text
        # The grant's line holds the path of a file.
        assert all(len(line) <= 80 for line in text.splitlines() if "roles.yaml" not in line)
    assert "Unauthorized" in explain(FIND, "--as", "analyst", expect=1)


def test_the_command_from_standard_input():
    assert "allowed" in explain("-", "--as", "import", stdin=json.dumps(FIND))


@pytest.mark.parametrize("words,what", [
    (["--as", "nobody"], "no role"), ([], "--as"), (["--as", "doctor", "--attr", "x"], "NAME=VALUE"),
])
def test_bad_usage(words, what):
    done = run([harness.PROGRAM, "policy", "explain", FOLDER, "--command", "{}", *words], expect=2)
    assert done == "" and what


def test_bad_json():
    assert explain("{", "--as", "doctor", expect=2) == ""

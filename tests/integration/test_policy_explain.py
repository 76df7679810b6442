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


def told_of(folder, command, *words, expect=0):
    return json.loads(run([harness.PROGRAM, "policy", "explain", folder, "--json", "--command",
                           json.dumps(command), *words], expect=expect))


POLICY = """mongoward: 1
classes: {identity: {}, medical: {}}
collections:
  clinic.cases:
    fields:
      name:    {class: identity, type: string}
      born:    {class: identity, type: date}
      age:     {class: medical}
      weight:  {class: medical}
      ward:    {class: technical, type: string}
relations: {team: {from: clinic.team, where: {user: "${user.id}"}, gives: ward}}
roles:
  nurse:
    grants:
      - namespace: clinic.cases
        do: [read]
        rows: {ward: {$in: "${team}"}}
        see:
          name: {mask: partial, keep_first: 2, keep_last: 1}
          born: {mask: truncate, to: month}
          age: {mask: bands, edges: [18, 65]}
          weight: {mask: round, to: 5}
          technical: {mask: constant, value: W}
      - {namespace: clinic.cases, do: [read], purpose: [research], see: {medical: plaintext}}
      - {namespace: clinic.cases, do: [update], change: [medical]}
      - {namespace: clinic.cases, do: [read], mode: observe, see: {medical: plaintext}}
  wide: {grants: [{namespace: clinic.cases, do: [read], see: {"*": plaintext}}, {namespace: clinic.cases, do: [read], see: {medical: plaintext}}]}
  late: {until: "2001-01-01", grants: [{namespace: clinic.cases, do: [read], see: {"*": plaintext}}]}
"""
CASES = {"find": "cases", "$db": "clinic"}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clinic")
    (folder / "p.yaml").write_text(POLICY)
    return folder


def test_what_masks_leave(clinic):
    found = told_of(clinic, CASES, "--as", "nurse", "--list", "team=W1,W2")
    assert found["rows"] == {"ward": {"$in": ["W1", "W2"]}}
    assert {s["path"]: s.get("mask") for s in found["shows"]} == {
        "name": "keeps the first 2 and the last 1 characters", "born": "to the first instant of the month",
        "age": "one of <18, 18-64, 65+", "weight": "to a multiple of 5", "ward": 'always "W"'}
    text = run([harness.PROGRAM, "policy", "explain", clinic, "--as", "nurse", "--list", "team=W1",
                "--command", json.dumps(CASES)])
    assert "keeps the first 2 and the last 1 characters" in text
    assert all(len(line) <= 80 for line in text.splitlines() if "p.yaml" not in line)


def test_why_others_did_not_decide(clinic):
    found = told_of(clinic, CASES, "--as", "nurse", "--list", "team=[]")
    assert {o["rule"][-2]: o["why"] for o in found["others"]} == {
        "1": "other_purpose", "2": "other_actions", "3": "observed"}
    assert [o["line"] for o in found["others"]] == [24, 25, 26]
    found = told_of(clinic, CASES, "--as", "wide")
    assert [(o["rule"], o["why"]) for o in found["others"]] == [("roles.wide.grants[1]", "narrower")]
    found = told_of(clinic, CASES, "--as", "late", expect=1)
    assert [o["why"] for o in found["others"]] == ["role_unusable"]
    found = told_of(clinic, CASES, "--as", "nurse", "--observe")
    assert {o["rule"][-2]: o["why"] for o in found["others"]} == {
        "0": "replaced", "1": "replaced", "2": "replaced"}


def test_two_of_which_none_is_wider(clinic):
    found = told_of(clinic, CASES, "--as", "nurse", "--purpose", "research", "--list", "team=W1", expect=1)
    assert {o["rule"][-2]: o["why"] for o in found["others"]} == {
        "0": "unordered", "1": "unordered", "2": "other_actions", "3": "observed"}


@pytest.mark.parametrize("words", [["--list", "team"], ["--list", "tem=W1"], ["--list", "team=[1"],
                                   ["--list", "team=A", "--list", "team=B"]])
def test_bad_lists(clinic, words):
    told = run([harness.PROGRAM, "policy", "explain", clinic, "--as", "nurse", "--command",
                json.dumps(CASES), *words], expect=2)
    assert told == ""

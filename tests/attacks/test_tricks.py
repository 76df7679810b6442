"""Attacks of several steps, and of bytes that no driver makes."""

import copy
import json
import shutil
import time
import uuid

import bson
import pytest
from bson import Binary, Int64, ObjectId

import wire
from conftest import DATABASE, PLAIN
from harness import PROGRAM, password_of, run
from worlds import Connection, is_refusal

TARGET = ObjectId("0123456789abcdef01234567")
MASKED = ["doctor", "clerk", "masked", "researcher", "sealed", "analyst", "outsider"]


def text(value):
    raw = value.encode() + b"\0"
    return len(raw).to_bytes(4, "little") + raw


def inner(*elements):
    return wire.raw_document(*elements)


def string(name, value):
    return wire.element(2, name, text(value))


def document(name, *elements):
    return wire.element(3, name, inner(*elements))


def array(name, *documents):
    return wire.element(4, name, inner(*(
        wire.element(3, str(i), d) for i, d in enumerate(documents))))


def number(name, value):
    return wire.element(16, name, value.to_bytes(4, "little", signed=True))


def aggregate_bytes(*stages, db=DATABASE):
    return inner(string("aggregate", "patients"), array("pipeline", *stages),
                 document("cursor"), string("$db", db))


# ------------------------------------------------------------------ names that stand twice

HIDDEN_FILTER = bson.encode({"administrative_info.billing_amount": {"$gt": 18000}})
TWICE = {
    "a filter": lambda db: inner(
        string("find", "patients"), document("filter"), wire.element(3, "filter", HIDDEN_FILTER),
        string("$db", db)),
    "a collection": lambda db: inner(
        string("find", "visits"), string("find", "patients"), string("$db", db)),
    "a database": lambda db: inner(
        string("find", "patients"), string("$db", "other_db"), string("$db", db)),
    "a pipeline": lambda db: inner(
        string("aggregate", "patients"), array("pipeline"),
        array("pipeline", bson.encode({"$match": bson.decode(HIDDEN_FILTER)})),
        document("cursor"), string("$db", db)),
    "a stage beside a stage": lambda db: aggregate_bytes(
        inner(number("$limit", 100), wire.element(3, "$match", HIDDEN_FILTER)), db=db),
    "the path of $unwind": lambda db: aggregate_bytes(
        inner(document("$unwind", string("path", "$metadata.source"),
                       string("path", "$administrative_info.items"))),
        bson.encode({"$count": "n"}), db=db),
    "an accumulator beside an accumulator": lambda db: aggregate_bytes(
        inner(document("$group", wire.element(10, "_id", b""),
                       document("n", number("$sum", 1),
                                string("$max", "$administrative_info.billing_amount")))), db=db),
    "an accumulator's name": lambda db: aggregate_bytes(
        inner(document("$group", wire.element(10, "_id", b""),
                       document("n", number("$sum", 1)),
                       document("n", string("$max", "$administrative_info.billing_amount")))),
        db=db),
    "the key of a group": lambda db: aggregate_bytes(
        inner(document("$group", wire.element(10, "_id", b""),
                       string("_id", "$administrative_info.billing_amount"))), db=db),
    "an operator in a filter": lambda db: inner(
        string("count", "patients"),
        document("query", document("metadata.source", string("$eq", "csv"),
                                   wire.element(3, "$not", bson.encode({"$type": "number"}))),
                 wire.element(3, "administrative_info.billing_amount",
                              bson.encode({"$gt": 18000}))), string("$db", db)),
    "a path in a filter": lambda db: inner(
        string("count", "patients"),
        document("query", string("metadata.source", "csv"),
                 wire.element(3, "metadata.source", bson.encode({"$exists": True})),
                 wire.element(3, "notes", bson.encode({"$exists": True})),
                 wire.element(3, "notes", bson.encode({"$exists": False}))), string("$db", db)),
    "a path in a projection": lambda db: inner(
        string("find", "patients"),
        document("projection", number("x", 1), string("x", "$personal_info.ssn")),
        string("$db", db)),
    "$slice beside a field": lambda db: inner(
        string("find", "patients"),
        document("projection", document("medical_info.tests", number("$slice", 1),
                                        string("y", "$notes"))), string("$db", db)),
    "$elemMatch beside a field": lambda db: inner(
        string("find", "patients"),
        document("projection", document("medical_info.tests", document("$elemMatch"),
                                        string("y", "$notes"))), string("$db", db)),
    "an operator behind a field": lambda db: aggregate_bytes(
        inner(document("$project", document("x", number("a", 1),
                                            wire.element(3, "$getField", bson.encode(
                                                {"field": "notes", "input": "$$ROOT"}))))),
        db=db),
    "a target of $convert": lambda db: aggregate_bytes(
        inner(document("$project", document("x", document(
            "$convert", string("input", "$metadata.source"), string("to", "string"),
            string("to", "binData"))))), db=db),
    "a session's id": lambda db: inner(
        string("find", "patients"),
        document("lsid", wire.element(5, "id", b"\x10\0\0\0\4" + bytes(16)),
                 wire.element(5, "id", b"\x10\0\0\0\4" + b"x" * 16)), string("$db", db)),
}


@pytest.mark.parametrize("what", TWICE, ids=lambda w: w.replace(" ", "-"))
def test_what_stands_twice(arena, what):
    """Two readers may take different ones: whichever the database takes, nothing is learned."""
    arena.enter("doctor")
    arena.must_agree("doctor", TWICE[what](DATABASE))


def test_the_same_field_as_a_section(arena):
    arena.enter("doctor")
    body = {"find": "patients", "filter": {}, "$db": DATABASE}
    for name, value in (("filter", bson.decode(HIDDEN_FILTER)), ("sort", {"notes": 1}),
                        ("projection", {"x": "$notes"}), ("pipeline", {"$match": {"notes": 1}})):
        answer = arena.must_agree("doctor", body, wire.sequence(name, value))
        assert not answer.ok or b"HIV" not in answer.raw
    answer = arena.must_agree(
        "doctor", {"aggregate": "patients", "cursor": {}, "$db": DATABASE},
        wire.sequence("pipeline", {"$match": bson.decode(HIDDEN_FILTER)}))
    assert not answer.ok


@pytest.mark.parametrize("opcode", [wire.OP_QUERY, wire.OP_GET_MORE, wire.OP_COMPRESSED])
def test_older_opcodes(arena, opcode):
    arena.enter("doctor")
    payload = (b"\0\0\0\0healthcare_db.patients\0" + b"\0\0\0\0\0\0\0\0" + bson.encode({}))
    for world in arena.worlds:
        with Connection(world.proxy, "doctor", password_of("doctor")) as client:
            client.send(wire.frame(opcode, payload))
            answer = client.ended()
            assert answer is True or answer.get("ok") != 1


# ------------------------------------------------------------------------------ ciphertext

def stolen(arena):
    document = arena.worlds[0].direct[DATABASE].patients.find_one({"_id": TARGET})
    return document["personal_info"]["name"], document["personal_info"]["ssn"]


@pytest.mark.parametrize("user", MASKED)
def test_stolen_ciphertext_does_not_come_back_opened(arena, user):
    arena.enter(user)
    on = {"analyst": "patients_anonymized_view", "outsider": "things"}.get(user, "patients")
    db = "other_db" if user == "outsider" else DATABASE
    for value in stolen(arena):
        commands = [
            {"find": on, "filter": {"x": value}}, {"find": on, "filter": {"$expr": value}},
            {"find": on, "projection": {"x": {"$literal": value}}},
            {"find": on, "projection": {"x": value}}, {"find": on, "let": {"x": value}},
            {"find": on, "min": {"_id": value}}, {"find": on, "comment": {"x": value}},
            {"aggregate": 1, "pipeline": [{"$documents": [{"x": value}]}], "cursor": {}},
            {"aggregate": on, "pipeline": [{"$set": {"x": value}}], "cursor": {}},
            {"aggregate": on, "pipeline": [{"$project": {"x": {"$literal": value}}}],
             "cursor": {}},
            {"aggregate": on, "pipeline": [{"$group": {"_id": value}}], "cursor": {}},
            {"aggregate": on, "pipeline": [{"$unionWith": {
                "pipeline": [{"$documents": [{"x": value}]}]}}], "cursor": {}},
            {"aggregate": on, "pipeline": [], "cursor": {}, "let": {"x": value}},
            {"distinct": on, "key": "_id", "query": {"x": {"$in": [value]}}},
            {"count": on, "query": {"x": {"$elemMatch": {"y": value}}}},
            {"findAndModify": on, "query": {}, "update": {"$set": {"medical_info.x": value}}},
            {"findAndModify": on, "query": {}, "update": {"$unset": {"medical_info.x": 1}},
             "fields": {"x": {"$literal": value}}},
            {"update": on, "updates": [{"q": {}, "u": {"$set": {"medical_info.x": [value]}}}]},
            {"insert": on, "documents": [{"x": value}]},
            {"delete": on, "deletes": [{"q": {"x": value}, "limit": 1}]},
        ]
        for command in commands:
            for world in arena.worlds:
                answer = world.ask(user, {**command, "$db": db})
                assert is_refusal(answer), (command, answer.shown())
        inside = wire.sequence("documents", {"x": value})
        for world in arena.worlds:
            assert is_refusal(world.ask(user, {"insert": on, "$db": db}, inside))


def test_a_dictionary_of_ciphertext_is_no_policy(worlds, tmp_path):
    folder = tmp_path / "policy"
    shutil.copytree(worlds[0].proxy.folder / "policies/hospital", folder)
    (folder / "forger.yaml").write_text(
        "mongoward: 1\nroles:\n  forger:\n    grants: [{namespace: healthcare_db.patients, "
        "do: [read, insert], see: {identity: ciphertext}, change: [identity]}]\n")
    done = run([PROGRAM, "policy", "check", folder], expect=None)
    assert done.returncode != 0 and "dictionary" in done.stdout + done.stderr


def test_ciphertext_that_the_operator_moves(arena):
    """A value keeps the label of its field wherever the database's operator puts it."""
    for user in MASKED:
        arena.enter(user)
        for world in arena.worlds:
            sealed = world.direct[DATABASE].patients.find_one(
                {"personal_info.ssn": {"$exists": True}, "personal_info.name": {"$exists": True}}
            )["personal_info"]
            world.direct[DATABASE].patients.update_many({}, {"$set": {
                "medical_info.medication": sealed["ssn"], "metadata.source": sealed["name"],
                "medical_info.tests": [{"code": sealed["ssn"]}]}})
            for on in ("patients", "patients_anonymized_view"):
                raw = world.ask(user, {"find": on, "$db": DATABASE}).raw
                if user != "clerk":
                    assert b"285057800608436" not in raw
                if user not in ("doctor", "clerk"):
                    assert b"Ada Durand" not in raw
                if user != "sealed":
                    assert bytes(sealed["ssn"]) not in raw and bytes(sealed["name"]) not in raw


# ---------------------------------------------------------------------------------- order

def rows(world, user, command):
    return world.ask(user, command).document()["cursor"]["firstBatch"]


def test_natural_order_does_not_zip_names_with_a_view(arena):
    """Two lists of the same patients, each in its own order, must not fit line by line."""
    arena.enter("analyst")
    world = arena.worlds[0]
    stored = list(world.direct[PLAIN].patients.find())
    wanted = [(d["personal_info"]["gender"], d["medical_info"].get("medication")) for d in stored]
    zipped = list(world.direct[PLAIN].patients.find({}, {"_id": 0}))
    assert [(d["personal_info"]["gender"], d["medical_info"].get("medication"))
            for d in zipped] == wanted
    view = {"find": "patients_anonymized_view", "$db": DATABASE, "batchSize": 1000}
    for more in ({}, {"limit": 1000}, {"skip": 0}, {"sort": {"gender": 1}}, {"sort": {"_id": 1}},
                 {"filter": {"gender": {"$exists": True}}}):
        found = rows(world, "analyst", {**view, **more})
        assert len(found) == len(stored)
        assert [(r["gender"], r.get("medication")) for r in found] != wanted
    for more in ({"hint": {"$natural": 1}}, {"sort": {"$natural": 1}}, {"hint": "_id_"},
                 {"showRecordId": True}, {"returnKey": True},
                 {"min": {"_id": 1}, "hint": {"_id": 1}}):
        assert is_refusal(arena.must_agree("analyst", {**view, **more})), more


# ------------------------------------------------------------------------------ the record

def records(world, seq):
    return [r for r in world.proxy.records() if r["seq"] > seq and r["event"] == "access"]


@pytest.mark.parametrize("command", [
    {"find": "patients", "projection": {"personal_info.name": 1, "_id": 0}},
    {"find": "patients", "projection": {"medical_info.condition": 1, "_id": 0}},
    {"find": "patients", "projection": {"personal_info.ssn": 0, "_id": 0}},
    {"find": "patients", "projection": {"personal_info.0": 1, "medical_info": 1, "_id": 0}},
    {"find": "patients", "projection": {"medical_info.condition": {"$slice": 1}, "_id": 0}},
    {"aggregate": "patients", "cursor": {},
     "pipeline": [{"$project": {"x": "$personal_info.name", "_id": 0}}]},
    {"aggregate": "patients", "cursor": {}, "pipeline": [
        {"$project": {"medical_info": 1, "_id": 0}},
        {"$unwind": {"path": "$medical_info.condition", "includeArrayIndex": "__mw.q.a"}}]},
    {"aggregate": "patients", "cursor": {}, "pipeline": [
        {"$project": {"medical_info": 1, "__mw.q.a": {"$literal": "x"}}}]},
    {"aggregate": "patients", "cursor": {},
     "pipeline": [{"$group": {"_id": None, "x": {"$push": "$personal_info.name"}}}]},
    {"aggregate": "patients", "cursor": {},
     "pipeline": [{"$group": {"_id": "$medical_info.condition"}}]},
    {"distinct": "patients", "key": "personal_info.name"},
], ids=lambda c: json.dumps(c, default=str)[:90].replace(" ", ""))
def test_values_leave_with_the_names_of_their_patients(arena, command):
    """Whatever a projection leaves out, the record says whose values a doctor has read."""
    arena.enter("doctor")
    world = arena.worlds[0]
    everyone = records_of(world, {"find": "patients"})
    assert len(everyone) > 3
    answer = world.ask("doctor", {**command, "$db": DATABASE})
    if is_refusal(answer):
        return
    seen = records_of(world, command)
    if next(iter(command)) == "aggregate" and "$group" in str(command):
        assert not seen or seen == everyone
    elif "$unwind" in str(command):
        assert seen <= everyone and seen
    else:
        assert seen == everyone


def records_of(world, command):
    """Tokens of the patients that the record of one read names."""
    seq = world.proxy.records()[-1]["seq"]
    answer = world.ask("doctor", {**command, "$db": DATABASE})
    assert answer.ok, answer.shown()
    found = records(world, seq)
    return {token for r in found for token in r.get("subjects", [])}


def test_a_search_that_finds_nobody_is_recorded(arena):
    arena.enter("doctor")
    world = arena.worlds[0]
    seq = world.proxy.records()[-1]["seq"]
    for _ in range(2):
        rows(world, "doctor", {"find": "patients", "$db": DATABASE,
                               "filter": {"personal_info.name": "A Famous Actor"}})
    first, second = records(world, seq)
    assert first["searched"] and first["searched"] == second["searched"]
    assert "Famous" not in json.dumps(first)


def test_names_of_the_clients_own_are_in_no_log(arena):
    """What a client calls its fields and collections may be a patient's name."""
    arena.enter("doctor")
    world = arena.worlds[0]
    name = "Zenobia Quist"
    for command in (
            {"find": "patients", "filter": {name: 1}}, {"find": name}, {name: 1},
            {"find": "patients", "projection": {name: "$x"}},
            {"find": "patients", "sort": {name: 1}},
            {"aggregate": "patients", "cursor": {}, "pipeline": [{"$group": {
                "_id": None, name: {"$sum": 1}}}]},
            {"aggregate": "patients", "cursor": {}, "pipeline": [{"$" + name: 1}]},
            {"find": "patients", "comment": {"purpose": name}},
            {"find": "patients", "comment": name}):
        world.ask("doctor", {**command, "$db": DATABASE})
    text = "".join(f.read_text() for f in world.proxy.audit_folder.glob("*.jsonl"))
    text += "\n".join(world.proxy.server.all_lines())
    shown = [line for line in text.splitlines() if name in line and '"ns"' not in line
             and '"purpose"' not in line]
    assert not shown, shown[:3]


def test_refusals_do_not_fill_the_log(arena):
    arena.enter("outsider")
    world = arena.worlds[0]
    seq = world.proxy.records()[-1]["seq"]
    for _ in range(3000):
        assert is_refusal(world.ask("outsider", {"find": "patients", "$db": DATABASE}))
    written = [r for r in world.proxy.records() if r["seq"] > seq and r["event"] == "refusal"]
    assert len(written) < 500


# ------------------------------------------------------------------- others' cursors, rights

def test_another_users_cursor(arena):
    arena.enter("doctor")
    world = arena.worlds[0]
    session = {"id": Binary(uuid.uuid4().bytes, 4)}
    opened = world.ask("loader", {"find": "patients", "batchSize": 1, "lsid": session,
                                  "$db": DATABASE})
    assert opened.cursor_id
    for user in MASKED:
        for more in ({}, {"lsid": session}):
            answer = world.ask(user, {"getMore": Int64(opened.cursor_id), "collection": "patients",
                                      "$db": DATABASE, **more})
            assert answer.code == 43
        world.ask(user, {"killCursors": "patients", "cursors": [Int64(opened.cursor_id)],
                         "$db": DATABASE})
        world.ask(user, {"killSessions": [session], "$db": "admin"})
        world.ask(user, {"endSessions": [session], "$db": "admin"})
    assert world.ask("loader", {"getMore": Int64(opened.cursor_id), "collection": "patients",
                                "lsid": session, "$db": DATABASE}).ok


def test_another_users_transaction(arena):
    arena.enter("researcher")
    world = arena.worlds[0]
    inside = {"lsid": {"id": Binary(uuid.uuid4().bytes, 4)}, "txnNumber": Int64(1),
              "autocommit": False}
    hidden = copy.deepcopy(world.direct[PLAIN].visits.find_one({"_id": -1}))
    hidden.update(_id="in a transaction", kind="uncommitted")
    assert world.ask("loader", {"insert": "visits", "documents": [hidden], "$db": DATABASE,
                                "startTransaction": True, **inside}).ok
    try:
        answer = world.ask("researcher", {"find": "visits", "filter": {"kind": "uncommitted"},
                                          "$db": DATABASE, **inside})
        assert not answer.ok and answer.code == 251
        assert not world.ask("researcher", {"commitTransaction": 1, "$db": "admin", **inside}).ok
    finally:
        assert world.ask("loader", {"abortTransaction": 1, "$db": "admin", **inside}).ok
    assert not world.direct[DATABASE].visits.find_one({"kind": "uncommitted"})


def test_a_cursor_ends_with_the_right_that_opened_it(arena):
    arena.enter("doctor")
    world = arena.worlds[0]
    opened = world.ask("doctor", {"find": "patients", "batchSize": 1, "$db": DATABASE})
    assert opened.cursor_id
    roles = world.proxy.folder / "policies/hospital/roles.yaml"
    before = roles.read_text()
    try:
        roles.write_text(before.replace("medical: plaintext", "medical: remove", 1))
        assert roles.read_text() != before and world.proxy.reload()
        answer = world.ask("doctor", {"getMore": Int64(opened.cursor_id), "collection": "patients",
                                      "$db": DATABASE})
        assert answer.code == 43
    finally:
        roles.write_text(before)
        assert world.proxy.reload()


def test_a_cursor_keeps_the_mask_that_opened_it(arena):
    """getMore says nothing of a filter or a projection: those of the find still hold."""
    arena.enter("doctor")
    for sort in ({}, {"sort": {"personal_info.age": 1}}):
        cursors = [r.cursor_id for r in arena.through(
            "doctor", {"find": "patients", "batchSize": 0, **sort})]
        while all(cursors):
            more = [world.ask("doctor", {"getMore": Int64(cursor), "collection": "patients",
                                         "batchSize": 2, "$db": DATABASE})
                    for world, cursor in zip(arena.worlds, cursors)]
            assert more[0] == more[1]
            cursors = [r.cursor_id for r in more]
        assert not any(cursors)


def test_two_roles_of_one_user_do_not_join(arena):
    """A command has one grant: what one role may filter by, the other does not show."""
    arena.enter("doctor")
    ask = arena.worlds[0].ask
    for filter_ in ({"administrative_info.billing_amount": {"$gt": 1}},
                    {"medical_info.condition": "Asthma"}):
        assert is_refusal(ask("two-roles", {"find": "patients", "filter": filter_,
                                            "$db": DATABASE}))
    doctor = ask("two-roles", {"find": "patients", "$db": DATABASE, "comment": {"role": "doctor"},
                               "filter": {"administrative_info.billing_amount": {"$gt": 1}}})
    clerk = ask("two-roles", {"find": "patients", "$db": DATABASE, "comment": {"role": "billing"},
                              "filter": {"medical_info.condition": "Asthma"}})
    assert is_refusal(doctor) and is_refusal(clerk)
    for role in ("import", "loader", "admin", "", "doctor\0"):
        assert is_refusal(ask("two-roles", {"find": "patients", "$db": DATABASE,
                                            "comment": {"role": role}})), role


# ---------------------------------------------------------------------------------- errors

def test_errors_quote_nobody(arena):
    """Errors that a bare database explains with the value that caused them."""
    arena.enter("researcher")
    world = arena.worlds[0]
    world.direct[DATABASE].visits.create_index("badge", unique=False)
    commands = [
        {"aggregate": "visits", "cursor": {}, "pipeline": [{"$project": {"x": {"$toInt": "$kind"}}}]},
        {"aggregate": "visits", "cursor": {},
         "pipeline": [{"$project": {"x": {"$convert": {"input": "$kind", "to": "date"}}}}]},
        {"aggregate": "visits", "cursor": {},
         "pipeline": [{"$project": {"x": {"$dateFromString": {"dateString": "$kind"}}}}]},
        {"aggregate": "visits", "cursor": {}, "pipeline": [{"$project": {"x": {"$add": ["$kind", 1]}}}]},
        {"insert": "visits", "documents": [{"_id": -1, "kind": "x"}]},
        {"update": "visits", "updates": [{"q": {"_id": -1}, "u": {"$inc": {"kind": 1}}}]},
        {"update": "visits", "updates": [{"q": {"_id": -1}, "u": {"$push": {"kind": 1}}}]},
        {"update": "visits", "updates": [{"q": {"_id": -1}, "u": {"$set": {"kind.x": 1}}}]},
    ]
    for command in commands:
        answer = world.ask("researcher", {**command, "$db": DATABASE})
        errors = [answer.document(), *answer.document().get("writeErrors", [])]
        assert any("errmsg" in e for e in errors), command
        for error in errors:
            for value in ("scan", "blood", "x-ray", "talk", "-1"):
                assert value not in str(error.get("errmsg", "")), (command, error)
            assert "keyValue" not in error and "errInfo" not in error
        arena.must_agree("researcher", command)
        arena.enter("researcher")


def test_time_says_little(arena):
    """Not a proof: a refusal takes no time that depends on what is stored."""
    arena.enter("doctor")
    times = []
    for world in arena.worlds:
        begun = time.perf_counter()
        for _ in range(200):
            world.ask("doctor", {"count": "patients", "$db": DATABASE,
                                 "query": {"notes": "HIV positive"}})
        times.append(time.perf_counter() - begun)
    assert max(times) < 10 * min(times)


# ------------------------------------------------------------- containers of hidden things

def test_a_container_of_hidden_things_alone(arena):
    """Whether a document is there that holds nothing for the role is hidden as well."""
    one, other = arena.enter("clerk").worlds
    for world, value in ((one, {"age": 5}), (other, None)):
        change = {"$set": {"personal_info": value}} if value else {"$unset": {"personal_info": 1}}
        world.direct[DATABASE].patients.update_one({"_id": TARGET}, change)
    only = {"_id": TARGET}
    for query in ({"personal_info": {"$exists": True}}, {"personal_info": {"$exists": False}},
                  {"personal_info": {"$type": "object"}}, {"personal_info": None},
                  {"personal_info": {}}, {"personal_info": {"$ne": None}},
                  {"personal_info.name": {"$exists": True}},
                  {"personal_info": {"$elemMatch": {"name": {"$exists": False}}}},
                  {"personal_info": {"$size": 1}}, {"personal_info": {"$not": {"$exists": True}}}):
        arena.must_agree("clerk", {"count": "patients", "query": {**only, **query}})
    for projection in ({"personal_info.name": 1}, {"personal_info": 1}, {"personal_info.age": 0},
                       {"personal_info": {"name": 1}}, {"personal_info": {"$slice": 1}}):
        arena.must_agree("clerk", {"find": "patients", "filter": only, "projection": projection})
    arena.must_agree("clerk", {"find": "patients", "filter": only})


def test_a_list_with_hidden_elements_shows_no_gap(arena):
    """Elements are counted anew, and none is asked for by its number."""
    one, other = arena.enter("clerk").worlds
    name = one.direct[DATABASE].patients.find_one({"_id": TARGET})["personal_info"]["name"]
    for world, value in ((one, [{"age": 5}, 7, {"name": name}]), (other, [{"name": name}])):
        world.direct[DATABASE].patients.update_one(
            {"_id": TARGET}, {"$set": {"personal_info": value}})
    only = {"_id": TARGET}
    arena.must_agree("clerk", {"find": "patients", "filter": only})
    for index in range(3):
        arena.must_agree("clerk", {"count": "patients", "query": {
            **only, f"personal_info.{index}.name": "Ada Durand"}})
        arena.must_agree("clerk", {"count": "patients", "query": {
            **only, f"personal_info.{index}.name": {"$exists": True}}})
    arena.must_agree("clerk", {"count": "patients", "query": {
        **only, "personal_info": {"$elemMatch": {"name": {"$exists": False}}}}})


def test_a_field_whose_name_is_a_number(arena):
    """`tests.2023.value` is no element of a list: it is a path that no grant names."""
    one, other = arena.enter("masked").worlds
    for world, value in ((one, "Male"), (other, "Female")):
        world.direct[DATABASE].patients.update_one({"_id": TARGET}, {"$set": {
            "personal_info.2023": {"gender": value}}})
    only = {"_id": TARGET}
    arena.must_agree("masked", {"find": "patients", "filter": only})
    for path in ("personal_info.2023.gender", "personal_info.0.2023.gender"):
        for query in ({path: "Male"}, {path: {"$exists": True}}, {path: {"$gt": "G"}},
                      {"$expr": {"$eq": ["$" + path, "Male"]}}):
            arena.must_agree("masked", {"count": "patients", "query": {**only, **query}})
        for stage in ({"$group": {"_id": "$" + path}}, {"$project": {"x": "$" + path}},
                      {"$sort": {path: 1}}, {"$unwind": "$" + path}, {"$project": {path: 1}}):
            arena.must_agree("masked", {"aggregate": "patients", "cursor": {},
                                        "pipeline": [{"$match": only}, stage]})
        arena.must_agree("masked", {"distinct": "patients", "key": path, "query": only})


def test_parts_of_what_is_masked_as_a_whole(arena):
    """A constant in place of a document hides that it is one."""
    one, other = arena.enter("masked").worlds
    for world, value in ((one, {"a": 1}), (other, "Normal")):
        world.direct[DATABASE].patients.update_one(
            {"_id": TARGET}, {"$set": {"medical_info.test_results": value}})
    arena.must_agree("masked", {"find": "patients", "filter": {"_id": TARGET}})
    for below in ("a", "x", "0"):
        path = "medical_info.test_results." + below
        for projection in ({path: 1}, {path: 0}, {path: {"$slice": 1}},
                           {"medical_info": {"test_results": {below: 1}}}):
            arena.must_agree("masked", {"find": "patients", "filter": {"_id": TARGET},
                                        "projection": projection})
            arena.must_agree("masked", {"aggregate": "patients", "cursor": {}, "pipeline": [
                {"$match": {"_id": TARGET}}, {"$project": projection}]})


def test_order_by_a_hidden_id(arena):
    """An ObjectId tells when it was made, and so does the order of its index."""
    arena.enter("researcher")
    for command in ({"find": "patients", "hint": "_id_"}, {"find": "patients", "hint": {"_id": 1}},
                    {"find": "patients", "sort": {"_id": 1}},
                    {"aggregate": "patients", "pipeline": [], "cursor": {}, "hint": "_id_"},
                    {"aggregate": "patients", "pipeline": [{"$sort": {"_id": 1}}], "cursor": {}},
                    {"find": "patients", "filter": {"_id": {"$gt": ObjectId("8" * 24)}}},
                    {"count": "patients", "query": {}, "hint": "_id_"},
                    {"find": "patients", "hint": {"$natural": -1}}):
        arena.must_agree("researcher", command)


def test_the_place_of_a_hidden_field(arena):
    """A field that is written over stays where it was; a new one comes last."""
    one, other = arena.enter("researcher").worlds
    for world, change in ((one, {"$set": {"cost": 5, "secret": 1}}),
                          (other, {"$unset": {"cost": 1, "secret": 1}})):
        world.direct[DATABASE].visits.update_many({}, change)
    for name in ("cost", "secret", "exam.items.price", "nurse.x"):
        for stages in ([{"$unwind": {"path": "$tags", "includeArrayIndex": name}}],
                       [{"$project": {"kind": 1, name: {"$literal": 1}, "ward": 1}}],
                       [{"$addFields": {name: 1}}], [{"$set": {name: "$kind"}}],
                       [{"$project": {name: 0}}, {"$addFields": {name: 1}}],
                       [{"$lookup": {"from": "visits", "localField": "kind",
                                     "foreignField": "kind", "as": name}}],
                       [{"$setWindowFields": {"sortBy": {"_id": 1},
                                              "output": {name: {"$documentNumber": {}}}}}],
                       [{"$fill": {"output": {name: {"value": 1}}}}]):
            arena.must_agree("researcher", {"aggregate": "visits", "cursor": {},
                                            "pipeline": stages})

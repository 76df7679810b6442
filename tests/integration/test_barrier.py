"""Commands that run behind the secure view: what a pipeline sees is what find would show."""

import datetime

import pymongo
import pytest
from bson import (Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex,
                  Timestamp)
from pymongo.errors import OperationFailure

import conftest
from conftest import Clients
from harness import ROOT, Proxy

USERS = {
    "writer": (["writer"], {}, None),
    "masked": (["masked"], {}, None),
    "site-a": (["site"], {"site": "A"}, None),
}
MASKED = ("constant", "partial", "bands", "round5", "half", "year", "month", "day")
NAN, INFINITY = float("nan"), float("inf")


def utc(*parts):
    return datetime.datetime(*parts, tzinfo=datetime.timezone.utc)


VALUES = [
    None, True, False, "", "a", "ab", "abc", "abcd", "héàü€", "\N{GRINNING FACE}abc", "$x", "é" * 300,
    0, 1, 2, 3, 7, 8, 12, 13, -1, -3, -8, 9, 10, 11, 20, 21, 2**31 - 1, -2**31, Int64(2**31 - 1),
    Int64(5), Int64(2**40 + 3), Int64(2**53 + 1), Int64(-2**63), Int64(2**63 - 1),
    0.0, -0.0, 0.24, 0.25, 0.26, 0.75, 2.5, 7.5, -2.5, 20.5, 1e300, -1e300, 1e308, NAN, INFINITY,
    -INFINITY, Decimal128("7.5"), Decimal128("NaN"),
    utc(1970, 1, 1), utc(2024, 2, 29, 23, 59, 59, 999000), utc(1, 1, 1), utc(9999, 12, 31, 23),
    utc(1969, 12, 31, 23, 59), utc(1900, 3, 1, 5),
    ObjectId("65a000000000000000000001"), Binary(b"xyz"), Binary(b"", 5), Timestamp(7, 1),
    Regex("^a", "i"), Code("x"), MinKey(), MaxKey(), {}, {"a": 1}, {"b": {"c": "Ada"}},
    [], [1, 7, "abcd"], [None, {"a": 1}], [utc(2024, 5, 6)],
]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, upstream):
    conftest.wipe(upstream)
    proxy = Proxy(tmp_path_factory.mktemp("barrier") / "mongoward", upstream.uri)
    proxy.init(ROOT / "tests/integration/policies/barrier").add_users(USERS)
    proxy.command("key", "create", "--missing")
    proxy.start()
    yield proxy
    conftest.finish(proxy)


@pytest.fixture(scope="module")
def clients(proxy):
    found = Clients(proxy)
    yield found
    found.close()


@pytest.fixture(scope="module")
def writer(clients):
    return clients["writer"].healthcare_db


@pytest.fixture(scope="module")
def samples(writer, clients):
    writer.samples.delete_many({})
    docs = [{"_id": i, "open": i % 7, "bands": i % 25, "site": "AB"[i % 2], "secret": i,
             "sealed": f"name {i % 3}", "closed": f"closed {i % 3}", "constant": i,
             "deep": {"open": i % 5, "hidden": i, "round": i},
             "shut": {"x": i, "open": {"y": i, "hidden": i}}} for i in range(40)]
    writer.samples.insert_many(docs)
    return clients["masked"].healthcare_db.samples


def behind(collection, *stages):
    """A pipeline that cannot be proven, and changes nothing."""
    return list(collection.aggregate([{"$replaceRoot": {"newRoot": "$$ROOT"}}, *stages]))


def same(a, b):
    """Equal, with the types of numbers and NaN."""
    return repr(a) == repr(b)


@pytest.mark.parametrize("field", MASKED)
def test_masks_are_the_same_upstream(writer, clients, field):
    """Each mask, on a value of every type, through both implementations."""
    values = writer.client.get_database("healthcare_db").samples
    values.delete_many({})
    values.insert_many([{"_id": i, field: value} for i, value in enumerate(VALUES)])
    masked = clients["masked"].healthcare_db.samples
    walked = {d["_id"]: d for d in masked.find()}
    computed = {d["_id"]: d for d in behind(masked)}
    different = [(VALUES[i], walked[i], computed.get(i)) for i in walked
                 if not same(walked[i], computed.get(i))]
    assert not different, different
    assert len(computed) == len(VALUES)


def test_documents_are_the_same_upstream(samples):
    walked = list(samples.find().sort("_id"))
    assert same(walked, behind(samples, {"$sort": {"_id": 1}}))
    assert walked[3] == {"_id": 3, "open": 3, "bands": "low" if 3 < 0 else "mid", "site": "B",
                         "sealed": "name 0", "constant": "***", "deep": {"open": 3, "round": 0},
                         "shut": {"open": {"y": 3}}}


@pytest.mark.parametrize("deep", [
    {"hidden": 1}, {"open": 1, "hidden": 2, "round": 14}, {}, 5, None, "x", [], [{"hidden": 1}],
    [{"open": 1, "hidden": 3, "round": 7}, {"round": "x"}, 5, None],
    {"open": [{"hidden": 1}]}, {"round": [4, 6, "x"]}, {"round": {"a": 1}}, {"round": []}])
@pytest.mark.parametrize("path", ["deep", "shut"])
def test_trees_are_the_same_upstream(writer, samples, path, deep):
    writer.samples.update_one({"_id": 100}, {"$set": {path: deep, "site": "A"}}, upsert=True)
    try:
        walked = samples.find_one({"_id": 100})
        (computed,) = behind(samples, {"$match": {"_id": 100}})
        assert same(walked, computed)
    finally:
        writer.samples.delete_one({"_id": 100})


def test_nothing_hidden_reaches_a_pipeline(samples):
    names = set()
    for d in samples.aggregate([{"$project": {"all": {"$objectToArray": "$$ROOT"}}}]):
        names |= {pair["k"] for pair in d["all"]}
    assert names == {"_id", "open", "bands", "site", "sealed", "constant", "deep", "shut"}
    (one,) = behind(samples, {"$match": {"_id": 7}},
                    {"$project": {"x": {"$objectToArray": "$deep"}, "y": "$shut",
                                  "z": {"$type": "$secret"}, "m": {"$type": "$__mw"}}})
    assert one == {"_id": 7, "x": [{"k": "open", "v": 2}, {"k": "round", "v": 10}],
                   "y": {"open": {"y": 7}}, "z": "missing", "m": "missing"}


def test_masked_fields_are_filtered_sorted_and_counted(samples):
    mid = {d["_id"] for d in samples.find() if d["bands"] == "mid"}
    assert {d["_id"] for d in samples.find({"bands": "mid"})} == mid
    assert samples.count_documents({"bands": "mid"}) == len(mid)
    assert samples.database.command("count", "samples", query={"bands": "mid"})["n"] == len(mid)
    assert samples.database.command("count", "samples", query={"bands": "nobody"})["n"] == 0
    assert samples.database.command(
        "count", "samples", query={"bands": "mid"}, skip=2, limit=3)["n"] == 3
    assert sorted(samples.distinct("bands")) == ["high", "mid", "top"]
    assert samples.distinct("bands", {"bands": "nobody"}) == []
    assert samples.find_one({"bands": 5}) is None
    order = [d["bands"] for d in samples.find().sort("bands", -1)]
    assert order == sorted(order, reverse=True) and len(set(order)) == 3
    page = list(samples.find({"bands": "mid"}, {"deep": 1, "_id": 0}).sort("_id").skip(1).limit(2))
    assert page == [{"deep": d["deep"]} for d in samples.find().sort("_id")
                    if d["bands"] == "mid"][1:3]


def test_a_cursor_goes_on_in_batches(samples):
    found = [d["_id"] for d in samples.find({"bands": {"$ne": "x"}}).sort("_id").batch_size(7)]
    assert found == list(range(40))
    found = [d["_id"] for d in samples.aggregate(
        [{"$replaceRoot": {"newRoot": "$$ROOT"}}, {"$sort": {"_id": 1}}], batchSize=3)]
    assert found == list(range(40))
    one = samples.database.command("find", "samples", filter={"bands": "mid"}, singleBatch=True,
                                   batchSize=2)
    assert one["cursor"]["id"] == 0 and len(one["cursor"]["firstBatch"]) == 2
    assert one["cursor"]["ns"] == "healthcare_db.samples"


def test_sealed_values_are_opened_where_they_are_moved(samples):
    found = samples.aggregate([{"$group": {"_id": None, "all": {"$push": "$$ROOT"}}}])
    names = [d["sealed"] for d in next(found)["all"]]
    assert sorted(set(names)) == ["name 0", "name 1", "name 2"]
    redact = {"$redact": "$$KEEP"}
    assert {d["_id"] for d in samples.aggregate([redact, {"$match": {"sealed": "name 1"}}])} == {
        i for i in range(40) if i % 3 == 1}
    with pytest.raises(OperationFailure) as caught:
        list(samples.aggregate([redact, {"$match": {"sealed": {"$gt": "n"}}}]))
    assert "encrypted" in str(caught.value)


def test_joins_see_the_other_collection_as_the_role_does(samples, writer, clients):
    writer.plain.delete_many({})
    writer.plain.insert_many([{"_id": i, "open": i} for i in range(3)])
    (found,) = samples.aggregate([
        {"$match": {"_id": 1}},
        {"$lookup": {"from": "samples", "localField": "open", "foreignField": "open",
                     "as": "like"}},
        {"$project": {"like": 1}}])
    assert [d["_id"] for d in sorted(found["like"], key=lambda d: d["_id"])] == [1, 8, 15, 22, 29,
                                                                               36]
    assert all(set(d) <= {"_id", "open", "bands", "site", "sealed", "constant", "deep", "shut"}
               and d["bands"] in ("mid", "high", "top") for d in found["like"])
    (found,) = samples.aggregate([
        {"$match": {"_id": 1}},
        {"$lookup": {"from": "samples", "let": {"o": "$open"}, "as": "like", "pipeline": [
            {"$match": {"$expr": {"$eq": ["$open", "$$o"]}}},
            {"$project": {"s": "$secret", "h": "$deep.hidden", "c": "$constant"}}]}}])
    assert found["like"][0] == {"_id": 1, "c": "***"}
    united = list(samples.aggregate([
        {"$limit": 1}, {"$unionWith": {"coll": "samples", "pipeline": [{"$limit": 2}]}},
        {"$unionWith": "samples_view"}]))
    assert len(united) == 1 + 2 + 20
    assert all("secret" not in d and "site" in d or set(d) <= {"kind", "band", "name"}
               for d in united)
    graph = list(samples.aggregate([
        {"$match": {"_id": 1}},
        {"$graphLookup": {"from": "plain", "startWith": "$open", "connectFromField": "open",
                          "connectToField": "open", "as": "g"}}]))
    assert graph[0]["g"] == [{"_id": 1, "open": 1}]
    (found,) = samples.aggregate([
        {"$match": {"_id": 3}},
        {"$lookup": {"from": "samples", "localField": "bands", "foreignField": "bands",
                     "as": "like"}}])
    assert {d["_id"] for d in found["like"]} == {i for i in range(40) if i % 25 < 10}
    (found,) = samples.aggregate([
        {"$match": {"_id": 3}},
        {"$lookup": {"from": "samples", "localField": "_id", "foreignField": "secret",
                     "let": {"x": "$open"}, "as": "like"}}])
    assert found["like"] == []
    (found,) = samples.aggregate([
        {"$match": {"_id": 3}},
        {"$lookup": {"from": "samples_view", "localField": "open", "foreignField": "kind",
                     "let": {"x": 1}, "pipeline": [{"$match": {"$expr": {"$eq": ["$$x", 1]}}}],
                     "as": "like"}}])
    assert [d["kind"] for d in found["like"]] == [3] * len([i for i in range(0, 40, 2) if i % 7 == 3])
    for stage in ({"$lookup": {"from": "samples", "localField": "_id", "foreignField": "sealed",
                               "as": "x"}},
                  {"$lookup": {"from": "samples", "foreignField": "bands", "as": "x"}},
                  {"$lookup": {"from": "other", "pipeline": [], "as": "x"}},
                  {"$graphLookup": {"from": "samples", "startWith": "$open",
                                    "connectFromField": "open", "connectToField": "bands",
                                    "as": "g"}},
                  {"$graphLookup": {"from": "samples", "startWith": "$open",
                                    "connectFromField": "open", "connectToField": "open",
                                    "as": "g", "depthField": "d"}},
                  {"$graphLookup": {"from": "samples", "startWith": "$open",
                                    "connectFromField": "open", "connectToField": "open",
                                    "as": "g.h"}},
                  {"$graphLookup": {"from": "samples", "startWith": "$open",
                                    "connectFromField": "open", "connectToField": "open",
                                    "as": "g", "restrictSearchWithMatch": {"secret": 1}}},
                  {"$graphLookup": {"from": "samples_view", "startWith": "$open",
                                    "connectFromField": "kind", "connectToField": "kind",
                                    "as": "g"}}):
        with pytest.raises(OperationFailure) as caught:
            list(samples.aggregate([stage]))
        assert caught.value.code in (13, 14, 40353)


def test_a_walk_shows_what_the_role_sees(samples, clients):
    walk = {"from": "samples", "startWith": "$open", "connectFromField": "open",
            "connectToField": "open", "as": "g"}
    shown = {d["_id"]: d for d in behind(samples)}
    (found,) = samples.aggregate([{"$match": {"_id": 3}}, {"$graphLookup": walk}])
    like = [i for i in range(40) if i % 7 == 3]
    assert {d["_id"]: d for d in found["g"]} == {i: shown[i] for i in like}
    mine = clients["site-a"].healthcare_db.samples
    (found,) = mine.aggregate([{"$match": {"_id": 10}}, {"$graphLookup": walk}])
    assert sorted(d["_id"] for d in found["g"]) == [i for i in like if i % 2 == 0]
    (found,) = mine.aggregate([{"$match": {"_id": 10}}, {"$graphLookup": {
        **walk, "startWith": "nothing"}}])
    assert found["g"] == []


def test_documents_that_the_command_brings(proxy, samples, clients):
    database = clients["masked"].healthcare_db
    wanted = [{"k": i} for i in range(7)]
    assert list(database.aggregate([{"$documents": wanted}], batchSize=2)) == wanted
    found = list(database.aggregate([
        {"$documents": [{"k": 3}]},
        {"$lookup": {"from": "samples", "localField": "k", "foreignField": "open", "as": "s"}}]))
    assert {d["_id"] for d in found[0]["s"]} == {i for i in range(40) if i % 7 == 3}
    assert all("secret" not in d for d in found[0]["s"])
    record = [r for r in proxy.records() if r["event"] == "access"][-1]
    assert (record["ns"], record["way"]) == ("healthcare_db.$cmd.aggregate", "barrier")
    for stages in ([{"$match": {}}], [{"$documents": wanted}, {"$out": "x"}],
                   [{"$documents": wanted}, {"$lookup": {"from": "other", "pipeline": [],
                                                         "as": "x"}}]):
        with pytest.raises(OperationFailure) as caught:
            database.aggregate(stages)
        assert caught.value.code == 13


def test_facets_inherit_the_view(samples):
    (found,) = samples.aggregate([{"$facet": {
        "bands": [{"$sortByCount": "$bands"}], "hidden": [{"$replaceWith": {"s": "$secret"}}, {"$sortByCount": "$s"}],
        "joined": [{"$limit": 1}, {"$lookup": {"from": "samples", "pipeline": [
            {"$group": {"_id": "$bands"}}], "as": "all"}}]}}])
    assert sorted(d["_id"] for d in found["bands"]) == ["high", "mid", "top"]
    assert [d["_id"] for d in found["hidden"]] == [None]
    assert sorted(d["_id"] for d in found["joined"][0]["all"]) == ["high", "mid", "top"]


def test_rows_stay_filtered(samples, clients):
    mine = clients["site-a"].healthcare_db.samples
    assert {d["_id"] for d in behind(mine)} == set(range(0, 40, 2))
    assert mine.count_documents({"bands": "0-9"}) == len(
        [i for i in range(0, 40, 2) if i % 25 < 10])
    (found,) = mine.aggregate([
        {"$match": {"_id": 2}}, {"$lookup": {"from": "samples", "pipeline": [], "as": "all"}}])
    assert {d["_id"] for d in found["all"]} == set(range(0, 40, 2))
    assert len(list(mine.aggregate([{"$limit": 1}, {"$unionWith": "samples"}]))) == 21


def test_an_expression_never_runs_on_hidden_rows(samples, writer, clients):
    """Division by zero on a row of another site would tell of it."""
    mine = clients["site-a"].healthcare_db.samples
    writer.samples.update_one({"_id": 1}, {"$set": {"open": -1}})
    try:
        raising = {"$expr": {"$gt": [{"$divide": [1, {"$add": ["$open", 1]}]}, 0]}}
        assert len(list(mine.aggregate([{"$match": raising}]))) == 20
        assert len(list(mine.find(raising))) == 20
        assert mine.count_documents(raising) == 20
    finally:
        writer.samples.update_one({"_id": 1}, {"$set": {"open": 1}})


def test_a_virtual_view_is_read_as_a_collection(samples, clients):
    view = clients["masked"].healthcare_db.samples_view
    assert view.count_documents({}) == view.estimated_document_count() == 20
    assert sorted(view.distinct("band")) == ["0-9", "10+"]
    assert view.count_documents({"band": "10+"}) == 10
    groups = {d["_id"]: d["n"] for d in view.aggregate(
        [{"$group": {"_id": "$band", "n": {"$sum": 1}}}])}
    assert groups == {"0-9": 10, "10+": 10}
    row = next(view.aggregate([{"$match": {"name": "name 1"}}, {"$limit": 1}]))
    assert set(row) == {"kind", "band", "name"} and row["name"] == "name 1"
    by_find = sorted(map(repr, view.find()))
    assert by_find == sorted(map(repr, view.aggregate([])))
    assert list(view.aggregate([{"$match": {"site": "A"}}])) == []


def test_small_groups_of_a_view_are_not_there(samples, writer, clients):
    view = clients["masked"].healthcare_db.samples_grouped
    assert sorted(view.distinct("band")) == ["0-9", "10+"]
    writer.samples.insert_many([{"_id": 200 + i, "bands": -1} for i in range(2)])
    try:
        assert sorted(view.distinct("band")) == ["0-9", "10+"]
        assert {d["band"] for d in view.find()} == {"0-9", "10+"}
        writer.samples.insert_one({"_id": 203, "bands": -2})
        assert sorted(view.distinct("band")) == ["0-9", "10+", "<0"]
        assert view.count_documents({"band": "<0"}) == 3
    finally:
        writer.samples.delete_many({"_id": {"$gte": 200}})


def test_the_record_says_barrier(proxy, samples):
    behind(samples, {"$limit": 1})
    record = [r for r in proxy.records() if r["event"] == "access"][-1]
    assert record["way"] == "barrier" and record["user"] == "masked"
    assert record["disclosed"] == {"hidden": "mask", "open": "plaintext",
                                   "technical": "plaintext"}
    assert "subjects" not in record or record["subjects"] == []


def test_errors_say_nothing_of_values(samples):
    with pytest.raises(OperationFailure) as caught:
        behind(samples, {"$project": {"x": {"$toInt": "$sealed"}}})
    assert "name" not in str(caught.value.details.get("errmsg", "")).replace("codeName", "")


def plans(explained):
    """Every plan's stages, from the top down, with their indexes."""
    found = []

    def visit(value):
        if isinstance(value, dict):
            if "stage" in value:
                found.append((value["stage"], value.get("indexName")))
            for inner in value.values():
                visit(inner)
        elif isinstance(value, list):
            for inner in value:
                visit(inner)

    visit(explained)
    return found


def explain(collection, command, **options):
    return collection.database.command("explain", command, **options)


@pytest.fixture(scope="module")
def indexed(samples, writer):
    writer.samples.create_index("open", name="by_open")
    writer.samples.create_index("site", name="by_site")
    writer.samples.create_index("secret", name="by_secret")
    yield samples
    writer.samples.drop_indexes()


def test_indexes_are_used(indexed):
    """Not in front of this barrier: it compares names, under the simple collation, under which
    this upstream plans no index."""
    shown = explain(indexed, {"find": "samples", "filter": {"open": 3}})
    assert ("IXSCAN", "by_open") in plans(shown)
    shown = explain(indexed, {"count": "samples", "query": {"open": 3}}, verbosity="executionStats")
    assert ("IXSCAN", "by_open") in plans(shown)


def test_an_explanation_tells_no_values(indexed, clients, proxy):
    shown = explain(indexed, {"find": "samples", "filter": {"open": 3, "sealed": "name 1"}},
                    verbosity="allPlansExecution")
    text = repr(shown)
    for word in ("parsedQuery", "executionStats", "rejectedPlans", "serverInfo", "command",
                 "name 1", "indexBounds", "namespace", "filter"):
        assert word not in text, word
    record = [r for r in proxy.records() if r["event"] == "access"][-1]
    assert record["command"] == "explain" and "subjects" not in record
    assert record["shape"]["explain"]["filter"] == {"open": "?int", "sealed": "?string"}
    shown = explain(indexed, {"find": "samples", "filter": {"_id": 3}})
    assert plans(shown) and "secret" not in repr(shown)
    with pytest.raises(OperationFailure) as caught:
        explain(clients["writer"].healthcare_db.samples, {"find": "samples"})
    assert caught.value.code == 13

"""Questions that read out what a role may not see, where nothing stands before the database.

Each is put to the bare database first: its answers in two worlds differ in the hidden values
alone, so a difference shows that the question works.  Through the proxy the answers must be
the same, or a refusal.
"""

import re

import pytest
from bson import Binary, Int64, ObjectId, Regex

TARGET = ObjectId("0123456789abcdef01234567")
SSN = "285057800608436"


def find(filter_=None, **more):
    return {"find": more.pop("on", "patients"), "filter": filter_ or {}, **more}


def count(query, **more):
    return {"count": more.pop("on", "patients"), "query": query, **more}


def aggregate(*stages, **more):
    return {"aggregate": more.pop("on", "patients"), "pipeline": list(stages),
            "cursor": more.pop("cursor", {}), **more}


def update(q, u, **more):
    on = more.pop("on", "patients")
    return {"update": on, "updates": [{"q": q, "u": u, **more}]}


def modify(query, change, **more):
    return {"findAndModify": more.pop("on", "patients"), "query": query, "update": change, **more}


HIDDEN_SORT = {"administrative_info.billing_amount": 1}
RAISES = {"$expr": {"$divide": [1, {"$cond": [{"$eq": ["$personal_info.age", 111]}, 0, 1]}]}}

# (name, user, command)
WORKING = [
    # Filters.
    ("equality", "doctor", count({"personal_info.ssn": SSN})),
    ("range", "doctor", count({"administrative_info.billing_amount": {"$gt": 18000}})),
    ("regular expression", "doctor", count({"personal_info.ssn": Regex("^28505780")})),
    ("$in", "doctor", count({"notes": {"$in": ["HIV positive"]}})),
    ("$exists of a removed path", "doctor", count({"notes": {"$exists": True}})),
    ("$type of a removed path", "doctor", count({"notes": {"$type": "string"}})),
    ("$mod", "doctor", count({"administrative_info.billing_amount": {"$mod": [2, 0]}})),
    ("$size", "doctor", count({"administrative_info.items": {"$size": 3}})),
    ("$bitsAnySet", "clerk", count({"personal_info.age": {"$bitsAnySet": 1}})),
    ("$not", "doctor", count({"personal_info.ssn": {"$not": {"$gt": "5"}}})),
    ("$nor", "doctor", count({"$nor": [{"personal_info.ssn": {"$gt": "5"}}]})),
    ("$or within $and", "clerk", count({"$and": [{"$or": [{"medical_info.condition": "Asthma"}]}]})),
    ("$elemMatch of an ancestor", "clerk", count(
        {"medical_info.tests": {"$elemMatch": {"value": {"$gt": 5}}}})),
    ("$all", "clerk", count({"medical_info.tests.code": {"$all": ["scan"]}})),
    ("an index into a hidden list", "clerk", count({"medical_info.tests.1.value": {"$gt": 5}})),
    ("null for what is missing", "doctor", count({"notes": None})),
    ("an ancestor compared", "doctor", count({"administrative_info": {"$gt": {"doctor": "Dr. N"}}})),
    ("an ancestor compared as a whole", "doctor", find(
        {"personal_info": {"$lt": {"name": "Ada Durand", "age": 41, "gender": "Female",
                                   "blood_type": "A+", "ssn": "3"}}})),
    ("$expr", "doctor", count({"$expr": {"$gt": ["$administrative_info.billing_amount", 18000]}})),
    ("$expr on the whole", "doctor", count(
        {"$expr": {"$gt": [{"$getField": {"field": "billing_amount",
                                          "input": "$$ROOT.administrative_info"}}, 18000]}})),
    ("$expr by a variable", "doctor", count({"$expr": {"$let": {
        "vars": {"x": "$administrative_info"}, "in": {"$gt": ["$$x.billing_amount", 18000]}}}})),
    ("$jsonSchema", "doctor", count({"$jsonSchema": {
        "properties": {"administrative_info": {"properties": {
            "billing_amount": {"bsonType": "number", "minimum": 18000}}}}}})),
    # The row filter.
    ("collation on the row filter", "doctor", count(
        {}, collation={"locale": "en", "strength": 1})),
    ("collation in an aggregate", "doctor", aggregate(
        {"$count": "n"}, collation={"locale": "en", "strength": 2})),
    ("an expression that raises on foreign rows", "doctor", find(RAISES)),
    ("the same in $match", "doctor", aggregate({"$match": RAISES})),
    ("the same in count", "doctor", count(RAISES)),
    ("the same on a masked list", "masked", find(
        {"$expr": {"$divide": [1, {"$subtract": ["$exam.value", 1313]}]}}, on="visits")),
    ("foreign rows by $or", "doctor", find(
        {"$or": [{"administrative_info.hospital": {"$ne": "H-NORD"}}, {}]})),
    ("count without a query", "doctor", {"count": "patients"}),
    ("collection sizes", "doctor", {"collStats": "patients"}),
    ("database sizes", "doctor", {"dbStats": 1}),
    ("$collStats", "doctor", aggregate({"$collStats": {"count": {}}})),
    ("a sample of all rows", "doctor", aggregate({"$sample": {"size": 1000}})),
    # Order.
    ("sort by a hidden path", "doctor", find(sort=HIDDEN_SORT)),
    ("sort by an ancestor", "doctor", find(sort={"administrative_info": 1})),
    ("$sort by a hidden path", "doctor", aggregate({"$sort": HIDDEN_SORT})),
    ("the first by a hidden order", "doctor", find(sort=HIDDEN_SORT, limit=1)),
    ("findAndModify by a hidden order", "doctor", modify(
        {}, {"$set": {"medical_info.medication": "x"}}, sort=HIDDEN_SORT)),
    # Projections.
    ("a renaming projection", "doctor", find(projection={"x": "$personal_info.ssn"})),
    ("a computing projection", "doctor", find(
        projection={"x": {"$substrCP": ["$personal_info.ssn", 0, 3]}})),
    ("$elemMatch in a projection", "clerk", find(
        projection={"medical_info.tests": {"$elemMatch": {"value": {"$gt": 5}}}})),
    ("fields of findAndModify", "doctor", modify(
        {"_id": TARGET}, {"$set": {"medical_info.medication": "x"}},
        fields={"x": "$personal_info.ssn"})),
    # Pipelines.
    ("$project renames", "doctor", aggregate({"$project": {"x": "$personal_info.ssn"}})),
    ("$objectToArray of the whole", "doctor", aggregate(
        {"$project": {"x": {"$objectToArray": "$$ROOT"}}})),
    ("$objectToArray of the current", "doctor", aggregate(
        {"$project": {"x": {"$objectToArray": "$$CURRENT"}}})),
    ("$replaceRoot", "doctor", aggregate({"$replaceRoot": {"newRoot": "$administrative_info"}})),
    ("$replaceWith", "doctor", aggregate({"$replaceWith": {"x": "$$ROOT"}})),
    ("$addFields", "doctor", aggregate({"$addFields": {"x": "$personal_info.ssn"}})),
    ("$set below a readable path", "doctor", aggregate(
        {"$set": {"medical_info.x": "$personal_info.ssn"}})),
    ("$group by a hidden path", "doctor", aggregate(
        {"$group": {"_id": "$administrative_info.doctor", "n": {"$sum": 1}}})),
    ("$group of a sum", "doctor", aggregate(
        {"$group": {"_id": None, "n": {"$sum": "$administrative_info.billing_amount"}}})),
    ("one patient's bill in a large group", "doctor", aggregate(
        {"$group": {"_id": None, "n": {"$sum": {"$cond": [
            {"$eq": ["$_id", TARGET]}, "$administrative_info.billing_amount", 0]}}}})),
    ("$push of the whole", "doctor", aggregate(
        {"$group": {"_id": None, "x": {"$push": "$$ROOT"}}})),
    ("$mergeObjects", "doctor", aggregate(
        {"$group": {"_id": None, "x": {"$mergeObjects": "$administrative_info"}}})),
    ("$sortByCount", "doctor", aggregate({"$sortByCount": "$administrative_info.doctor"})),
    ("$bucket", "doctor", aggregate({"$bucket": {
        "groupBy": "$administrative_info.billing_amount", "boundaries": [0, 18000, 10 ** 6],
        "default": "x"}})),
    ("$bucketAuto", "doctor", aggregate({"$bucketAuto": {
        "groupBy": "$administrative_info.billing_amount", "buckets": 5}})),
    ("$facet", "doctor", aggregate({"$facet": {
        "x": [{"$match": {"administrative_info.billing_amount": {"$gt": 18000}}},
              {"$count": "n"}]}})),
    ("$redact by a bare name", "doctor", aggregate({"$redact": {"$cond": [
        {"$gt": ["$billing_amount", 18000]}, "$$PRUNE", "$$DESCEND"]}})),
    ("$setWindowFields", "doctor", aggregate({"$setWindowFields": {
        "sortBy": HIDDEN_SORT, "output": {"x": {"$documentNumber": {}}}}})),
    ("$fill", "masked", aggregate(
        {"$fill": {"sortBy": {"cost": 1}, "output": {"secret": {"method": "locf"}}}}, on="visits")),
    ("$unwind of a hidden list", "clerk", aggregate(
        {"$unwind": "$medical_info.tests"}, {"$count": "n"})),
    ("$bsonSize", "doctor", aggregate({"$project": {"x": {"$bsonSize": "$$ROOT"}}})),
    ("$unionWith", "doctor", aggregate({"$unionWith": "patients"})),
    ("$unionWith of another collection", "doctor", aggregate({"$unionWith": {
        "coll": "visits", "pipeline": [{"$project": {"secret": 1}}]}})),
    ("$lookup on readable paths", "doctor", aggregate({"$lookup": {
        "from": "patients", "localField": "_id", "foreignField": "_id", "as": "x"}})),
    ("$lookup on hidden paths", "doctor", aggregate({"$lookup": {
        "from": "patients", "localField": "personal_info.age",
        "foreignField": "administrative_info.billing_amount", "as": "x"}},
        {"$project": {"n": {"$size": "$x"}}})),
    ("$lookup with a pipeline", "doctor", aggregate({"$lookup": {
        "from": "patients", "let": {"i": "$_id"}, "as": "x", "pipeline": [
            {"$match": {"$expr": {"$eq": ["$_id", "$$i"]}}}]}})),
    ("$graphLookup", "doctor", aggregate({"$graphLookup": {
        "from": "patients", "startWith": "$_id", "connectFromField": "_id",
        "connectToField": "_id", "as": "x"}})),
    ("distinct", "doctor", {"distinct": "patients", "key": "administrative_info.doctor"}),
    ("distinct of an ancestor", "doctor", {"distinct": "patients", "key": "administrative_info"}),
    ("distinct by a hidden query", "doctor", {
        "distinct": "patients", "key": "metadata.source",
        "query": {"administrative_info.billing_amount": {"$gt": 50000}}}),
    ("an exclusion that excludes nothing, then a filter", "doctor", aggregate(
        {"$project": {"administrative_info.0": 0}},
        {"$match": {"administrative_info.billing_amount": {"$gt": 18000}}}, {"$count": "n"})),
    ("an exclusion of an element, then an order", "doctor", aggregate(
        {"$project": {"administrative_info.0": 0}},
        {"$sort": {"administrative_info.billing_amount": 1}}, {"$project": {"metadata": 1}})),
    ("an exclusion of an element, then a group", "masked", aggregate(
        {"$project": {"cost.0": 0}},
        {"$group": {"_id": "$cost", "n": {"$sum": 1}}}, {"$sort": {"_id": 1}}, on="visits")),
    ("an index of $unwind beside a hidden field", "doctor", aggregate(
        {"$unwind": {"path": "$metadata.source", "includeArrayIndex": "administrative_info.0"}},
        {"$match": {"administrative_info.billing_amount": {"$gt": 18000}}}, {"$count": "n"})),
    # Writes that answer.
    ("a write that counts", "doctor", update(
        {"administrative_info.billing_amount": {"$gt": 18000}},
        {"$set": {"medical_info.medication": "x"}}, multi=True)),
    ("a write that changes only what is less", "doctor", update(
        {"_id": TARGET}, {"$min": {"administrative_info.billing_amount": 18000}})),
    ("a write of what is there already", "doctor", update(
        {"_id": TARGET}, {"$set": {"administrative_info.billing_amount": 18420.5}})),
    ("a write that copies", "doctor", update(
        {"_id": TARGET}, [{"$set": {"medical_info.medication": "$personal_info.ssn"}}])),
    ("a rename", "doctor", update(
        {"_id": TARGET}, {"$rename": {"personal_info.ssn": "medical_info.x"}})),
    ("$pull by condition", "researcher", update(
        {"_id": -1}, {"$pull": {"exam.items": {"price": {"$gt": 50}}}}, on="visits")),
    ("arrayFilters on a hidden path", "researcher", {"update": "visits", "updates": [{
        "q": {"_id": -1}, "u": {"$set": {"exam.items.$[i].qty": 99}},
        "arrayFilters": [{"i.price": {"$gt": 50}}]}]}),
    ("$push with an order", "researcher", update(
        {"_id": -1}, {"$push": {"exam.items": {"$each": [], "$sort": {"price": 1}, "$slice": 1}}},
        on="visits")),
    ("$inc on what may be no number", "researcher", update(
        {}, {"$inc": {"secret": 1}}, on="visits", multi=True)),
    ("$push onto what may be no list", "researcher", update(
        {}, {"$push": {"secret": 1}}, on="visits", multi=True)),
    ("an upsert that copies its filter", "researcher", update(
        {"secret": "HIV positive", "_id": {"$gt": -5}}, {"$set": {"kind": "x"}}, on="visits",
        upsert=True)),
    ("an upsert by findAndModify", "researcher", modify(
        {"cost": {"$gt": 1990}}, {"$set": {"kind": "x"}}, on="visits", upsert=True, new=True)),
    ("a delete that counts", "researcher", {
        "delete": "visits", "deletes": [{"q": {"cost": {"$gt": 1000}}, "limit": 0}]}),
    ("a removal by a hidden order", "researcher", {
        "findAndModify": "visits", "query": {}, "sort": {"cost": 1}, "remove": True}),
    ("a replacement", "researcher", modify({"_id": -1}, {"kind": "x"}, on="visits")),
    # Through the mask.
    ("below a band", "masked", count({"score": {"$lt": 15}}, on="visits")),
    ("below a rounded value", "masked", count({"cost": {"$lt": 1230}}, on="visits")),
    ("inside a truncated month", "masked", find(sort={"at": 1}, on="visits")),
    ("behind a constant", "masked", count({"medical_info.test_results": "Normal"})),
    ("behind a constant in a list", "masked", count({"exam.items.price": {"$gt": 50}},
                                                    on="visits")),
    ("behind a part", "masked", count({"nurse": "Paul"}, on="visits")),
    ("behind a part, by expression", "masked", aggregate(
        {"$match": {"$expr": {"$eq": [{"$substrCP": ["$nurse", 1, 1]}, "a"]}}}, {"$count": "n"},
        on="visits")),
]

# The upstream of these tests cannot run them; a MongoDB can.
UNKNOWN_THERE = [
    ("JavaScript", "doctor", count({"$where": "this.administrative_info.billing_amount > 18000"})),
    ("$function", "doctor", aggregate({"$project": {"x": {"$function": {
        "body": "function(d) { return d }", "args": ["$$ROOT"], "lang": "js"}}}})),
    ("$accumulator", "doctor", aggregate({"$group": {"_id": None, "x": {"$accumulator": {
        "init": "function() {}", "accumulate": "function() {}", "accumulateArgs": ["$$ROOT"],
        "merge": "function() {}", "lang": "js"}}}})),
    ("mapReduce", "doctor", {"mapReduce": "patients", "map": "function() { emit(1, this) }",
                             "reduce": "function(k, v) { return v }", "out": {"inline": 1}}),
    ("the size of the data", "doctor", {"dataSize": "healthcare_db.patients"}),
    ("a positional write by a hidden condition", "researcher", update(
        {"exam.items.price": {"$gt": 50}}, {"$set": {"exam.items.$.qty": 99}}, on="visits",
        multi=True)),
    ("the keys of an index", "doctor", find(
        hint={"administrative_info.billing_amount": 1}, returnKey=True)),
    ("bounds of an index", "doctor", find(
        hint={"administrative_info.billing_amount": 1},
        min={"administrative_info.billing_amount": 18000},
        max={"administrative_info.billing_amount": 19000})),
    ("an index by name", "doctor", find(hint="billing")),
    ("a positional projection of a hidden list", "doctor", find(
        {"_id": TARGET, "medical_info.tests.value": 8},
        projection={"administrative_info.items.$": 1})),
    ("text search", "doctor", count({"$text": {"$search": "HIV"}})),
    ("explain", "doctor", {"explain": count({"notes": "HIV positive"}),
                           "verbosity": "executionStats"}),
    ("explain in an aggregate", "doctor", {"aggregate": "patients", "pipeline": [],
                                           "explain": True}),
    ("$search", "doctor", aggregate({"$search": {"text": {"query": "HIV", "path": "notes"}}})),
    ("a change stream", "doctor", aggregate({"$changeStream": {"fullDocument": "updateLookup"}})),
    ("a cursor's record ids", "doctor", find(showRecordId=True)),
    ("the name of its map-reduce", "doctor", aggregate(isMapReduceCommand=True)),
    ("a shard's part", "doctor", aggregate(fromMongos=True, needsMerge=True)),
    ("constants of another user", "doctor", aggregate(
        {"$project": {"x": "$$USER_ROLES"}},
        runtimeConstants={"userRoles": [{"role": "root", "db": "admin"}]})),
    ("an exchange", "doctor", aggregate(exchange={"policy": "broadcast", "consumers": 1})),
    ("an external source", "doctor", aggregate(**{"$_externalDataSources": [
        {"collName": "patients", "dataSources": [{"url": "file:///x", "storageType": "pipe",
                                                  "fileType": "bson"}]}]})),
    ("the same under another name", "doctor", {"clusterFind": "patients"}),
    ("aggregate under another name", "doctor", {
        "clusterAggregate": "patients", "pipeline": [], "cursor": {}}),
    ("another user's rights", "doctor", find(impersonatedUsers=[{"user": "root", "db": "admin"}])),
    ("another user's record", "doctor", find(**{"$audit": {"$impersonatedUsers": []}})),
    ("inside buckets", "doctor", aggregate({"$_unpackBucket": {
        "timeField": "t", "bucketMaxSpanSeconds": 3600}})),
    ("other cursors' documents", "doctor", aggregate({"$mergeCursors": {
        "sort": None, "remotes": [], "nss": "healthcare_db.patients"}})),
    ("the oplog", "doctor", {"find": "oplog.rs", "$db": "local"}),
    ("stored images of retried writes", "doctor", {"find": "image_collection", "$db": "config"}),
    ("the key vault", "doctor", {"find": "__keyVault", "$db": "encryption"}),
    ("a profile", "doctor", {"find": "system.profile"}),
    ("what others run", "doctor", {"currentOp": 1, "$all": True, "$db": "admin"}),
    ("what others run, as a pipeline", "doctor", {
        "aggregate": 1, "pipeline": [{"$currentOp": {"allUsers": True}}], "cursor": {},
        "$db": "admin"}),
    ("statistics of queries", "doctor", {
        "aggregate": 1, "pipeline": [{"$queryStats": {}}], "cursor": {}, "$db": "admin"}),
    ("cached plans", "doctor", aggregate({"$planCacheStats": {}})),
    ("hashes of collections", "doctor", {"dbHash": 1}),
    ("a validation", "doctor", {"validate": "patients", "full": True}),
    ("points that split it", "doctor", {
        "splitVector": "healthcare_db.patients", "maxChunkSizeBytes": 1,
        "keyPattern": {"administrative_info.billing_amount": 1}}),
    ("a collection by its UUID", "doctor", {
        "find": Binary(bytes(16), 4), "filter": {}}),
    ("a list with a condition", "doctor", {
        "listCollections": 1, "filter": {"$expr": {"$gt": ["$options.x", 1]}}}),
    ("a view of one's own", "doctor", {
        "create": "mine", "viewOn": "patients", "pipeline": []}),
    ("an index that names values", "doctor", {"createIndexes": "patients", "indexes": [
        {"key": {"personal_info.ssn": 1}, "name": "x", "unique": True}]}),
    ("$out", "doctor", aggregate({"$out": "mine"})),
    ("$merge", "doctor", aggregate({"$merge": {"into": "mine"}})),
    ("a collection of buckets", "doctor", {"find": "system.buckets.patients"}),
    ("a comment in the filter", "doctor", count({"$comment": "x"})),
    ("names in capitals", "doctor", {"FIND": "patients"}),
    ("$geoNear", "doctor", aggregate({"$geoNear": {
        "near": [0, 0], "distanceField": "d", "key": "administrative_info.location"}})),
    ("$densify", "doctor", aggregate({"$densify": {
        "field": "administrative_info.billing_amount",
        "range": {"step": 1000, "bounds": "full"}}})),
    ("a conversion that fails with the value", "doctor", aggregate(
        {"$project": {"x": {"$toInt": "$personal_info.ssn"}}})),
    ("a write that needs no document", "doctor", {
        "applyOps": [{"op": "u", "ns": "healthcare_db.patients", "o2": {"_id": TARGET},
                      "o": {"$set": {"administrative_info.hospital": "H-NORD"}}}]}),
    ("bulkWrite", "doctor", {
        "bulkWrite": 1, "ops": [{"update": 0, "filter": {"notes": "HIV positive"},
                                 "updateMods": {"$set": {"medical_info.medication": "x"}}}],
        "nsInfo": [{"ns": "healthcare_db.patients"}], "$db": "admin"}),
    ("getMore of a guess", "doctor", {"getMore": Int64(12345), "collection": "patients"}),
]


# What a writer sees afterwards: the same in both worlds, unless a write has copied something.
SEEN = {
    "patients": {"find": "patients", "filter": {"administrative_info.hospital": "H-NORD"},
                 "projection": {"medical_info": 1}, "sort": {"_id": 1}},
    "visits": {"find": "visits", "filter": {"_id": -1}, "projection": {
        "kind": 1, "tags": 1, "exam.items.code": 1, "exam.items.qty": 1}},
}
READS = ("find", "count", "distinct", "aggregate", "collStats", "dbStats")


def identified(list_):
    return [pytest.param(*a, id=re.sub(r"\W+", "-", a[0] + " " + a[1])) for a in list_]


def documents_agree(arena, user):
    """What the user reads afterwards, too."""
    for collection in ("patients", "visits"):
        arena.must_agree(user, {"find": collection, "filter": {}})


@pytest.mark.parametrize("name, user, command", identified(WORKING))
def test_question_that_works_without_the_proxy(arena, name, user, command):
    for draw in range(8):
        a, b = arena.enter(user, draw).without_proxy(command)
        told = a != b
        if not told and next(iter(command)) not in READS:
            seen = arena.without_proxy(SEEN[next(iter(command.values()))])
            told = seen[0] != seen[1]
        if told:
            break
    assert told, f"the question shows nothing: {a.shown()}"
    arena.enter(user, draw)
    arena.must_agree(user, command)
    documents_agree(arena, user)


@pytest.mark.parametrize("name, user, command", identified(UNKNOWN_THERE))
def test_question_that_a_mongodb_would_answer(arena, name, user, command):
    arena.enter(user)
    answer = arena.must_agree(user, command)
    text = answer.raw
    for secret in (SSN, "HIV positive", "Dr. Who"):
        assert secret.encode() not in text
    documents_agree(arena, user)

"""Stages of pipelines."""

from schema import DATABASE, Schema

ACCUMULATORS = ["$sum", "$avg", "$min", "$max", "$push", "$addToSet", "$first", "$last",
                "$stdDevPop", "$stdDevSamp", "$mergeObjects", "$count", "$firstN", "$lastN",
                "$maxN", "$minN", "$top", "$topN", "$bottom", "$bottomN", "$median",
                "$percentile"]
WINDOWS = ["$sum", "$avg", "$min", "$max", "$push", "$addToSet", "$count", "$first", "$last",
           "$rank", "$denseRank", "$documentNumber", "$shift", "$derivative", "$integral",
           "$expMovingAvg", "$covariancePop", "$linearFill", "$locf", "$stdDevPop"]
# How often each is made.  What begins with a capital is made here of several.
WEIGHTS = {
    "$match": 14, "$project": 9, "$group": 12, "$sort": 7, "$limit": 4, "$skip": 2, "$count": 3,
    "$unwind": 5, "$addFields": 4, "$set": 4, "$unset": 3, "$replaceRoot": 2, "$replaceWith": 2,
    "$sortByCount": 3, "$bucket": 3, "$bucketAuto": 2, "$facet": 3, "$lookup": 6,
    "$unionWith": 3, "$graphLookup": 2, "$redact": 2, "$sample": 1, "$setWindowFields": 3,
    "$densify": 1.5, "$fill": 2, "$documents": 0.5, "$out": 0.5, "$merge": 0.7,
    "$geoNear": 0.3, "$search": 0.2, "$collStats": 0.2, "$indexStats": 0.2, "$changeStream": 0.2,
    "$planCacheStats": 0.1, "$unknown": 0.2, "$vectorSearch": 0.1, "$currentOp": 0.1,
    "$listSessions": 0.1, "$searchMeta": 0.1,
}


class Stages:
    def __init__(self, filters, namespaces):
        self.filters, self.schema, self.rng = filters, filters.schema, filters.rng
        self.expressions = filters.expressions
        self.namespaces = namespaces  # of the user, to look up

    def pipeline(self, longest=4, facet=False):
        rng = self.rng
        made = [self.stage(facet) for _ in range(rng.randint(1, longest))]
        if rng.random() < 0.5:
            made = [{"$match": self.filters.filter(1)}, *made]
        for n, stage in enumerate(made):
            if "$sample" in stage:  # what comes out is in any order: it is counted
                return [*made[:n + 1], {"$group": {"_id": None, "n": {"$sum": 1}}}]
        return made

    def stage(self, facet=False):
        while True:
            name = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            if facet and name in ("$facet", "$out", "$merge", "$documents", "$geoNear"):
                continue
            return {name: getattr(self, "make_" + name[1:], self.make_other)()}

    def path(self, kinds=None):
        return "$" + self.schema.path(kinds)

    def any(self):
        return self.expressions.any(1)

    def make_other(self):
        return {}

    def make_match(self):
        return self.filters.filter()

    def make_project(self):
        return self.filters.projection(in_pipeline=True)

    def make_sort(self):
        return self.filters.sort()

    def make_limit(self):
        return self.rng.choice([1, 2, 3, 5, 10, 100, 0, -1, 2.0])

    def make_skip(self):
        return self.rng.choice([0, 1, 2, 5])

    def make_count(self):
        return self.rng.choice(["n", "count", "x", "a.b", "$x", ""] if self.rng.random() < 0.1
                               else ["n", "count"])

    def make_unwind(self):
        path = self.path("al")
        if self.rng.random() < 0.6:
            return path
        made = {"path": path, "preserveNullAndEmptyArrays": self.rng.choice([True, False])}
        if self.rng.random() < 0.5:
            made["includeArrayIndex"] = self.rng.choice(
                ["i", "exam.i", "cost", "administrative_info.0", self.schema.path()])
        return made

    def make_addFields(self):
        name = self.rng.choice(["x", "y", "medical_info.x", "exam.x", "a.0", self.schema.path()])
        return {name: self.expressions.any()}

    make_set = make_addFields

    def make_unset(self):
        paths = [self.schema.path() for _ in range(self.rng.randint(1, 2))]
        return paths if self.rng.random() < 0.5 else paths[0]

    def make_replaceRoot(self):
        return {"newRoot": self.make_replaceWith()}

    def make_replaceWith(self):
        return self.rng.choice([
            self.expressions.path("o"), {"x": self.any()}, {"a": self.path(), "b": self.path()},
            {"$mergeObjects": [{"a": 1}, self.expressions.path("o")]}, "$$ROOT", self.any()])

    def make_sortByCount(self):
        return self.rng.choice([self.path(), self.path("s"), self.any()])

    def accumulator(self):
        rng = self.rng
        name = rng.choice(ACCUMULATORS)
        if name == "$count":
            return {name: {}}
        if name in ("$firstN", "$lastN", "$maxN", "$minN"):
            return {name: {"input": self.any(), "n": rng.randint(1, 3)}}
        if name in ("$top", "$bottom"):
            return {name: {"sortBy": self.filters.sort(), "output": self.any()}}
        if name in ("$topN", "$bottomN"):
            return {name: {"sortBy": self.filters.sort(), "output": self.any(), "n": 2}}
        if name == "$median":
            return {name: {"input": self.path("n"), "method": "approximate"}}
        if name == "$percentile":
            return {name: {"input": self.path("n"), "p": [0.5, 0.9], "method": "approximate"}}
        if name == "$mergeObjects":
            return {name: self.expressions.path("o")}
        if name in ("$sum", "$avg", "$stdDevPop", "$stdDevSamp"):
            return {name: rng.choice([1, self.path("n"), self.expressions.of("n", 1)])}
        return {name: rng.choice([self.path(), self.any(),
                                  "$$ROOT" if rng.random() < 0.3 else self.path()])}

    def key(self):
        rng = self.rng
        return rng.choice([None, self.path("s"), self.path(), self.any(),
                           {"a": self.path("s"), "b": self.path()},
                           {"$dateTrunc": {"date": self.path("d"), "unit": "month"}}])

    def make_group(self):
        made = {"_id": self.key()}
        for name in self.rng.sample(["n", "x", "y", "cost", "a.b"][:4], self.rng.randint(0, 2)):
            made[name] = self.accumulator()
        return made

    def make_bucket(self):
        rng = self.rng
        made = {"groupBy": rng.choice([self.path("n"), self.expressions.of("n", 1)]),
                "boundaries": sorted({rng.choice([0, 10, 20, 40, 100, 1000, 18000, 50000])
                                      for _ in range(4)})}
        if rng.random() < 0.8:
            made["default"] = "other"
        if rng.random() < 0.6:
            made["output"] = {"n": {"$sum": 1}, "x": self.accumulator()}
        return made

    def make_bucketAuto(self):
        rng = self.rng
        made = {"groupBy": rng.choice([self.path("n"), self.any()]), "buckets": rng.randint(1, 5)}
        if rng.random() < 0.3:
            made["output"] = {"n": {"$sum": 1}, "x": self.accumulator()}
        return made

    def make_facet(self):
        return {name: self.pipeline(2, facet=True) for name in "ab"[:self.rng.randint(1, 2)]}

    def other(self):
        """A collection to look up, and paths of it."""
        collection = self.rng.choice(self.namespaces)
        return collection, self.__class__(
            self.filters.__class__(Schema(self.rng, self.schema.user, collection,
                                          self.schema.literals)), self.namespaces)

    def make_lookup(self):
        rng = self.rng
        collection, other = self.other()
        made = {"from": collection, "as": rng.choice(["found", "found", "found", "exam.found",
                                                      self.schema.path()])}
        form = rng.choice(["fields", "fields", "pipeline", "both"])
        if form != "pipeline":
            kinds = rng.choice(["s", "n", "i", None])
            made.update(localField=self.schema.path(kinds), foreignField=other.schema.path(kinds))
        if form != "fields":
            made["pipeline"] = other.pipeline(2)
            if rng.random() < 0.7:
                made["let"] = {"v": self.any()}
                made["pipeline"].insert(0, {"$match": {"$expr": {
                    rng.choice(["$eq", "$gt"]): [other.path(), "$$v"]}}})
        return made

    def make_unionWith(self):
        collection, other = self.other()
        if self.rng.random() < 0.3:
            return collection
        return {"coll": collection, "pipeline": other.pipeline(2)}

    def make_graphLookup(self):
        rng = self.rng
        collection, other = self.other()
        kinds = rng.choice(["s", "i", "n"])
        made = {"from": collection, "startWith": self.path(kinds),
                "connectFromField": other.schema.path(kinds),
                "connectToField": other.schema.path(kinds), "as": "found",
                "maxDepth": 0}  # this upstream walks through what restrictSearchWithMatch forbids
        if rng.random() < 0.3:
            made["restrictSearchWithMatch"] = other.filters.filter(0)
        return made

    def make_redact(self):
        rng = self.rng
        bare = rng.choice(["ssn", "billing_amount", "price", "cost", "kind", "age"])
        return {"$cond": [rng.choice([{"$gt": ["$" + bare, self.schema.number()]},
                                      {"$eq": [{"$type": "$" + bare}, "missing"]},
                                      self.expressions.of("b", 1)]),
                          rng.choice(["$$DESCEND", "$$KEEP"]), "$$PRUNE"]}

    def make_sample(self):
        return {"size": 10000}

    def window(self):
        rng = self.rng
        name = rng.choice(WINDOWS)
        if name in ("$rank", "$denseRank", "$documentNumber", "$count"):
            return {name: {}}
        if name == "$shift":
            return {name: {"output": self.path(), "by": rng.choice([1, -1]), "default": None}}
        if name in ("$derivative", "$integral"):
            return {name: {"input": self.path("n")}, "window": {"documents": [-1, 0]}}
        if name == "$expMovingAvg":
            return {name: {"input": self.path("n"), "N": 2}}
        if name == "$covariancePop":
            return {name: [self.path("n"), self.path("n")]}
        made = {name: self.path("n") if name in ("$sum", "$avg", "$linearFill", "$stdDevPop")
                else self.path()}
        if name not in ("$linearFill", "$locf") and rng.random() < 0.5:
            made["window"] = {"documents": rng.choice([[-1, 1], ["unbounded", "current"]])}
        return made

    def make_setWindowFields(self):
        made = {"sortBy": {**self.filters.sort(), "_id": 1},
                "output": {self.rng.choice(["w", "exam.w"]): self.window()}}
        if self.rng.random() < 0.5:
            made["partitionBy"] = self.path("s")
        return made

    def make_densify(self):
        rng = self.rng
        made = {"field": self.schema.path("n"), "range": {
            "step": rng.choice([10, 50, 20000]), "bounds": rng.choice([[0, 100], "full"])}}
        if rng.random() < 0.3:
            made["partitionByFields"] = [self.schema.path("s")]
        return made

    def make_fill(self):
        rng = self.rng
        made = {"output": {self.schema.path(): rng.choice(
            [{"value": self.any()}, {"method": "locf"}, {"method": "linear"}])}}
        if "method" in str(made) or rng.random() < 0.5:
            made["sortBy"] = {self.schema.path("n"): 1, "_id": 1}
        if rng.random() < 0.3:
            made["partitionByFields"] = [self.schema.path("s")]
        return made

    def make_documents(self):
        return [{"a": 1, "kind": "scan"}, {"a": 2, "x": {"b": 1}}]

    def make_out(self):
        return self.rng.choice(["stolen", {"db": DATABASE, "coll": "stolen"}, "visits"])

    def make_merge(self):
        return {"into": self.rng.choice(["stolen", "visits", "patients"]),
                "whenMatched": self.rng.choice(["replace", "merge", "keepExisting"])}

    def make_geoNear(self):
        return {"near": [0, 0], "distanceField": "d", "key": "exam.place"}

    def make_search(self):
        return {"text": {"query": "a", "path": self.schema.path("s")}}

    def make_collStats(self):
        return {"count": {}}

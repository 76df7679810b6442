"""Whole commands of one user: reads, writes, and what is neither."""

import random

from filters import Filters
from schema import DATABASE, NAMESPACES, PATHS, VIEW, Schema
from stages import Stages

# The share of each kind; writes cost a restore in both worlds.
KINDS = {"find": 26, "count": 7, "distinct": 7, "aggregate": 42, "update": 8, "findAndModify": 5,
         "delete": 2, "insert": 2, "other": 2}
COLLATIONS = [{"locale": "en", "strength": 1}, {"locale": "en", "strength": 2}, {"locale": "fr"},
              {"locale": "simple"}, {"locale": "en", "numericOrdering": True}]


class Commands:
    def __init__(self, rng, user, literals):
        self.rng, self.user = rng, user
        spaces = NAMESPACES[user]
        self.collection = rng.choices(list(spaces), list(spaces.values()))[0]
        self.schema = Schema(rng, user, self.collection, literals)
        self.filters = Filters(self.schema)
        self.stages = Stages(self.filters, list(spaces))
        self.kind = rng.choices(list(KINDS), list(KINDS.values()))[0]

    def command(self):
        made = getattr(self, "make_" + self.kind)()
        if self.rng.random() < 0.03:
            made.update(self.rng.choice([
                {"comment": "x"}, {"comment": {"purpose": "payment"}}, {"maxTimeMS": 60000},
                {"readConcern": {"level": "local"}}, {"comment": {"role": "import"}},
                {"fromMongos": True}, {"apiVersion": "1"}, {"frobnicate": 1}]))
        made["$db"] = made.get("$db", DATABASE)
        return made

    def some(self, made, **options):
        """Adds each option with its chance; one that is callable is made then."""
        for name, (chance, value) in options.items():
            if self.rng.random() < chance:
                made[name] = value() if callable(value) else value
        return made

    def collation(self):
        return self.rng.choice(COLLATIONS)

    def hint(self):
        rng = self.rng
        return rng.choice(["_id_", {"_id": 1}, {"$natural": 1}, {self.schema.path(): 1}, "kind_1",
                           {"kind": 1}, {"administrative_info.billing_amount": 1}, "cost_1"])

    def make_find(self):
        rng = self.rng
        made = {"find": self.collection}
        return self.some(
            made, filter=(0.85, self.filters.filter), sort=(0.35, self.filters.sort),
            projection=(0.4, self.filters.projection), limit=(0.2, lambda: rng.choice([1, 2, 5, 0])),
            skip=(0.1, lambda: rng.choice([0, 1, 3])),
            batchSize=(0.15, lambda: rng.choice([1, 2, 5, 0])), singleBatch=(0.05, True),
            collation=(0.04, self.collation), hint=(0.04, self.hint),
            min=(0.01, lambda: {self.schema.path(): self.schema.literal()}),
            max=(0.01, lambda: {self.schema.path(): self.schema.literal()}),
            let=(0.03, lambda: {"v": rng.choice([1, "$" + self.schema.path()])}),
            returnKey=(0.01, True), showRecordId=(0.01, True), allowDiskUse=(0.02, True),
            noCursorTimeout=(0.01, False), tailable=(0.005, True))

    def make_count(self):
        return self.some({"count": self.collection}, query=(0.9, self.filters.filter),
                         limit=(0.1, 3), skip=(0.1, 1), hint=(0.04, self.hint),
                         collation=(0.04, self.collation))

    def make_distinct(self):
        return self.some({"distinct": self.collection, "key": self.schema.path()},
                         query=(0.5, self.filters.filter), collation=(0.04, self.collation))

    def make_aggregate(self):
        rng = self.rng
        made = {"aggregate": self.collection, "pipeline": self.stages.pipeline(),
                "cursor": {} if rng.random() < 0.9 else {"batchSize": rng.choice([0, 1, 3])}}
        if rng.random() < 0.01:
            made["aggregate"] = 1
            made["pipeline"] = [{"$documents": [{"a": 1}]}, self.stages.stage()]
        return self.some(made, collation=(0.03, self.collation), hint=(0.03, self.hint),
                         let=(0.03, lambda: {"v": self.stages.any()}), allowDiskUse=(0.03, True))

    # ------------------------------------------------------------------------- writes

    def value(self):
        return self.schema.literal(self.schema.path())

    def written(self):
        """A path that the user may write, mostly."""
        rng = self.rng
        writable = {"doctor": "medical_info", "clerk": "administrative_info",
                    "masked": "exam"}.get(self.user)
        if rng.random() < 0.25:
            return self.schema.path()
        if self.collection == VIEW:
            return rng.choice(list(PATHS[VIEW]))
        if writable in ("exam", None):
            return rng.choice(["kind", "exam.result", "exam.value", "tags", "exam.items.0.qty",
                               "exam.new", "patient"])
        return writable + "." + rng.choice(["condition", "medication", "x", "tests",
                                            "billing_amount", "insurance_provider"])

    def change(self):
        rng = self.rng
        chance = rng.random()
        if chance < 0.06:
            return [{rng.choice(["$set", "$addFields"]): {self.written(): self.stages.any()}},
                    *([{"$unset": self.schema.path()}] if rng.random() < 0.3 else [])]
        if chance < 0.1:
            return {"kind": "x", "exam": {"value": 1}}
        made = {}
        for _ in range(rng.choices([1, 2], [8, 2])[0]):
            name = rng.choices(
                ["$set", "$unset", "$inc", "$mul", "$min", "$max", "$push", "$addToSet", "$pull",
                 "$pop", "$rename", "$setOnInsert", "$bit", "$pullAll"],
                [10, 3, 2, 1, 2, 2, 3, 2, 3, 1, 1, 1, .5, 1])[0]
            made.setdefault(name, {})[self.written()] = self.operand(name)
        return made

    def operand(self, name):
        rng = self.rng
        if name in ("$inc", "$mul", "$min", "$max"):
            return rng.choice([1, 2, 100, self.value()])
        if name == "$push":
            return rng.choice([1, self.value(), {"$each": [1, 2], "$slice": -2},
                               {"$each": [], "$sort": {"price": 1}, "$slice": 1}])
        if name == "$pull":
            return rng.choice([self.value(), {"price": {"$gt": 50}}, {"code": "scan"},
                               {"$gt": 2}])
        if name == "$pop":
            return rng.choice([1, -1])
        if name == "$rename":
            return rng.choice(["exam.renamed", "medical_info.renamed", self.schema.path()])
        if name == "$bit":
            return {"or": 1}
        if name == "$pullAll":
            return [self.value()]
        return "" if name == "$unset" else self.value()

    def make_update(self):
        rng = self.rng
        items = []
        for _ in range(rng.choices([1, 2], [8, 2])[0]):
            items.append(self.some(
                {"q": self.filters.filter(1), "u": self.change()}, multi=(0.3, True),
                upsert=(0.06, True), collation=(0.02, self.collation), hint=(0.02, self.hint),
                sort=(0.02, self.filters.sort),
                arrayFilters=(0.05, lambda: [{"i.price": {"$gt": 50}}])))
            self.name_new(items[-1], "q")
            if "arrayFilters" in items[-1]:
                items[-1]["u"] = {"$set": {"exam.items.$[i].qty": 9}}
        return self.some({"update": self.collection, "updates": items}, ordered=(0.2, False),
                         let=(0.02, lambda: {"v": 1}))

    def make_findAndModify(self):
        rng = self.rng
        made = {"findAndModify": self.collection, "query": self.filters.filter(1)}
        if rng.random() < 0.2:
            made["remove"] = True
        else:
            made["update"] = self.change()
        self.some(made, new=(0.4, True), sort=(0.4, self.filters.sort),
                  fields=(0.3, self.filters.projection), upsert=(0.05, True),
                  collation=(0.02, self.collation), hint=(0.02, self.hint))
        self.name_new(made, "query")
        return made

    def name_new(self, item, filter_name):
        """The database draws an _id for what an upsert makes, unless the filter has one."""
        if item.get("upsert"):
            item[filter_name]["_id"] = "upsert %d" % self.rng.randrange(10 ** 9)

    def make_delete(self):
        return {"delete": self.collection, "deletes": [self.some(
            {"q": self.filters.filter(1), "limit": self.rng.choice([0, 1])},
            collation=(0.03, self.collation), hint=(0.03, self.hint))]}

    def make_insert(self):
        rng = self.rng
        documents = []
        for _ in range(rng.randint(1, 2)):
            document = {"_id": rng.choice([rng.randint(0, 60), "new %d" % rng.randrange(10 ** 9)])}
            for path in ("kind", "patient", "cost", "ward", "score", "secret"):
                if rng.random() < 0.4:
                    document[path] = self.schema.literal(path)
            documents.append(document)
        return self.some({"insert": self.collection, "documents": documents}, ordered=(0.3, False))

    def make_other(self):
        rng, on = self.rng, self.collection
        return rng.choice([
            {"explain": self.make_find(), "verbosity": "executionStats"},
            {"listCollections": 1, "nameOnly": True},
            {"listCollections": 1, "nameOnly": True, "filter": {"name": on}},
            {"listDatabases": 1, "$db": "admin"}, {"listIndexes": on}, {"collStats": on},
            {"dbStats": 1}, {"validate": on}, {"dataSize": f"{DATABASE}.{on}"},
            {"getMore": 123, "collection": on}, {"killCursors": on, "cursors": [1]},
            {"ping": 1}, {"connectionStatus": 1}, {"drop": on},
            {"createIndexes": on, "indexes": [{"key": {self.schema.path(): 1}, "name": "x"}]},
            {"mapReduce": on, "map": "f", "reduce": "f", "out": {"inline": 1}},
            {"find": rng.choice(["other", "system.views", "a$b", "", "stolen"])},
            {"frobnicate": 1}, {"create": "mine", "viewOn": on, "pipeline": []},
            {"collMod": on, "validator": {}}, {"dropDatabase": 1}, {"hello": 1},
            {"renameCollection": f"{DATABASE}.{on}", "to": f"{DATABASE}.x", "$db": "admin"}])


def make(seed, number, user, literals):
    """The command of a number: the same for the same seed."""
    commands = Commands(random.Random(f"{seed}/{number}"), user, literals)
    return commands.kind, commands.command()

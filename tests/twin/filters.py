"""Query filters, sorts and projections."""

import re

from bson import Regex

from expressions import Expressions


class Filters:
    def __init__(self, schema):
        self.schema, self.rng = schema, schema.rng
        self.expressions = Expressions(schema)

    def filter(self, depth=2):
        rng = self.rng
        if rng.random() < 0.15:
            return {}
        made = {}
        for _ in range(rng.choices([1, 2, 3], [6, 3, 1])[0]):
            made.update(self.clause(depth))
        return made

    def clause(self, depth):
        rng = self.rng
        chance = rng.random()
        if depth > 0 and chance < 0.15:
            return {rng.choice(["$and", "$or", "$nor"]): [
                self.filter(depth - 1) for _ in range(rng.randint(1, 2))]}
        if chance < 0.2:
            return {"$expr": self.expressions.of("b", 2)}
        if chance < 0.205:
            return {"$jsonSchema": {"properties": {self.schema.path(): {"bsonType": "string"}}}}
        if chance < 0.21:
            return rng.choice([{"$where": "true"}, {"$text": {"$search": "a"}},
                               {"$comment": "x"}, {"$sampleRate": 1.0}])
        path = self.schema.path()
        return {path: self.condition(path, depth)}

    def condition(self, path, depth):
        rng, literal = self.rng, self.schema.literal
        if rng.random() < 0.35:
            value = literal(path)
            # A document whose first name begins with `$` would be operators.
            return {"$eq": value} if isinstance(value, dict) else value
        if rng.random() < 0.1:
            return {"$not": self.operator(path, depth)}
        made = self.operator(path, depth)
        if rng.random() < 0.15:
            made = {**made, **self.operator(path, depth)}
        return made

    def operator(self, path, depth):
        rng, literal = self.rng, self.schema.literal
        name = rng.choices(
            ["$gt", "$gte", "$lt", "$lte", "$eq", "$ne", "$in", "$nin", "$exists", "$type",
             "$regex", "$all", "$size", "$mod", "$elemMatch", "$bitsAllSet", "$bitsAnyClear"],
            [5, 4, 5, 4, 3, 3, 4, 2, 3, 2, 3, 1, 1, 1, 3, .5, .5])[0]
        if name in ("$in", "$nin", "$all"):
            return {name: [v for v in (literal(path) for _ in range(rng.randint(0, 3)))
                           if not isinstance(v, dict) or not str(next(iter(v), "")).startswith("$")]}
        if name == "$exists":
            return {name: rng.choice([True, False])}
        if name == "$type":
            return {name: rng.choice(["string", "number", "date", "array", "object", "null", 2])}
        if name == "$regex":
            value = literal(path)
            text = re.escape(value[:3]) if isinstance(value, str) else "a"
            return {name: rng.choice(["^" + text, text, Regex(text, "i")])}
        if name == "$size":
            return {name: rng.randint(0, 3)}
        if name == "$mod":
            return {name: [rng.choice([2, 3, 5]), 1]}
        if name.startswith("$bits"):
            return {name: rng.choice([1, 2, 4])}
        if name == "$elemMatch":
            if rng.random() < 0.4 or depth <= 0:
                return {name: rng.choice([{"$gt": 2}, {"$in": ["urgent", 3]}, {"$exists": True}])}
            last = path.rsplit(".", 1)[-1]
            inner = {"tests": ["code", "value"], "items": ["code", "qty", "price"],
                     "personal_info": ["ssn", "age"]}.get(last, ["x", "code"])
            return {name: {rng.choice(inner): self.condition(path, 0)}}
        return {name: literal(path)}

    def sort(self):
        rng = self.rng
        made = {self.schema.path(): rng.choice([1, -1]) for _ in range(rng.randint(1, 2))}
        if rng.random() < 0.5:
            made["_id"] = 1
        if rng.random() < 0.02:
            made = rng.choice([{"$natural": -1}, {"x": {"$meta": "textScore"}}, {"_id": 2}])
        return made

    def projection(self, in_pipeline=False):
        rng = self.rng
        paths = {self.schema.path() for _ in range(rng.randint(1, 3))}
        paths = {p for p in paths if not any(p != q and p.startswith(q + ".") for q in paths)}
        if rng.random() < 0.35:
            made = {p: rng.choice([0, False]) for p in paths}
        else:
            made = {p: rng.choice([1, True, 1.0]) for p in paths}
            if rng.random() < 0.3:
                made["_id"] = 0
            if rng.random() < (0.5 if in_pipeline else 0.1):
                made[rng.choice(["x", "y.z", "medical_info.x"])] = self.expressions.any()
        if not in_pipeline and rng.random() < 0.1:
            made.pop("medical_info.tests", None)
            made[rng.choice(["medical_info.tests", "exam.items", "tags"])] = rng.choice([
                {"$slice": 1}, {"$slice": [1, 1]}, {"$elemMatch": {"code": "scan"}},
                {"$elemMatch": {"price": {"$gt": 50}}}])
        if rng.random() < 0.02:
            made[rng.choice(["exam.items.$", "a.0", "$x", "", "a..b"])] = 1
        return made

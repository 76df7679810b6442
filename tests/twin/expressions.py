"""Aggregation expressions, made by the kind of value that they give."""

# Operators by result.  Each operand is a kind: n number, s text, d date, b truth, a list,
# o document, x anything; an operator with one operand takes it bare or in a list.
OPERATORS = {
    "n": [("$abs", "n"), ("$add", "nn"), ("$ceil", "n"), ("$floor", "n"), ("$divide", "nn"),
          ("$exp", "n"), ("$ln", "n"), ("$log10", "n"), ("$log", "nn"), ("$mod", "nn"),
          ("$multiply", "nn"), ("$pow", "nn"), ("$round", "n"), ("$sqrt", "n"),
          ("$subtract", "nn"), ("$trunc", "n"), ("$sin", "n"), ("$cos", "n"), ("$tan", "n"),
          ("$asin", "n"), ("$acos", "n"), ("$atan", "n"), ("$atan2", "nn"), ("$sinh", "n"),
          ("$cosh", "n"), ("$tanh", "n"), ("$asinh", "n"), ("$acosh", "n"), ("$atanh", "n"),
          ("$degreesToRadians", "n"), ("$radiansToDegrees", "n"), ("$cmp", "xx"),
          ("$size", "a"), ("$strLenCP", "s"), ("$strLenBytes", "s"), ("$indexOfCP", "ss"),
          ("$indexOfBytes", "ss"), ("$indexOfArray", "ax"), ("$strcasecmp", "ss"),
          ("$year", "d"), ("$month", "d"), ("$dayOfMonth", "d"), ("$dayOfWeek", "d"),
          ("$dayOfYear", "d"), ("$hour", "d"), ("$minute", "d"), ("$second", "d"),
          ("$millisecond", "d"), ("$week", "d"), ("$isoWeek", "d"), ("$isoWeekYear", "d"),
          ("$isoDayOfWeek", "d"), ("$bsonSize", "o"), ("$sum", "nn"), ("$avg", "nn"),
          ("$min", "nn"), ("$max", "nn"), ("$stdDevPop", "nn"), ("$stdDevSamp", "nn"),
          ("$toInt", "n"), ("$toLong", "n"), ("$toDouble", "n"), ("$toDecimal", "n"),
          ("$bitAnd", "nn"), ("$bitOr", "nn"), ("$bitXor", "nn"), ("$bitNot", "n"),
          ("$binarySize", "s"), ("$tsSecond", "x"), ("$tsIncrement", "x")],
    "s": [("$concat", "ss"), ("$toLower", "s"), ("$toUpper", "s"), ("$toString", "x"),
          ("$type", "x"), ("$substr", "snn"), ("$substrCP", "snn"), ("$substrBytes", "snn")],
    "b": [("$eq", "xx"), ("$ne", "xx"), ("$gt", "xx"), ("$gte", "xx"), ("$lt", "xx"),
          ("$lte", "xx"), ("$and", "bb"), ("$or", "bb"), ("$not", "b"), ("$in", "xa"),
          ("$isArray", "x"), ("$isNumber", "x"), ("$allElementsTrue", "A"),
          ("$anyElementTrue", "A"), ("$setEquals", "aa"), ("$setIsSubset", "aa"),
          ("$toBool", "x")],
    "d": [("$toDate", "d")],
    "a": [("$concatArrays", "aa"), ("$setUnion", "aa"), ("$setIntersection", "aa"),
          ("$setDifference", "aa"), ("$reverseArray", "a"), ("$slice", "an"), ("$split", "ss"),
          ("$range", "nn"), ("$objectToArray", "o")],
    "o": [("$mergeObjects", "oo")],
    "x": [("$ifNull", "xx"), ("$arrayElemAt", "an"), ("$first", "a"), ("$last", "a"),
          ("$literal", "x")],
}
UNITS = ["year", "month", "day", "hour", "week"]
WHOLE = ["$$ROOT", "$$CURRENT"]


class Expressions:
    def __init__(self, schema):
        self.schema, self.rng = schema, schema.rng
        self.variables = []  # (name, kind), bound around what is being made

    def any(self, depth=2):
        return self.of(self.rng.choice("nsdbaox"), depth)

    def of(self, kind, depth=2):
        rng = self.rng
        if kind == "A":
            return [self.of("a", depth - 1)]
        if depth <= 0 or rng.random() < 0.35:
            return self.leaf(kind)
        special = self.special(kind, depth - 1)
        if special is not None:
            return special
        operator, operands = rng.choice(OPERATORS.get(kind) or OPERATORS["x"])
        if operator == "$literal":
            return {operator: self.schema.literal(self.schema.path())}
        made = [self.of(k, depth - 1) for k in operands]
        if len(made) == 1 and rng.random() < 0.7 and operator not in ("$toDate",):
            return {operator: made[0]}
        return {operator: made}

    def leaf(self, kind):
        rng, schema = self.rng, self.schema
        fitting = [name for name, k in self.variables if k == kind]
        if fitting and rng.random() < 0.6:
            return "$$" + rng.choice(fitting)
        if rng.random() < 0.7 and kind in "nsdaxoi":
            return self.path({"n": "n", "s": "s", "d": "d", "a": "al", "o": "o", "i": "i",
                              "x": None}[kind])
        if kind == "o":
            return rng.choice([{}, {"x": self.path()}, {"a": 1, "b": self.path()},
                               rng.choice(WHOLE) if rng.random() < schema.wildness + 0.1 else {}])
        if kind == "a":
            return rng.choice([[], [1, 2], [self.path(), 1], ["urgent", self.path("s")]])
        if kind == "n":
            return schema.number()
        if kind == "s":
            return rng.choice(["", "a", "scan", "Asthma", "285", {"$literal": "$x"}])
        if kind == "d":
            return rng.choice([{"$year": "$$NOW"}, {"$literal": schema.literal("at")}, self.path("d")])
        if kind == "b":
            return rng.choice([True, False, {"$gt": [self.path("n"), schema.number()]},
                               {"$eq": [path := "$" + schema.path(), self.safe(path)]}])
        return self.safe("$" + schema.path())

    def safe(self, path):
        """A value to compare with; text that begins with `$` would be a path."""
        value = self.schema.literal(path[1:])
        return {"$literal": value} if isinstance(value, (str, dict, list)) else value

    def path(self, kinds=None):
        rng = self.rng
        if kinds == "o":
            from schema import ANCESTORS
            wild = rng.random() < self.schema.wildness
            if wild and rng.random() < 0.5:
                return rng.choice(WHOLE)
            ancestors = ANCESTORS[self.schema.collection]
            if not wild:
                ancestors = [a for a in ancestors if self.is_clear(a)]
            return "$" + rng.choice(ancestors) if ancestors else {}
        path = self.schema.path(kinds)
        prefix = rng.choices(["$", "$$ROOT.", "$$CURRENT."], [94, 4, 2])[0]
        return prefix + path

    def is_clear(self, ancestor):
        from schema import PATHS
        below = [p for p in PATHS[self.schema.collection] if p.startswith(ancestor + ".")]
        return all(p in self.schema.clear for p in below)

    def bound(self, name, kind, depth, wanted):
        self.variables.append((name, kind))
        made = self.of(wanted, depth)
        self.variables.pop()
        return made

    def special(self, kind, depth):
        """Operators with named operands, or None."""
        rng, of = self.rng, self.of
        chance = rng.random()
        if chance < 0.06:
            return {"$cond": [of("b", depth), of(kind, depth), of(kind, depth)]}
        if chance < 0.1:
            return {"$cond": {"if": of("b", depth), "then": of(kind, depth),
                              "else": rng.choice([of(kind, depth), "$$REMOVE"])}}
        if chance < 0.14:
            return {"$switch": {"branches": [{"case": of("b", depth), "then": of(kind, depth)}],
                                "default": of(kind, depth)}}
        if chance < 0.18:
            bound = rng.choice("nsx")
            return {"$let": {"vars": {"v": of(bound, depth)},
                             "in": self.bound("v", bound, depth, kind)}}
        if chance < 0.21:
            return {"$getField": rng.choice([
                rng.choice(["notes", "cost", "kind", "_id"]),
                {"field": rng.choice(["ssn", "name", "billing_amount", "qty", "value"]),
                 "input": of("o", depth)},
                {"field": {"$literal": "cost"}, "input": "$$ROOT"}])}
        if chance < 0.24:
            return {"$ifNull": [of(kind, depth), of(kind, depth)]}
        maker = getattr(self, "special_" + kind, None)
        return maker(depth) if maker and chance < 0.55 else None

    def special_n(self, depth):
        rng, of = self.rng, self.of
        return rng.choice([
            lambda: {"$dateDiff": {"startDate": of("d", depth), "endDate": of("d", depth),
                                   "unit": rng.choice(UNITS)}},
            lambda: {"$reduce": {"input": of("a", depth), "initialValue": 0,
                                 "in": {"$add": ["$$value", 1]}}},
            lambda: {"$convert": {"input": of("x", depth), "to": rng.choice(["int", "double"]),
                                  "onError": of("n", 0), "onNull": 0}},
            lambda: {"$convert": {"input": of("s", depth), "to": "long"}},
            lambda: {"$round": [of("n", depth), rng.choice([0, 1, -1, -2])]},
            lambda: {"$sum": of("a", depth)}, lambda: {"$max": of("a", depth)},
            lambda: {"$median": {"input": of("a", depth), "method": "approximate"}},
        ])()

    def special_s(self, depth):
        rng, of = self.rng, self.of
        return rng.choice([
            lambda: {"$trim": {"input": of("s", depth)}},
            lambda: {"$ltrim": {"input": of("s", depth), "chars": "A"}},
            lambda: {"$rtrim": {"input": of("s", depth)}},
            lambda: {"$replaceOne": {"input": of("s", depth), "find": "a",
                                     "replacement": of("s", 0)}},
            lambda: {"$replaceAll": {"input": of("s", depth), "find": of("s", 0),
                                     "replacement": "_"}},
            lambda: {"$dateToString": {"date": of("d", depth), "format": "%Y-%m"}},
            lambda: {"$convert": {"input": of("x", depth), "to": "string", "onError": "?"}},
        ])()

    def special_b(self, depth):
        rng, of = self.rng, self.of
        return {"$regexMatch": {"input": of("s", depth), "regex": rng.choice(["a", "^A", "28.*6"])}}

    def special_d(self, depth):
        rng, of = self.rng, self.of
        unit = rng.choice(UNITS)
        return rng.choice([
            lambda: {"$dateAdd": {"startDate": of("d", depth), "unit": unit, "amount": 1}},
            lambda: {"$dateSubtract": {"startDate": of("d", depth), "unit": unit, "amount": 2}},
            lambda: {"$dateTrunc": {"date": of("d", depth), "unit": unit}},
            lambda: {"$dateFromParts": {"year": of("n", 0), "month": 3}},
            lambda: {"$dateFromString": {"dateString": of("s", depth), "onError": None}},
            lambda: {"$dateFromString": {"dateString": of("s", 0)}},
        ])()

    def special_a(self, depth):
        rng, of = self.rng, self.of
        return rng.choice([
            lambda: {"$map": {"input": of("a", depth), "as": "e",
                              "in": self.bound("e", "x", depth, rng.choice("xn"))}},
            lambda: {"$filter": {"input": of("a", depth), "as": "e",
                                 "cond": rng.choice([{"$gt": ["$$e.price", 50]},
                                                     {"$ne": ["$$e", 1]},
                                                     self.bound("e", "x", 0, "b")])}},
            lambda: {"$sortArray": {"input": of("a", depth),
                                    "sortBy": rng.choice([1, -1, {"price": 1}, {"code": -1}])}},
            lambda: {"$zip": {"inputs": [of("a", depth), of("a", 0)]}},
            lambda: {"$firstN": {"input": of("a", depth), "n": 2}},
            lambda: {"$lastN": {"input": of("a", depth), "n": 2}},
            lambda: {"$maxN": {"input": of("a", depth), "n": 2}},
            lambda: {"$minN": {"input": of("a", depth), "n": 2}},
            lambda: {"$regexFindAll": {"input": of("s", depth), "regex": "a"}},
            lambda: {"$reduce": {"input": of("a", depth), "initialValue": [],
                                 "in": {"$concatArrays": ["$$value", ["$$this"]]}}},
        ])()

    def special_o(self, depth):
        rng, of = self.rng, self.of
        return rng.choice([
            lambda: {"$setField": {"field": "x", "input": of("o", 0), "value": of("x", depth)}},
            lambda: {"$unsetField": {"field": rng.choice(["ssn", "name", "cost"]),
                                     "input": of("o", 0)}},
            lambda: {"$arrayToObject": [[{"k": "a", "v": of("x", depth)}]]},
            lambda: {"$dateToParts": {"date": of("d", depth)}},
            lambda: {"$regexFind": {"input": of("s", depth), "regex": "a"}},
        ])()

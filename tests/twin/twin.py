"""The twin-world test: whatever a role asks, two worlds that differ in what it may not know
must say the same.

Commands come in blocks; each block has a user and documents of its own.  A command and its
documents depend on the seed and the number alone, and each begins with the documents of its
block as they were, so that any can be run again by itself.
"""

import collections
import random
import sys
import time

import bson
import bson.json_util
import bson.raw_bson
from bson import Int64

import commands
import patients
import schema
import worlds as twin_worlds
from schema import DATABASE, VIEW
from worlds import Reply, is_refusal

BLOCK = 250
LANES = 4  # connections of a world that are asked at the same time
SECURE = "secure_view"  # a database that holds what the user sees, for what should come out
WRITES = ("insert", "update", "delete", "findAndModify", "other")

# What is refused on purpose, whatever it would give: it is left out of what should be answered.
BEYOND = ("$where", "$text", "$search", "$searchMeta", "$vectorSearch", "$collStats",
          "$indexStats", "$planCacheStats", "$currentOp", "$listSessions", "$changeStream", "$out",
          "$merge", "$geoNear", "$unknown", "$jsonSchema", "$comment", "$natural", "$meta",
          "__mw", "returnKey", "showRecordId", "hint", "min", "max", "tailable", "fromMongos",
          "frobnicate", "collation", "apiVersion", "role", "explain")
RAW = bson.codec_options.CodecOptions(document_class=bson.raw_bson.RawBSONDocument)


def names_of(value):
    """Every key of a command, and the last part of its paths that are keys."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if "." in key:
                yield key.split(".")[0]
            yield from names_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names_of(inner)
    elif isinstance(value, str) and value.startswith("$__mw"):
        yield "__mw"


def collections_of(value):
    """Other collections that a pipeline reads."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$unionWith":
                yield inner if isinstance(inner, str) else inner["coll"]
            if key in ("$lookup", "$graphLookup"):
                yield inner["from"]
            yield from collections_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from collections_of(inner)


def families_of(kind, command):
    """Stages by name, down to those within stages; other commands by theirs."""
    if kind != "aggregate":
        return {kind}
    return {name for name in stage_names(command["pipeline"])} or {"aggregate"}


def stage_names(pipeline):
    for stage in pipeline:
        for name, value in stage.items():
            yield name
            inner = value if isinstance(value, dict) else {}
            for part in [inner.get("pipeline"), *(inner.values() if name == "$facet" else [])]:
                if isinstance(part, list):
                    yield from stage_names(part)


class Counts:
    """Of one family: commands, and what became of them."""

    def __init__(self):
        self.asked = self.answered = self.refused = self.failed = 0
        self.defined = self.served = self.unlike = 0


class Difference:
    def __init__(self, seed, number, user, command, replies, what):
        self.seed, self.number, self.user = seed, number, user
        self.command, self.replies, self.what = command, replies, what

    def __str__(self):
        return (f"{self.user} {self.what}:\n  {bson.json_util.dumps(self.command)}\n"
                + "\n".join(f"  {line[:4000]}" for line in apart(*self.replies))
                + f"\n  again: tests/twin/run --seed {self.seed} --only {self.number}")


def apart(a, b):
    """Where two replies begin to differ, for people."""
    batches = [r.document().get("cursor", {}).get("firstBatch") for r in (a, b)]
    if all(batches):
        for n, (x, y) in enumerate(zip(*batches)):
            if bson.encode(x) != bson.encode(y):
                return [f"{name}, document {n} of {len(batch)}: {bson.json_util.dumps(d)}"
                        for name, batch, d in zip("ab", batches, (x, y))]
    return [f"a: {a.shown()}", f"b: {b.shown()}"]


# Those who see a random-encrypted field, or its ciphertext: behind a barrier its ciphertext has
# an order, too.
SEE_SEALED = ("sealed", "clerk")


class Twin:
    def __init__(self, worlds, seed, size=40, out=sys.stdout, without_proxy=False):
        self.worlds, self.seed, self.size, self.out = worlds, seed, size, out
        self.without_proxy = without_proxy  # to see that there is something to be found
        self.counts = collections.defaultdict(Counts)
        self.users = collections.Counter()
        self.differences = []
        self.unlike = []  # answers that differ from the same command on what the user sees
        self.total = 0
        self.spent = collections.Counter()

    # ------------------------------------------------------------------------- a block

    def user_of(self, block):
        users = schema.SHARES
        return random.Random(f"{self.seed}/user {block}").choices(
            list(users), list(users.values()))[0]

    def enter(self, block):
        """Fills both worlds for the block's user."""
        begun = time.monotonic()
        self.user = self.user_of(block)
        rng = random.Random(f"{self.seed}/documents {block}")
        first = patients.base(rng, rng.randint(20, self.size))
        second = patients.twins(rng, first, self.user)
        for world, documents in zip(self.worlds, (first, second)):
            world.fill(documents)
        if self.user in SEE_SEALED:
            self.worlds[1].take_sealed(self.worlds[0], "patients", "personal_info.ssn")
        self.login = None if self.without_proxy else self.user
        self.readable = []
        shown = {}
        for collection in ("patients", "visits", VIEW):
            command = {"find": collection, "$db": DATABASE, "batchSize": 10000}
            answers = [w.ask(self.user, command) for w in self.worlds]
            if answers[0] != answers[1]:
                self.differ(block * BLOCK, command, answers, "sees two worlds to begin with")
            if answers[0].ok:
                shown[collection] = answers[0].document()["cursor"]["firstBatch"]
                self.readable.append(collection)
        self.materialise(shown)
        self.literals = schema.collect_literals((first, second), shown)
        self.stored = [{name: list(w.direct[DATABASE].get_collection(name, RAW).find())
                        for name in ("patients", "visits")} for w in self.worlds]
        self.spent["filling"] += time.monotonic() - begun

    def materialise(self, shown):
        database = self.worlds[0].direct[SECURE]
        self.has_ids = {name for name, documents in shown.items()
                        if all("_id" in d for d in documents)}
        for name in ("patients", "visits", VIEW):
            database[name].drop()
        for name, documents in shown.items():
            if documents:
                database[name].insert_many(documents)

    def restore(self):
        begun = time.monotonic()
        for world, stored in zip(self.worlds, self.stored):
            for name, documents in stored.items():
                restore(world.direct[DATABASE].get_collection(name, RAW), documents)
        self.spent["restoring"] += time.monotonic() - begun

    # ----------------------------------------------------------------------- a command

    def defined(self, kind, command):
        """Whether the same command on what the user sees is one that should be answered."""
        if kind in WRITES or kind == "other":
            return False
        if not {command[next(iter(command))], *collections_of(command)} <= {1, *self.readable}:
            return False
        return not any(name in BEYOND for name in names_of(command))

    def run_reads(self, batch):
        """Commands that change nothing, several at a time."""
        begun = time.monotonic()
        waiting = []
        for lane, (number, kind, command) in enumerate(batch):
            body = bson.encode(command)
            asked = [w.lane(self.login, lane) for w in self.worlds]
            for connection in asked:
                connection.put(body)
            secure = None
            if self.defined(kind, command):
                secure = self.worlds[0].lane(None, lane)
                secure.put(bson.encode({**command, "$db": SECURE}))
            waiting.append((number, kind, command, asked, secure))
        for number, kind, command, asked, secure in waiting:
            try:
                replies = [Reply(connection.take()) for connection in asked]
                wanted = Reply(secure.take()) if secure else None
            except TimeoutError as error:
                raise AssertionError(f"no answer to number {number}: {self.user}: "
                                     f"{bson.json_util.dumps(command)}") from error
            self.judge(number, kind, command, replies, wanted)
            self.drain(number, command, replies, asked)
        self.spent["reading"] += time.monotonic() - begun

    def drain(self, number, command, replies, asked):
        """The rest of cursors, batch by batch."""
        collection = command[next(iter(command))]
        for _ in range(200):
            if not any(getattr(r, "cursor_id", 0) for r in replies):
                return
            more = []
            for reply, connection in zip(replies, asked):
                if not getattr(reply, "cursor_id", 0):
                    return  # was found to differ already
                connection.put(bson.encode({
                    "getMore": Int64(reply.cursor_id), "batchSize": 7, "$db": DATABASE,
                    "collection": collection if isinstance(collection, str)
                    else "$cmd.aggregate"}))
                more.append(Reply(connection.take()))
            replies = more
            if replies[0] != replies[1]:
                self.differ(number, command, replies, "tells the worlds apart by getMore")
                return

    def run_write(self, number, kind, command):
        begun = time.monotonic()
        body = bson.encode(command)
        asked = [w.lane(self.login, 0) for w in self.worlds]
        for connection in asked:
            connection.put(body)
        replies = [Reply(connection.take()) for connection in asked]
        self.judge(number, kind, command, replies, None)
        if any(self.changed(r) for r in replies):
            self.compare_collections(number, command)
            self.restore()
        self.spent["writing"] += time.monotonic() - begun

    @staticmethod
    def changed(reply):
        if is_refusal(reply):
            return False
        known = (b"n", b"nModified", b"lastErrorObject", b"upserted")
        return any(name in reply.fields for name in known) or not reply.ok

    def compare_collections(self, number, command):
        for collection in self.readable:
            after = [w.ask(self.user, {"find": collection, "$db": DATABASE, "batchSize": 10000})
                     for w in self.worlds]
            if after[0] != after[1]:
                self.differ(number, command, after,
                            f"tells the worlds apart by {collection}, after it")

    def differ(self, number, command, replies, what="tells the worlds apart"):
        self.differences.append(
            Difference(self.seed, number, self.user, command, replies, what))

    def judge(self, number, kind, command, replies, wanted):
        if replies[0] != replies[1]:
            self.differ(number, command, replies)
        reply = replies[0]
        refused = is_refusal(reply)
        defined = wanted is not None and wanted.ok
        unlike = bool(defined and reply.ok and not refused and self.is_unlike(
            command, reply, wanted))
        if unlike:
            self.unlike.append(Difference(
                self.seed, number, self.user, command, (reply, wanted),
                "is not answered (a) as on its secure view (b)"))
        self.total += 1
        for family in {"all", kind, *families_of(kind, command)}:
            c = self.counts[family]
            c.asked += 1
            c.refused += refused
            c.answered += reply.ok
            c.failed += not reply.ok and not refused
            c.defined += defined
            c.served += defined and reply.ok
            c.unlike += unlike

    def is_unlike(self, command, reply, wanted):
        """Whether an answer is another than the command gives on what the user sees."""
        if not {command[next(iter(command))], *collections_of(command)} <= self.has_ids:
            return False
        # Of a list within a document this upstream excludes nothing.
        if any(not value and part in path for stage in command.get("pipeline", [])
               for path, value in stage.get("$project", {}).items()
               for part in (".tests.", ".items.")):
            return False
        return essence(reply) != essence(wanted)

    # ----------------------------------------------------------------------------- all

    def run(self, numbers):
        entered = None
        batch = []
        for number in numbers:
            if number // BLOCK != entered:
                self.flush(batch)
                entered = number // BLOCK
                self.enter(entered)
                self.users[self.user] += 0
            kind, command = commands.make(self.seed, number, self.user, self.literals)
            self.users[self.user] += 1
            if kind in WRITES or {"$out", "$merge"} & set(names_of(command)):
                self.flush(batch)
                self.run_write(number, kind, command)
            else:
                batch.append((number, kind, command))
                if len(batch) == LANES:
                    self.flush(batch)
        self.flush(batch)

    def flush(self, batch):
        if batch:
            self.run_reads(batch)
            batch.clear()

    def report(self):
        print(f"{'':16}{'asked':>8}{'answered':>9}{'refused':>8}{'failed':>7}"
              f"{'defined':>8}{'served':>7}{'':>7}{'unlike':>7}", file=self.out)
        for name, c in sorted(self.counts.items(), key=lambda i: (i[0] != "all", i[0])):
            share = f"{100 * c.served / c.defined:5.0f} %" if c.defined else ""
            print(f"{name:16}{c.asked:8}{c.answered:9}{c.refused:8}{c.failed:7}"
                  f"{c.defined:8}{c.served:7}{share:>7}{c.unlike:7}", file=self.out)
        print("users: " + ", ".join(f"{n} {u}" for u, n in self.users.most_common()),
              file=self.out)
        print("seconds: " + ", ".join(f"{n} {s:.0f}" for n, s in self.spent.most_common()),
              file=self.out)

    def below(self, family_floor, floor, least=30):
        """Families of reads that are answered too seldom; those seldom asked do not count."""
        found = []
        for name, c in self.counts.items():
            wanted = floor if name == "all" else family_floor
            if c.defined >= least and 100 * c.served < wanted * c.defined:
                found.append(f"{name}: {c.served} of {c.defined}, under {wanted} %")
        return found


def restore(collection, documents):
    """What it held, in its order; documents that are as they were stay."""
    now = list(collection.find())
    if [d["_id"] for d in now] != [d["_id"] for d in documents]:
        collection.delete_many({})
        if documents:
            collection.insert_many(documents)
        return
    for there, wanted in zip(now, documents):
        if there.raw != wanted.raw:
            collection.replace_one({"_id": wanted["_id"]}, wanted)


def essence(reply):
    """What a reply says, whichever database it speaks of.

    An empty document or list is no difference: what is left of one whose fields are all hidden
    is not shown, and what a projection leaves of it is.
    """
    document = reply.document()
    if "cursor" in document:
        return [bson.encode(filled(d) or {}) for d in document["cursor"]["firstBatch"]]
    if "values" in document:
        return [bson.encode({"v": filled(v)}) for v in document["values"]]
    return document.get("n")


def filled(value):
    """Without what is empty; without names with dots, which no path of a policy means."""
    if isinstance(value, dict):
        made = {k: filled(v) for k, v in value.items() if "." not in k}
        return {k: v for k, v in made.items() if v is not None or value[k] is None} or None
    if isinstance(value, list):
        return [filled(v) for v in value] or None
    return value


__all__ = ["Twin", "BLOCK", "twin_worlds"]

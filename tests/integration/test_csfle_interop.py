"""What keys/ seals, the drivers' own library opens, and the other way round.

Needs pymongo[encryption] and, beside the program that $PROXY names, the csfle_tool that
`make check` builds.
"""
import datetime
import os
import pathlib
import subprocess
import uuid

import bson
import pytest
from bson.binary import Binary
from bson.code import Code
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp
from pymongocrypt.mongocrypt import MongoCryptOptions
from pymongocrypt.synchronous.explicit_encrypter import ExplicitEncrypter
from pymongocrypt.synchronous.state_machine import MongoCryptCallback

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(os.environ.get("PROXY", ROOT / "mongoward")).parent / "tests/unit/csfle_tool"

NAMES = {
    1: "AEAD_AES_256_CBC_HMAC_SHA_512-Deterministic",
    2: "AEAD_AES_256_CBC_HMAC_SHA_512-Random",
}
BOTH = (1, 2)
RANDOM = (2,)
VALUES = [
    ("string", "Ada Durand", BOTH),
    ("empty string", "", BOTH),
    ("long string", "é" * 20000, BOTH),
    *[(f"string of {n}", "x" * n, BOTH) for n in (10, 11, 12, 26, 27, 28)],
    ("int32", 42, BOTH),
    ("int64", Int64(42), BOTH),
    ("object id", ObjectId(), BOTH),
    ("date", datetime.datetime(1970, 1, 2), BOTH),
    ("timestamp", Timestamp(1, 2), BOTH),
    ("regex", Regex("^a", "i"), BOTH),
    ("binary", Binary(b"\0\1\2"), BOTH),
    ("old binary", Binary(b"\0\1\2", 2), BOTH),
    ("UUID", Binary.from_uuid(uuid.uuid4()), BOTH),
    ("code", Code("x = 1"), BOTH),
    ("double", 1.5, RANDOM),
    ("bool", True, RANDOM),
    ("decimal", Decimal128("1.5"), RANDOM),
    ("document", {"a": {"b": [1, "c", None]}}, RANDOM),
    ("array", [1, {"a": 2}], RANDOM),
    ("code with scope", Code("x = y", {"y": 1}), RANDOM),
]
CASES = [
    pytest.param(algorithm, value, id=f"{name}-{algorithm}")
    for name, value, algorithms in VALUES
    for algorithm in algorithms
]


class Tool:
    """csfle_tool, spoken to line by line."""

    def __init__(self, key_file):
        self.process = subprocess.Popen(
            [TOOL, key_file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0


class Vault(MongoCryptCallback):
    """A key vault that is a list."""

    def __init__(self, *documents):
        self.documents = list(documents)

    def fetch_keys(self, filter):
        yield from self.documents

    def insert_data_key(self, data_key):
        self.documents.append(bytes(data_key))
        return bson.decode(self.documents[-1])["_id"]

    def bson_encode(self, doc):
        return bson.encode(doc)

    def close(self):
        pass

    def kms_request(self, kms_context):
        raise AssertionError("the local provider asks nobody")

    collection_info = mark_command = kms_request


class World:
    """One master key, and both sides that have it."""

    def __init__(self, tool, master):
        self.tool = tool
        self.master = master
        self.document = bytes.fromhex(tool.ask("make", "db.coll", "a.b"))
        self.driver = self.encrypter(Vault(self.document))
        self.key_id = bson.decode(self.document)["_id"]

    def encrypter(self, vault):
        return ExplicitEncrypter(vault, MongoCryptOptions({"local": {"key": self.master}}))

    def driver_seals(self, algorithm, value):
        sealed = self.driver.encrypt(
            bson.encode({"v": value}), NAMES[algorithm], key_id=bytes(self.key_id)
        )
        return bson.decode(sealed)["v"]

    def driver_opens(self, content):
        return self.driver.decrypt(bson.encode({"v": Binary(content, 6)}))

    def tool_seals(self, algorithm, value):
        kind, encoded = element(value)
        sealed = self.tool.ask("seal", "db.coll", "a.b", algorithm, kind, encoded.hex())
        return bytes.fromhex(sealed)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    key_file = tmp_path_factory.mktemp("keys") / "master.key"
    master = os.urandom(96)
    key_file.touch(0o600)
    key_file.write_bytes(master)
    tool = Tool(key_file)
    yield World(tool, master)
    tool.close()


def element(value):
    """Type and bytes of a value, as they stand in a document."""
    document = bson.encode({"": value})
    return document[4], document[6:-1]


def opened(algorithm, value):
    """What csfle_tool answers when it opened that."""
    kind, encoded = element(value)
    return f"opened {algorithm} {kind} {encoded.hex()}"


@pytest.mark.parametrize("algorithm, value", CASES)
def test_driver_seals_we_open(world, algorithm, value):
    sealed = world.driver_seals(algorithm, value)
    assert world.tool.ask("open", sealed.hex()) == opened(algorithm, value)


@pytest.mark.parametrize("algorithm, value", CASES)
def test_we_seal_driver_opens(world, algorithm, value):
    content = world.tool_seals(algorithm, value)
    assert world.driver_opens(content) == bson.encode({"v": value})


@pytest.mark.parametrize("value", [value for _, value, algorithms in VALUES if 1 in algorithms])
def test_deterministic_is_the_same_on_both_sides(world, value):
    assert world.tool_seals(1, value) == bytes(world.driver_seals(1, value))


def test_document_is_as_drivers_make_them(world):
    theirs = Vault()
    world.encrypter(theirs).create_data_key("local", key_alt_names=["x"])
    ours, theirs = bson.decode(world.document), bson.decode(theirs.documents[0])
    assert {k: type(v) for k, v in ours.items()} == {k: type(v) for k, v in theirs.items()}
    for key in ("_id", "keyMaterial"):
        assert len(ours[key]) == len(theirs[key])
    for key in ("status", "masterKey"):
        assert ours[key] == theirs[key]


def test_drivers_documents_are_foreign(world):
    theirs = Vault()
    encrypter = world.encrypter(theirs)
    encrypter.create_data_key("local")
    encrypter.create_data_key("local", key_alt_names=["name-key"])
    encrypter.create_data_key("local", key_alt_names=["mongoward:db.coll:c"])
    answers = [world.tool.ask("add", document.hex()) for document in theirs.documents]
    assert answers == ["foreign", "foreign", "bad"]


def rewrapped(world):
    """The key document after a driver's rewrapManyDataKey."""
    (change,) = bson.decode(world.driver.rewrap_many_data_key({}))["v"]
    document = bson.decode(world.document)
    assert change["_id"] == document["_id"]
    assert change["keyMaterial"] != document["keyMaterial"]
    document["keyMaterial"] = change["keyMaterial"]
    document["masterKey"] = change["masterKey"]
    document["updateDate"] = datetime.datetime.now(datetime.timezone.utc)
    return document


def test_drivers_may_rewrap_and_name(world):
    """The MAC is over the key, not over its wrapping; further names are nobody's business."""
    document = rewrapped(world)
    document["keyAltNames"].insert(1, "patients-name")
    fresh = Tool(world.tool.process.args[1])
    assert fresh.ask("add", bson.encode(document).hex()) == "added"
    sealed = world.tool_seals(1, "x")
    assert fresh.ask("open", sealed.hex()) == opened(1, "x")
    fresh.close()

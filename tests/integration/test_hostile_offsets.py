"""Bytes that no driver sends, at every offset, against the live proxy."""

import contextlib
import pathlib
import random
import re
import resource
import shutil
import socket
import struct
import threading
import urllib.request

import bson
import pytest

import wire
from conftest import finish, patient
from harness import Proxy, eventually, password_of

SENTINEL = 0x5EC
FIND = {"find": "patients", "filter": {"administrative_info.hospital": "H-NORD"}, "limit": 1,
        "$db": "healthcare_db"}
HELLO = {"hello": 1, "$db": "admin"}
BEFORE_LOGIN = 64 * 1024  # longest message of a connection that has not logged in
MESSAGE_MAX = 48000000
DEPTH_MAX = 180


@pytest.fixture(scope="module", autouse=True)
def _data(loaded):
    yield


@pytest.fixture
def connect(proxy):
    """connect() to a connection that has not logged in, connect(user) to one that has."""
    with contextlib.ExitStack() as opened:
        def connect(user=None):
            client = opened.enter_context(wire.Client(proxy.port, proxy.ca))
            if user:
                assert client.login(user, password_of(user))["ok"] == 1
            return client
        yield connect


@pytest.fixture(autouse=True)
def _still_serves(proxy):
    yield
    assert proxy.server.running()
    with wire.Client(proxy.port, proxy.ca) as client:
        assert client.login("dr.nord", password_of("dr.nord"))["ok"] == 1
        assert len(client.command(FIND)["cursor"]["firstBatch"]) == 1


def answers_up_to_sentinel(client):
    """Bodies of the answers before the one to the sentinel, and whether that one came."""
    found = []
    with contextlib.suppress(EOFError, OSError):
        while True:
            body, response_to = (lambda p: (p[2], p[5]))(client.receive())
            if response_to == SENTINEL:
                return found, True
            found.append(body)
    return found, False


def probe(client, raw):
    """Sends `raw` and a good hello behind it."""
    with contextlib.suppress(OSError):
        client.send(raw + wire.op_msg(HELLO, request_id=SENTINEL))
    return answers_up_to_sentinel(client)


def refused_and_closed(client, raw, code):
    answers, goes_on = probe(client, raw)
    assert not goes_on
    assert [a["code"] for a in answers] == [code]
    assert answers[0]["ok"] == 0


def refused(client, raw, code):
    answers, goes_on = probe(client, raw)
    assert goes_on
    assert [a.get("code") for a in answers] == [code]


# ------------------------------------------------------------- torn and lying

def test_torn_before_login(connect):
    whole = wire.op_msg(HELLO)
    for cut in range(len(whole)):
        client = connect()
        client.send(whole[:cut])
        client.close()


def test_torn_after_login(connect, loaded):
    before = loaded.count_documents({})
    whole = wire.op_msg({"insert": "patients", "$db": "healthcare_db"},
                        wire.sequence("documents", {"metadata": {"source": "torn"}}))
    for cut in range(len(whole)):
        client = connect("import-job")
        client.send(whole[:cut])
        client.close()
    assert loaded.count_documents({}) == before


@pytest.mark.parametrize("user", [None, "dr.nord"])
def test_whole_frame_around_a_cut_payload(connect, user):
    whole = wire.op_msg(FIND if user else HELLO)
    for cut in range(17, len(whole)):
        refused_and_closed(connect(user), struct.pack("<i", cut) + whole[4:cut], 17)


def test_length_of_the_document_lies(connect):
    body = bson.encode(FIND)
    for length in (-1, 0, 4, len(body) - 1, len(body) + 1, 0x7FFFFFFF):
        raw = wire.op_msg(struct.pack("<i", length) + body[4:])
        answers, goes_on = probe(connect("dr.nord"), raw)
        assert not goes_on and [a["code"] for a in answers] in ([17], [22])


def test_length_of_a_sequence_lies(connect):
    whole = wire.sequence("documents", {"a": 1})
    for size in (-1, 0, 3, 4, len(whole) - 2, len(whole), 0x7FFFFFFF):
        raw = wire.op_msg({"insert": "patients", "$db": "healthcare_db"},
                          wire.sequence("documents", {"a": 1}, size=size))
        refused_and_closed(connect("import-job"), raw, 17)


def changed(whole, offset, value):
    """`whole` with one byte changed; completed if it says that it is longer."""
    raw = bytearray(whole)
    raw[offset] = value
    length, = struct.unpack_from("<i", raw)
    if len(raw) < length <= BEFORE_LOGIN:
        raw += bytes(length - len(raw))
    return bytes(raw), length


@pytest.mark.parametrize("user", [None, "dr.nord"])
def test_each_byte_changed(connect, user):
    whole, client = wire.op_msg(FIND if user else HELLO), connect(user)
    for offset in range(4, len(whole)):
        for value in {whole[offset] ^ 1, 0xFF - whole[offset], 0xFF, 0} - {whole[offset]}:
            raw, _ = changed(whole, offset, value)
            answers, goes_on = probe(client, raw)
            assert len(answers) <= 1
            assert "H-SUD" not in str(answers) and "Emma" not in str(answers)
            if not goes_on:
                assert not answers or answers[0]["ok"] == 0
                client.close()
                client = connect(user)


def test_each_byte_of_the_length_changed(connect):
    whole = wire.op_msg(HELLO)
    for offset in range(4):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            raw, length = changed(whole, offset, value)
            client = connect()
            if 0 <= length < 16:
                refused_and_closed(client, raw, 17)
            elif not 0 <= length <= BEFORE_LOGIN:
                refused_and_closed(client, raw, 10334)
            else:
                client.send(raw)


# --------------------------------------------------------------- slow, early

@pytest.mark.parametrize("user", [None, "dr.nord"])
def test_byte_by_byte(connect, user):
    client = connect(user)
    for byte in wire.op_msg(FIND if user else HELLO):
        client.send(bytes([byte]))
    assert client.receive()[2]["ok"] == 1


def test_split_at_each_offset(connect):
    client, other = connect("dr.nord"), connect()
    whole = wire.op_msg(FIND)
    for cut in range(1, len(whole)):
        client.send(whole[:cut])
        assert other.command(HELLO)["ok"] == 1
        client.send(whole[cut:])
        assert client.receive()[2]["ok"] == 1


def test_two_frames_split_at_each_offset(connect):
    client = connect("dr.nord")
    both = wire.op_msg(FIND, request_id=1) + wire.op_msg(FIND, request_id=2)
    for cut in range(1, len(both)):
        client.send(both[:cut])
        client.send(both[cut:])
        assert [client.receive()[5] for _ in range(2)] == [1, 2]


def test_sent_ahead_is_answered_in_order(connect):
    client = connect("dr.nord")
    client.send(b"".join(wire.op_msg(FIND, request_id=n) for n in range(1, 201)))
    assert [client.receive()[5] for _ in range(200)] == list(range(1, 201))


# ------------------------------------------------------------------ oversized

def padded(document, length, *sections):
    """An OP_MSG of exactly that many bytes."""
    spare = length - len(wire.op_msg({**document, "comment": ""}, *sections))
    raw = wire.op_msg({**document, "comment": "x" * spare}, *sections)
    assert len(raw) == length
    return raw


def test_longest_message_before_login(connect):
    client = connect()
    assert client.call(padded(HELLO, BEFORE_LOGIN))["ok"] == 1
    refused_and_closed(client, padded(HELLO, BEFORE_LOGIN + 1), 10334)


def test_longest_message_after_login(connect):
    client = connect("dr.nord")
    document = bson.encode({"x": bytes(15000000)})
    sections = wire.sequence("documents", document, document, document)
    raw = padded({"insert": "patients", "$db": "healthcare_db"}, MESSAGE_MAX, sections)
    assert client.call(raw)["code"] == 13
    refused_and_closed(client, struct.pack("<iiii", MESSAGE_MAX + 1, 1, 0, wire.OP_MSG), 10334)


def test_longest_document(connect):
    client = connect("dr.nord")
    long = {"find": "patients", "filter": {"x": bytes(17 * 1024 * 1024)}, "$db": "healthcare_db"}
    refused(client, wire.op_msg(long), 10334)


# --------------------------------------------------------------- two readings

def test_checksum(connect):
    client = connect("dr.nord")
    whole = wire.op_msg(FIND, checksum=True)
    assert client.call(whole)["ok"] == 1
    refused_and_closed(client, whole[:-1] + bytes([whole[-1] ^ 1]), 17)


@pytest.mark.parametrize("sections", [
    [wire.sequence("documents", {"a": 1}), wire.sequence("documents", {"a": 2})],
    [b"\0" + bson.encode({"find": "patients"})],
    [b"\2" + bson.encode({})],
    [b"\xff"],
    [b"\0"],
    [b"\1"],
    [b"\1\x04\0\0\0"],
    [wire.sequence("documents", bson.encode({"a": 1}) + b"\0")],
    [b"\1" + struct.pack("<i", 7) + b"\xff\xfe\0"],
    [wire.sequence(name) for name in "abcde"],
])
def test_sections(connect, sections):
    raw = wire.op_msg({"insert": "patients", "$db": "healthcare_db"}, *sections)
    refused_and_closed(connect("import-job"), raw, 17)


def test_required_flags(connect):
    for bit in range(2, 16):
        refused_and_closed(connect("dr.nord"), wire.op_msg(FIND, flags=1 << bit), 17)


def string(name, text):
    return wire.element(2, name, struct.pack("<i", len(text) + 1) + text.encode() + b"\0")


def test_a_field_twice(connect):
    client = connect("dr.nord")
    base = [string("find", "patients"), string("$db", "healthcare_db")]
    twice = [
        [*base, string("find", "other")],
        [*base, string("$db", "other_db")],
        [*base, wire.element(3, "filter", bson.encode({})), wire.element(3, "filter", bson.encode({}))],
    ]
    for elements in twice:
        refused(client, wire.op_msg(wire.raw_document(*elements)), 9)
    body = {"insert": "patients", "documents": [{"a": 1}], "$db": "healthcare_db"}
    refused(client, wire.op_msg(body, wire.sequence("documents", {"a": 2})), 9)


@pytest.mark.parametrize("inner", [
    wire.element(16, b"\xff", bytes(4)),
    wire.element(16, b"\xc0\x80", bytes(4)),
    wire.element(16, b"\xed\xa0\x80", bytes(4)),
    wire.element(8, "a", b"\2"),
    wire.element(0x20, "a", b""),
    wire.element(2, "a", struct.pack("<i", 100) + b"x\0"),
    wire.element(2, "a", struct.pack("<i", 0)),
    wire.element(3, "a", struct.pack("<i", 6) + b"\0\0"),
    wire.element(5, "a", struct.pack("<i", -1) + b"\0"),
    b"\x10a",
    b"\x00",
])
def test_invalid_bson(connect, inner):
    bad = wire.raw_document(string("find", "patients"), string("$db", "healthcare_db"),
                            wire.element(3, "filter", wire.raw_document(inner)))
    refused_and_closed(connect("dr.nord"), wire.op_msg(bad), 22)


def test_depth(connect):
    def nested(depth):
        raw = wire.raw_document()
        for _ in range(depth - 1):
            raw = wire.raw_document(wire.element(3, "a", raw))
        return raw

    def command(depth):  # the command itself is the first level
        return wire.op_msg(wire.raw_document(
            string("insert", "patients"), string("$db", "healthcare_db")),
            wire.sequence("documents", nested(depth)))
    client = connect("dr.nord")
    refused(client, command(DEPTH_MAX), 13)
    refused(client, command(DEPTH_MAX + 1), 15)
    refused(client, command(100000), 15)


def test_commands_without_a_command(connect):
    client = connect("dr.nord")
    refused(client, wire.op_msg({}), 9)
    refused(client, wire.op_msg({"find": "patients"}), 40571)
    refused(client, wire.op_msg({"find": "patients", "$db": 1}), 14)
    for db in ("", "a.b", "a b", "a$b", "a\\b", "a/b", "x" * 64):
        refused(client, wire.op_msg({"find": "patients", "$db": db}), 73)
    refused(client, wire.op_msg({"ping": 1, **{f"f{n}": 1 for n in range(64)}, "$db": "a"}), 9)


# -------------------------------------------------------------------- opcodes

@pytest.mark.parametrize("opcode", [
    0, 1, 1000, 2001, 2002, 2005, 2006, 2007, 2010, 2011, 2012, 2014, -1, 0x7FFFFFFF])
def test_opcodes(connect, opcode):
    for user in (None, "dr.nord"):
        raw = wire.frame(opcode, b"\0\0\0\0\0" + bson.encode(FIND))
        refused_and_closed(connect(user), raw, 17)


@pytest.mark.parametrize("user", [None, "dr.nord"])
@pytest.mark.parametrize("document", [
    {"find": "patients"}, {"ping": 1}, {"buildInfo": 1}, {"saslStart": 1}, {"nothing": 1},
    {"insert": "patients", "documents": [{"a": 1}]}])
def test_op_query_is_for_the_handshake_only(connect, user, document):
    client = connect(user)
    client.send(wire.op_query(document, "healthcare_db.$cmd"))
    opcode, _, body, *_ = client.receive()
    assert opcode == wire.OP_REPLY and body["ok"] == 0 and body["code"] == 352
    assert client.ended() is True


@pytest.mark.parametrize("collection", ["healthcare_db.patients", "$cmd", ".$cmd", "", "x"])
def test_op_query_on_a_collection(connect, collection):
    client = connect("dr.nord")
    client.send(wire.op_query({}, collection))
    answer = client.ended()
    assert answer is True or (answer["ok"] == 0 and client.ended() is True)


def test_op_query_cut_at_each_offset(connect):
    whole = wire.op_query({"isMaster": 1})
    for cut in range(16, len(whole)):
        client = connect()
        client.send(struct.pack("<i", cut) + whole[4:cut])
        answer = client.ended()
        assert answer is True or (answer["ok"] == 0 and client.ended() is True)


def names_of_commands():
    text = (pathlib.Path(__file__).parents[2] / "proxy/query/commands.def").read_text()
    rows = re.findall(r'COMMAND\(\w+, "(\w+)", "\w*",\s*\w+, \w+, (\w+),', text)
    return [name for name, how in rows if how != "LOCAL"]


def test_commands_before_login(connect):
    client, names = connect(), names_of_commands()
    assert "find" in names and "insert" in names and len(names) > 20
    for name in [*names, "eval", "shutdown", "nothing", ""]:
        answer = client.command({name: "patients", "$db": "healthcare_db"})
        assert answer["ok"] == 0 and answer["code"] == 13, name


# --------------------------------------------------------------------- random

def test_random_bytes_in_place_of_tls(proxy):
    random_ = random.Random(1)
    for _ in range(100):
        with wire.Client(proxy.port) as client, contextlib.suppress(OSError):
            client.send(random_.randbytes(random_.randrange(1, 600)))


@pytest.mark.parametrize("user", [None, "dr.nord"])
def test_random_frames(connect, user):
    random_, client = random.Random(2), connect(user)
    opcodes = [wire.OP_MSG] * 8 + [wire.OP_QUERY] * 4 + [wire.OP_COMPRESSED, 2010, 0]
    for _ in range(200):
        body = random_.randbytes(random_.randrange(200))
        if random_.random() < 0.7:
            body = bytearray(wire.op_msg(FIND)[16:])
            for _ in range(random_.randrange(1, 6)):
                body[random_.randrange(len(body))] = random_.randrange(256)
        answers, goes_on = probe(client, wire.frame(random_.choice(opcodes), bytes(body)))
        assert "H-SUD" not in str(answers)
        if not goes_on:
            client.close()
            client = connect(user)


# ------------------------------------------------------------------ resources

def metric(proxy, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}/metrics", timeout=30) as page:
        return float(re.search(rf"^{name} (\S+)$", page.read().decode(), re.M)[1])


def resident_mb(proxy):
    text = pathlib.Path(f"/proc/{proxy.server.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+)", text)[1]) / 1024


def push(client, raw):
    """Sends it again and again, and reads nothing, until the connection ends."""
    def run():
        with contextlib.suppress(OSError, ValueError):
            while True:
                client.stream.sendall(raw)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("user", [None, "import-job"])
def test_client_that_never_reads(proxy, connect, loaded, user):
    if user:
        loaded.insert_one(patient("Greedy", "H-SUD", ssn="1", metadata={"source": "x" * 1000000}))
        raw = wire.op_msg({"find": "patients", "filter": {"administrative_info.hospital": "H-SUD"},
                           "$db": "healthcare_db"}) * 1000
    else:
        raw = wire.op_msg(HELLO) * 1000
    connect("dr.nord").command(FIND)
    before = resident_mb(proxy)
    greedy, other = connect(user), connect("dr.nord")
    thread = push(greedy, raw)
    for _ in range(300):
        assert other.command(FIND)["ok"] == 1
        assert resident_mb(proxy) - before < 100
    # Its commands are no longer taken: what is unanswered stays in its own socket.
    greedy.stream.shutdown(socket.SHUT_RDWR)
    thread.join(30)
    assert not thread.is_alive()
    loaded.delete_many({"administrative_info.hospital": "H-SUD", "personal_info.name": "Greedy"})


@pytest.fixture
def proxy_with(proxy, tmp_path):
    """Another proxy with the same keys and users, and limits that a test can reach."""
    started = []

    def start(**limits):
        own = Proxy(tmp_path / "other", proxy.upstream_uri)
        shutil.copytree(proxy.folder, own.folder, ignore=shutil.ignore_patterns(
            "*.jsonl", "checkpoints", "proxy.log", "*lock*"))
        for name, value in limits.items():
            own.env[f"MONGOWARD_LIMITS_{name.upper()}"] = value
        started.append(own.start())
        return own
    yield start
    for own in started:
        finish(own)


def test_ten_thousand_connections_that_say_nothing(request, proxy_with):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 12000, "this test needs 12000 descriptors: raise the hard limit"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    request.addfinalizer(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)))
    own = proxy_with(connections="11000", handshake="60s")
    silent = []
    try:
        for _ in range(10000):
            silent.append(socket.create_connection(("127.0.0.1", own.port), 30))
        eventually(lambda: metric(own, "mongoward_client_connections") >= 10000)
        with wire.Client(own.port, own.ca) as client:
            assert client.login("dr.nord", password_of("dr.nord"))["ok"] == 1
            for _ in range(20):
                assert client.command(FIND)["ok"] == 1
        assert metric(own, "mongoward_client_connections") >= 10000
    finally:
        for one in silent:
            one.close()


def test_silent_ones_are_closed_in_time(proxy_with):
    own = proxy_with(handshake="300ms")
    plain = wire.Client(own.port)
    shaken = wire.Client(own.port, own.ca)
    begun = wire.Client(own.port, own.ca)
    begun.send(wire.op_msg(HELLO)[:7])
    for client in (plain, shaken, begun):
        assert client.ended() is True
        client.close()


def test_one_over_the_limit_is_turned_away(proxy_with):
    own = proxy_with(connections="4", per_user_connections="2")
    held = [wire.Client(own.port, own.ca) for _ in range(4)]
    for client in held:
        assert client.command(HELLO)["ok"] == 1
    with wire.Client(own.port) as fifth:
        assert fifth.ended() is True
    logins = [c.login("dr.nord", password_of("dr.nord")) for c in held[:3]]
    assert [a["ok"] for a in logins] == [1, 1, 0] and logins[2]["code"] == 18
    for client in held:
        client.close()

"""Bytes that no driver would send, clients that say nothing, and clients that never read."""

import contextlib
import random
import resource
import socket
import struct
import time

import bson
import pytest

import wire
from harness import eventually, password_of

FIND = {"find": "patients", "$db": "healthcare_db", "limit": 1}
PING = {"ping": 1, "$db": "admin"}


@pytest.fixture
def connect(proxy):
    with contextlib.ExitStack() as stack:
        def connect(user=None, **options):
            client = stack.enter_context(wire.Client(proxy.port, proxy.ca, **options))
            if user:
                assert client.login(user, password_of(user))["ok"] == 1
            return client
        yield connect


@pytest.fixture(autouse=True)
def _still_serves(proxy, connect):
    yield
    assert connect("import-job").command(PING)["ok"] == 1


def refused(client, raw):
    """An error in place of an answer, or the end of the connection."""
    try:
        client.send(raw)
        answer = client.ended()
    except OSError:
        return True
    return answer is True or (answer["ok"] == 0 and answer["code"])


def test_torn_at_every_byte(proxy, connect):
    """In two pieces, wherever they are cut; and cut off there for good."""
    raw = wire.op_msg(PING, checksum=True)
    client = connect("import-job")
    for at in range(1, len(raw)):
        client.send(raw[:at])
        client.send(raw[at:])
        assert client.receive()[2]["ok"] == 1
    for at in range(0, len(raw), 3):
        connect().send(raw[:at])


def test_byte_by_byte(proxy, connect):
    client = connect("import-job")
    for byte in wire.op_msg(PING):
        client.send(bytes([byte]))
    assert client.receive()[2]["ok"] == 1


@pytest.mark.parametrize("length", [0, 1, 15, -1, 2**31 - 1, 48_000_001, -2**31])
def test_lying_frame_lengths(connect, length):
    raw = wire.frame(wire.OP_MSG, b"\0" * 21, length=length)
    assert refused(connect("import-job"), raw)
    assert refused(connect(), raw)


def test_lying_lengths_inside(connect):
    document = bytearray(bson.encode(PING))
    for lie in (0, 4, len(document) - 1, len(document) + 1, 2**31 - 1, -1):
        document[:4] = struct.pack("<i", lie)
        assert refused(connect("import-job"), wire.op_msg(bytes(document)))
    for size in (0, 4, 10, 10_000, -1):
        assert refused(connect("import-job"), wire.op_msg(
            {"insert": "patients", "$db": "healthcare_db"},
            wire.sequence("documents", {"a": 1}, size=size)))


def doubled(name):
    return wire.raw_document(
        wire.element(2, "find", struct.pack("<i", 9) + b"patients\0"),
        wire.element(2, "$db", struct.pack("<i", 14) + b"healthcare_db\0"),
        wire.element(16, name, struct.pack("<i", 1)), wire.element(16, name, struct.pack("<i", 2)))


def nested(depth):
    inner = bson.encode({})
    for _ in range(depth):
        inner = wire.raw_document(wire.element(3, "a", inner))
    return wire.raw_document(
        wire.element(2, "find", struct.pack("<i", 9) + b"patients\0"),
        wire.element(2, "$db", struct.pack("<i", 14) + b"healthcare_db\0"),
        wire.element(3, "filter", inner))


@pytest.mark.parametrize("raw", [
    wire.op_msg(doubled("limit")),
    wire.op_msg(PING, tail=b"x"),
    wire.op_msg(PING, tail=bytes(4)),
    wire.op_msg(PING, b"\0" + bson.encode(PING)),
    wire.op_msg(PING, b"\2" + bson.encode(PING)),
    wire.op_msg({"insert": "patients", "$db": "healthcare_db"},
                wire.sequence("documents", {"a": 1}), wire.sequence("documents", {"a": 2})),
    wire.op_msg(wire.raw_document(wire.element(16, "ping", struct.pack("<i", 1)),
                                  wire.element(16, b"\xff\xfe", struct.pack("<i", 1)),
                                  wire.element(2, "$db", struct.pack("<i", 6) + b"admin\0"))),
    wire.op_msg(nested(190)),
    wire.op_msg(PING, flags=1 << 5),
    wire.op_msg({"ping": 1}),
    wire.frame(wire.OP_MSG, b""),
    wire.frame(wire.OP_GET_MORE, bytes(32)),
    wire.frame(wire.OP_COMPRESSED, bytes(32)),
    wire.frame(999, bytes(32)),
    wire.op_msg(PING, checksum=True)[:-4] + b"\1\2\3\4",
], ids=str)
def test_what_two_parsers_could_read_differently(connect, raw):
    assert refused(connect("import-job"), raw)


def test_depth_within_the_limit(connect):
    answer = connect("import-job").call(wire.op_msg(nested(150)))
    assert answer["ok"] == 1 or answer["code"] == 13


def test_random_bytes(connect):
    dice = random.Random(20261127)
    raw = bytearray(wire.op_msg(FIND))
    for _ in range(150):
        changed = bytearray(raw)
        for _ in range(dice.randint(1, 6)):
            changed[dice.randrange(4, len(changed))] = dice.randrange(256)
        client = connect("import-job", timeout=10)
        client.send(bytes(changed))
        client.ended()
        client.close()


def test_before_a_login_there_is_only_the_handshake(connect):
    client = connect()
    assert client.call(wire.op_query({"isMaster": 1}))["msg"] == "isdbgrid"
    assert client.command({"hello": 1, "$db": "admin"})["ok"] == 1
    for command in (FIND, PING, {"listDatabases": 1, "$db": "admin"}, {"frob": 1, "$db": "admin"}):
        answer = client.command(command)
        assert answer["ok"] == 0 and answer["code"] in (13, 59)


def test_op_query_is_for_the_handshake_only(connect):
    client = connect("import-job")
    client.send(wire.op_query(FIND, "healthcare_db.$cmd"))
    assert client.receive()[2]["code"] == 352


def test_a_large_message_before_a_login(connect):
    client = connect()
    assert refused(client, wire.op_msg({"hello": 1, "$db": "admin", "x": "y" * 100_000}))


def test_ten_thousand_that_say_nothing(proxy, connect):
    """They cost no buffers, others are served meanwhile, and they are closed in time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 11_000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    elif soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    resource.prlimit(proxy.server.process.pid, resource.RLIMIT_NOFILE, (20_000, 20_000))
    silent = []
    try:
        for _ in range(9_900):
            silent.append(socket.create_connection(("127.0.0.1", proxy.port), 10))
        began = time.monotonic()
        assert connect("import-job").command(FIND)["ok"] == 1
        assert time.monotonic() - began < 30
        eventually(lambda: silent[0].recv(1) == b"", seconds=60)
    finally:
        for s in silent:
            s.close()


def test_a_client_that_never_reads(proxy, connect, loaded):
    """It is slowed down or dropped; nobody else notices."""
    client = connect("import-job", timeout=5)
    raw = wire.op_msg({"find": "patients", "$db": "healthcare_db"})
    with contextlib.suppress(OSError):
        for _ in range(20_000):
            client.send(raw)
    assert connect("import-job").command(FIND)["ok"] == 1

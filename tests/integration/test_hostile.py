"""Bytes that nobody should send, against the running proxy: it refuses or closes, and goes on."""

import concurrent.futures
import random
import resource
import socket
import ssl
import struct
import zlib

import bson
import pytest

import wire
from harness import eventually, password_of

USER = "import-job"


@pytest.fixture(autouse=True)
def _data(loaded):
    yield


@pytest.fixture
def alive(proxy):
    """After each case an honest client is served."""
    def ask():
        with wire.Client(proxy.port, proxy.ca) as client:
            assert client.login(USER, password_of(USER))["ok"] == 1
            return client.command(find())["ok"] == 1
    yield ask
    assert ask()


@pytest.fixture
def logged_in(proxy, alive):
    with wire.Client(proxy.port, proxy.ca) as client:
        assert client.login(USER, password_of(USER))["ok"] == 1
        yield client


def find(**more):
    return {"find": "patients", "$db": "healthcare_db", "filter": {"personal_info.age": 41}, **more}


def refused(answer):
    """An error, or a closed connection: never an ok."""
    return answer is True or answer["ok"] == 0


def connect(proxy):
    return wire.Client(proxy.port, proxy.ca)


def test_frames_torn_at_every_byte(proxy, alive):
    whole = wire.op_query({"isMaster": 1}) + wire.op_msg({"ping": 1, "$db": "admin"})

    def cut(at):
        with connect(proxy) as client:
            client.send(whole[:at])
            client.stream.shutdown(socket.SHUT_WR)
        return True
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(cut, range(1, len(whole))))


def test_frames_in_two_halves_at_every_byte(logged_in):
    raw = wire.op_msg(find(limit=1), checksum=True)
    expected = logged_in.call(raw)
    assert expected["ok"] == 1
    for at in range(1, len(raw)):
        logged_in.send(raw[:at])
        logged_in.send(raw[at:])
        assert logged_in.receive()[2]["cursor"] == expected["cursor"]


def test_many_frames_in_one_write(logged_in):
    raw = b"".join(wire.op_msg({"ping": 1, "$db": "admin"}, request_id=n) for n in range(1, 101))
    logged_in.send(raw)
    for number in range(1, 101):
        _, _, body, _, _, response_to = logged_in.receive()
        assert body["ok"] == 1 and response_to == number


@pytest.mark.parametrize("length", [
    -2147483648, -1, 0, 1, 15, 16, 17, 20, 48000001, 48 * 1024 * 1024 + 1, 2147483647])
def test_lying_lengths(logged_in, length):
    raw = bytearray(wire.op_msg(find()))
    struct.pack_into("<i", raw, 0, length)
    logged_in.send(bytes(raw))
    logged_in.stream.settimeout(5)
    try:
        assert refused(logged_in.ended())
    except TimeoutError:
        assert length > len(raw)  # it waits for the rest, within its limits


@pytest.mark.parametrize("opcode", [
    0, 1, 1000, 2001, 2002, 2004, 2005, 2006, 2007, 2010, 2011, 2012, 2014, -1, 2147483647])
def test_other_opcodes(logged_in, opcode):
    payload = wire.op_msg(find())[16:]
    logged_in.send(wire.frame(opcode, payload))
    assert refused(logged_in.ended())


def test_op_query_for_anything_but_hello(proxy, alive):
    with connect(proxy) as client:
        client.send(wire.op_query({"find": "patients"}, "healthcare_db.$cmd"))
        answer = client.ended()
        assert refused(answer) and (answer is True or answer["code"] == 352)


@pytest.mark.parametrize("bit", [bit for bit in range(16) if bit > 1])
def test_unknown_required_flags(logged_in, bit):
    logged_in.send(wire.op_msg(find(), flags=1 << bit))
    assert refused(logged_in.ended())


def test_wrong_checksum(logged_in):
    raw = bytearray(wire.op_msg(find(), checksum=True))
    raw[-1] ^= 1
    logged_in.send(bytes(raw))
    assert refused(logged_in.ended())


INSERT = {"insert": "patients", "$db": "healthcare_db", "ordered": True}
BODY = bson.encode(find())


@pytest.mark.parametrize("raw", [
    wire.op_msg({"ping": 1, "$db": "admin"}, b"\0" + BODY),
    wire.op_msg(INSERT, wire.sequence("documents", {"a": 1}), wire.sequence("documents", {"b": 1})),
    wire.op_msg({**INSERT, "documents": [{}]}, wire.sequence("documents", {"a": 1})),
    wire.op_msg(INSERT, wire.sequence("unknown", {"a": 1})),
    wire.op_msg(INSERT, wire.sequence("documents", {"a": 1}, size=9999)),
    wire.op_msg(INSERT, wire.sequence("documents", {"a": 1}, size=3)),
    wire.op_msg(INSERT, wire.sequence("documents", {"a": 1}, size=-1)),
    wire.op_msg(INSERT, b"\1" + struct.pack("<i", 10) + b"docume"),
    wire.op_msg(find(), b"\2"),
    wire.op_msg(find(), tail=b"\0"),
    wire.op_msg(find(), tail=b"xyz"),
    wire.frame(wire.OP_MSG, b"\0\0\0\0"),
    wire.frame(wire.OP_MSG, b""),
    wire.frame(wire.OP_MSG, b"\0\0\0\0\0" + BODY[:-1]),
    wire.frame(wire.OP_MSG, b"\0\0\0\0\0" + BODY[:-1] + b"\1"),
], ids=["two bodies", "a sequence twice", "field and sequence", "unknown sequence",
        "long sequence", "short sequence", "negative sequence", "unended name", "unknown kind",
        "one byte behind", "bytes behind", "no section", "no flags", "short body", "no end"])
def test_malformed_messages(logged_in, raw):
    logged_in.send(raw)
    assert refused(logged_in.ended())


def text(value):
    return struct.pack("<i", len(value) + 1) + value + b"\0"


FIND, DB = wire.element(2, "find", text(b"patients")), wire.element(2, "$db", text(b"healthcare_db"))


@pytest.mark.parametrize("body", [
    wire.raw_document(FIND, DB, FIND),
    wire.raw_document(FIND, DB, wire.element(2, "$db", text(b"admin"))),
    wire.raw_document(FIND, DB, wire.element(3, "filter", bson.encode({})),
                      wire.element(3, "filter", bson.encode({"a": 1}))),
    wire.raw_document(FIND),
    wire.raw_document(DB, FIND),
    wire.raw_document(wire.element(2, "find", text(b"pati\0ents")), DB),
    wire.raw_document(wire.element(2, "find", text(b"pat\xff")), DB),
    wire.raw_document(FIND, DB, wire.element(3, "filter", wire.raw_document(
        wire.element(1, b"a\xff", b"12345678")))),
    wire.raw_document(FIND, DB, wire.element(3, "filter", wire.raw_document(
        wire.element(2, "a", text(b"\xc0\x80"))))),
    wire.raw_document(FIND, DB, wire.element(0x20, "x", b"")),
    wire.raw_document(FIND, DB, wire.element(8, "singleBatch", b"\2")),
    wire.raw_document(FIND, DB, wire.element(5, "comment", struct.pack("<i", -1) + b"\0")),
    wire.raw_document(FIND, DB, wire.element(2, "comment", struct.pack("<i", 0))),
    wire.raw_document(FIND, DB, wire.element(3, "filter", b"\4\0\0\0\0")),
    wire.raw_document(),
], ids=["command twice", "$db twice", "filter twice", "no $db", "$db first", "NUL in a name",
        "bad name", "bad key", "overlong UTF-8", "unknown type", "bool of 2", "negative binary",
        "empty string", "short document", "empty"])
def test_malformed_documents(logged_in, body):
    logged_in.send(wire.op_msg(body))
    assert refused(logged_in.ended())


def nested(depth, as_array=False):
    value = bson.encode({})
    for _ in range(depth):
        value = wire.raw_document(wire.element(4 if as_array else 3, "0" if as_array else "a", value))
    return value


@pytest.mark.parametrize("depth", [201, 1000, 100000])
@pytest.mark.parametrize("as_array", [False, True])
def test_too_deep(logged_in, depth, as_array):
    body = wire.raw_document(FIND, DB, wire.element(3, "filter", nested(depth, as_array)))
    logged_in.send(wire.op_msg(body))
    assert refused(logged_in.ended())


@pytest.mark.parametrize("payload", [
    struct.pack("<iib", wire.OP_MSG, 2**31 - 1, 2) + zlib.compress(b"x"),
    struct.pack("<iib", wire.OP_MSG, -1, 2) + zlib.compress(b"x"),
    struct.pack("<iib", wire.OP_MSG, 10, 2) + b"no zlib",
    struct.pack("<iib", wire.OP_MSG, 10, 9) + b"0123456789",
    struct.pack("<iib", wire.OP_COMPRESSED, 10, 0) + b"0123456789",
    struct.pack("<iib", wire.OP_MSG, 100_000_000, 2) + zlib.compress(bytes(100_000_000)),
    b"", b"\0" * 8,
], ids=["huge", "negative", "garbage", "unknown", "nested", "bomb", "empty", "short"])
def test_compressed_frames_that_lie(logged_in, payload):
    logged_in.send(wire.frame(wire.OP_COMPRESSED, payload))
    assert refused(logged_in.ended())


def test_random_bytes(proxy, alive):
    source = random.Random(7)

    def throw(size):
        with connect(proxy) as client:
            try:
                client.send(source.randbytes(size))
                client.stream.shutdown(socket.SHUT_WR)
            except OSError:
                pass
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(throw, [1, 3, 4, 15, 16, 17, 64, 1000, 65536] * 10))


def test_every_byte_of_a_frame_flipped(proxy, alive):
    """Answers are errors, closed connections, or those of another honest command."""
    raw = wire.op_msg(find(limit=1, singleBatch=True))

    def flip(at):
        changed = bytearray(raw)
        changed[at] ^= 0xFF
        with connect(proxy) as client:
            assert client.login(USER, password_of(USER))["ok"] == 1
            client.send(bytes(changed))
            try:
                client.stream.shutdown(socket.SHUT_WR)
                client.ended()
            except (OSError, TimeoutError):
                pass
        return True
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(flip, range(len(raw))))


@pytest.mark.parametrize("raw", [b"", b"\0", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff",
                                 bytes(4096), wire.op_query({"isMaster": 1})],
                         ids=["nothing", "NUL", "HTTP", "long hello", "zeros", "plain hello"])
def test_no_tls(proxy, alive, raw):
    with socket.create_connection(("127.0.0.1", proxy.port), 30) as plain:
        try:
            plain.sendall(raw)
            plain.shutdown(socket.SHUT_WR)
            answer = plain.recv(4096)
        except ConnectionError:
            answer = b""
        assert answer[:1] in (b"", b"\x15")  # nothing, or a TLS alert


def test_old_tls_is_refused(proxy, alive):
    context = ssl.create_default_context(cafile=str(proxy.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", proxy.port), 30) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(plain, server_hostname="localhost")


def test_a_client_that_never_reads(proxy, alive, loaded):
    """Its replies wait in bounded buffers; everybody else is served."""
    with connect(proxy) as client:
        assert client.login(USER, password_of(USER))["ok"] == 1
        client.stream.settimeout(1)
        raw = wire.op_msg(find(filter={})) * 50
        try:
            for _ in range(100):
                client.send(raw)
        except (TimeoutError, OSError):
            pass
        for _ in range(10):
            assert alive()


def test_ten_thousand_silent_connections(proxy, alive):
    count = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    resource.prlimit(proxy.server.pid, resource.RLIMIT_NOFILE, (wanted + 1000, wanted + 1000))
    silent = []
    try:
        for number in range(count):
            try:
                silent.append(socket.create_connection(("127.0.0.1", proxy.port), 30))
            except OSError:
                break
            if number % 1000 == 0:
                assert alive_or_full(alive)
        assert len(silent) == count
    finally:
        for s in silent:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    eventually(lambda: alive_or_full(alive), 60, 0.2)


def alive_or_full(alive):
    try:
        return alive()
    except (OSError, EOFError):
        return False


def test_logins_that_lie(proxy, alive):
    payloads = [b"", b"n,,", b"n,,n=,r=", b"y,,n=a,r=b", b"p=tls-unique,,n=a,r=b",
                b"n,,n=" + b"a" * 100000 + b",r=x", b"n,,n=a\0b,r=x", b"n,,n==2,r=x", b"\xff" * 50]
    for payload in payloads:
        with connect(proxy) as client:
            answer = client.command({"saslStart": 1, "mechanism": "SCRAM-SHA-256",
                                     "payload": payload, "$db": "admin"})
            assert answer["ok"] == 0 or answer["done"] is False
            answer = client.command({"saslContinue": 1, "conversationId": 1,
                                     "payload": b"c=biws,r=x,p=AAAA", "$db": "admin"})
            assert answer["ok"] == 0
            assert client.command(find())["ok"] == 0
    for mechanism in ("PLAIN", "SCRAM-SHA-1", "MONGODB-X509", "MONGODB-AWS", "x" * 10000):
        with connect(proxy) as client:
            assert client.command({"saslStart": 1, "mechanism": mechanism, "payload": b"n,,n=a,r=b",
                                   "$db": "admin"})["ok"] == 0

"""Raw frames: built, torn and read byte by byte; a client that speaks them; a scripted upstream."""

import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct
import threading

import bson

OP_REPLY, OP_QUERY, OP_GET_MORE, OP_COMPRESSED, OP_MSG = 1, 2004, 2005, 2012, 2013
CHECKSUM, MORE_TO_COME, EXHAUST_ALLOWED = 1, 2, 1 << 16
HEADER = struct.Struct("<iiii")

_CRC = []
for _n in range(256):
    for _ in range(8):
        _n = (_n >> 1) ^ 0x82F63B78 if _n & 1 else _n >> 1
    _CRC.append(_n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def frame(opcode, payload, request_id=1, response_to=0, length=None):
    size = 16 + len(payload) if length is None else length
    return HEADER.pack(size, request_id, response_to, opcode) + payload


def raw_document(*elements):
    """A document of encoded elements: for those that no encoder makes."""
    body = b"".join(elements)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def element(kind, name, value):
    name = name if isinstance(name, bytes) else name.encode()
    return bytes([kind]) + name + b"\0" + value


def sequence(name, *documents, size=None):
    body = name.encode() + b"\0" + b"".join(
        d if isinstance(d, bytes) else bson.encode(d) for d in documents)
    return b"\1" + struct.pack("<i", len(body) + 4 if size is None else size) + body


def op_msg(document, *sections, flags=0, request_id=1, checksum=False, tail=b""):
    body = document if isinstance(document, bytes) else bson.encode(document)
    if checksum:
        flags |= CHECKSUM
    payload = struct.pack("<I", flags) + b"\0" + body + b"".join(sections) + tail
    if not checksum:
        return frame(OP_MSG, payload, request_id)
    whole = frame(OP_MSG, payload, request_id, length=16 + len(payload) + 4)
    return whole + struct.pack("<I", crc32c(whole))


def op_query(document, collection="admin.$cmd", request_id=1, to_return=-1):
    payload = (struct.pack("<i", 0) + collection.encode() + b"\0"
               + struct.pack("<ii", 0, to_return) + bson.encode(document))
    return frame(OP_QUERY, payload, request_id)


def op_reply(document, response_to, request_id=1):
    payload = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(document)
    return frame(OP_REPLY, payload, request_id, response_to)


def parse(raw):
    """(opcode, flags, body, sections, request id, response to) of a whole frame."""
    size, request_id, response_to, opcode = HEADER.unpack_from(raw)
    assert size == len(raw)
    payload = raw[16:]
    if opcode == OP_REPLY:
        return opcode, 0, bson.decode(payload[20:]), {}, request_id, response_to
    if opcode == OP_QUERY:
        end = payload.index(b"\0", 4)
        return opcode, 0, bson.decode(payload[end + 9:]), {}, request_id, response_to
    flags, = struct.unpack_from("<I", payload)
    if flags & CHECKSUM:
        assert crc32c(raw[:-4]) == struct.unpack("<I", raw[-4:])[0]
        payload = payload[:-4]
    at, body, sections = 4, None, {}
    while at < len(payload):
        kind = payload[at]
        size, = struct.unpack_from("<i", payload, at + 1)
        part = payload[at + 1:at + 1 + size]
        if kind == 0:
            body = bson.decode(part)
        else:
            end = part.index(b"\0", 4)
            sections[part[4:end].decode()] = bson.decode_all(part[end + 1:])
        at += 1 + size
    return opcode, flags, body, sections, request_id, response_to


def read_exactly(stream, count):
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise EOFError(f"closed after {len(data)} of {count} bytes")
        data += more
    return data


def read_frame(stream):
    head = read_exactly(stream, 4)
    return head + read_exactly(stream, struct.unpack("<i", head)[0] - 4)


class Client:
    """A connection that sends any bytes at all."""

    def __init__(self, port, ca=None, timeout=30):
        plain = socket.create_connection(("127.0.0.1", port), timeout)
        if ca:
            context = ssl.create_default_context(cafile=str(ca))
            plain = context.wrap_socket(plain, server_hostname="localhost")
        self.stream = plain
        self.stream.settimeout(timeout)
        self.last_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()

    def send(self, raw):
        self.stream.sendall(raw)

    def receive(self):
        return parse(read_frame(self.stream))

    def ended(self):
        """True when the other side closes; a reply instead is returned."""
        try:
            return self.receive()[2]
        except (EOFError, ConnectionError, ssl.SSLError):
            return True

    def call(self, raw):
        self.send(raw)
        return self.receive()[2]

    def command(self, document, *sections, **options):
        self.last_id += 1
        self.send(op_msg(document, *sections, request_id=self.last_id, **options))
        opcode, _, body, _, _, response_to = self.receive()
        assert opcode == OP_MSG and response_to == self.last_id
        return body

    def login(self, user, password):
        """SCRAM-SHA-256 by hand; the proxy proves itself, too."""
        nonce = base64.b64encode(os.urandom(24)).decode()
        bare = "n=%s,r=%s" % (user.replace("=", "=3D").replace(",", "=2C"), nonce)
        first = self.command({
            "saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": ("n,," + bare).encode(),
            "options": {"skipEmptyExchange": True}, "$db": "admin"})
        if first["ok"] != 1:
            return first
        challenge = bytes(first["payload"]).decode()
        facts = dict(part.split("=", 1) for part in challenge.split(","))
        assert facts["r"].startswith(nonce) and len(facts["r"]) > len(nonce)
        salted = hashlib.pbkdf2_hmac(
            "sha256", password.encode(), base64.b64decode(facts["s"]), int(facts["i"]))

        def mac(key, text):
            return hmac.new(key, text, "sha256").digest()

        client_key = mac(salted, b"Client Key")
        final = "c=biws,r=" + facts["r"]
        text = ",".join((bare, challenge, final)).encode()
        proof = bytes(a ^ b for a, b in zip(
            client_key, mac(hashlib.sha256(client_key).digest(), text)))
        last = self.command({
            "saslContinue": 1, "conversationId": first["conversationId"],
            "payload": (final + ",p=" + base64.b64encode(proof).decode()).encode(),
            "$db": "admin"})
        if last["ok"] == 1:
            signature = base64.b64encode(mac(mac(salted, b"Server Key"), text)).decode()
            assert bytes(last["payload"]).decode() == "v=" + signature
        return last


class ScriptedUpstream:
    """Speaks MongoDB just far enough to be believed; what it answers is up to the test.

    `answers` maps a command's name to a function of its body that returns a document, raw
    bytes to send as they are, or None to close the connection.  TLS when a certificate is
    given; any SCRAM is out: it is used with `upstream.insecure` and no user.
    """

    def __init__(self, answers=None, certificate=None, key=None):
        self.answers = answers or {}
        self.seen = []
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def hello(self, _=None):
        return {"ismaster": True, "isWritablePrimary": True, "helloOk": True,
                "setName": "scripted", "setVersion": 1, "hosts": [f"127.0.0.1:{self.port}"],
                "me": f"127.0.0.1:{self.port}", "primary": f"127.0.0.1:{self.port}",
                "maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000,
                "maxWriteBatchSize": 100000, "logicalSessionTimeoutMinutes": 30,
                "minWireVersion": 0, "maxWireVersion": 21, "readOnly": False, "ok": 1.0}

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _answer(self, body):
        name = next(iter(body))
        if name in self.answers:
            return self.answers[name](body)
        if name.lower() in ("hello", "ismaster"):
            return self.hello()
        if name == "buildInfo":
            return {"version": "7.0.12", "ok": 1.0}
        if name in ("find", "listCollections", "listIndexes", "aggregate"):
            return {"cursor": {"id": 0, "ns": "x.y", "firstBatch": []}, "ok": 1.0}
        return {"ok": 1.0}

    def _serve(self, stream):
        try:
            if self.context:
                stream = self.context.wrap_socket(stream, server_side=True)
            while True:
                opcode, flags, body, sections, request_id, _ = parse(read_frame(stream))
                self.seen.append({**body, **sections})
                answer = self._answer(body)
                if answer is None:
                    return
                if isinstance(answer, bytes):
                    stream.sendall(answer)
                elif opcode == OP_QUERY:
                    stream.sendall(op_reply(answer, request_id))
                elif not flags & MORE_TO_COME:
                    payload = b"\0\0\0\0\0" + bson.encode(answer)
                    stream.sendall(frame(OP_MSG, payload, 1, request_id))
        except (OSError, EOFError, AssertionError):
            pass
        finally:
            stream.close()

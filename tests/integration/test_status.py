"""`mongoward status`: of a proxy that runs, of none, and of what is none."""

import http.server
import json
import socket
import threading

import pytest

from harness import PROGRAM, free_port, run

UNREACHABLE = 3


def status(*words):
    return run([PROGRAM, "status", *words], expect=None)


def expect_nothing(address):
    for words in ([], ["--json"]):
        done = status("--address", address, *words)
        assert done.returncode == UNREACHABLE
        assert done.stderr == f"mongoward status: nothing answers at {address}\n"
        assert done.stdout == ""


def test_running(proxy):
    address = f"127.0.0.1:{proxy.admin_port}"
    done = status("--address", address)
    assert (done.returncode, done.stderr) == (0, "")
    assert any(line.split() == ["ready", "yes"] for line in done.stdout.splitlines())
    said = json.loads(status("--address", address, "--json").stdout)
    assert said["ready"] is True


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nothing_listens(host):
    expect_nothing(f"{host}:{free_port()}")


@pytest.mark.parametrize("address", [
    "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http"])
def test_no_address(address):
    expect_nothing(address)


def test_port_is_not_cut(proxy):
    """A number that is the right one in its last 16 bits."""
    expect_nothing(f"127.0.0.1:{proxy.admin_port + 65536}")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 ", b"no HTTP at all\r\n\r\n"])
def test_no_answer(answer):
    """Something listens, and ends the connection with less than an answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            for _ in range(2):
                taken, _ = server.accept()
                with taken:
                    taken.recv(4096)
                    taken.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        expect_nothing("127.0.0.1:%d" % server.getsockname()[1])
        thread.join(10)
        assert not thread.is_alive()


def test_silence():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "127.0.0.1:%d" % server.getsockname()[1]
        done = status("--address", address)
    assert done.returncode == UNREACHABLE
    assert done.stderr == f"mongoward status: nothing answers at {address}\n"


@pytest.mark.parametrize("code, body, words", [
    (404, b"<p>not here</p>", []),
    (404, b"<p>not here</p>", ["--json"]),
    (404, b'{"ready": true}', ["--json"]),
    (500, b"", []),
    (200, b"", []),
    (200, b"<p>not me</p>", []),
])
def test_another_server(code, body, words):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = "127.0.0.1:%d" % server.server_address[1]
        done = status("--address", address, *words)
        server.shutdown()
    assert done.returncode == UNREACHABLE
    assert done.stderr == f"mongoward status: the answer of {address} is not understood\n"
    assert done.stdout == ""

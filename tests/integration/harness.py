"""What tests and the demonstration need around the proxy: certificates, an upstream, the proxy.

Every server listens on 127.0.0.1, says by a line when it is there, and is told to stop by
SIGTERM.  Nothing here sleeps for a fixed time.
"""

import contextlib
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

import pymongo

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("PROXY", ROOT / "mongoward"))
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:")
START_SECONDS = 120
STOP_SECONDS = 60

UPSTREAM_USER = "proxy"
UPSTREAM_PASSWORD = "upstream-secret"

# name: (roles, attributes, purpose).  Passwords are password_of(name).
USERS = {
    "import-job": (["import"], {}, None),
    "dr.nord": (["doctor"], {"hospital": "H-NORD"}, None),
    "dr.sud": (["doctor"], {"hospital": "H-SUD"}, None),
    "dr.nowhere": (["doctor"], {}, None),
    "clerk": (["billing"], {}, "payment"),
    "clerk-aimless": (["billing"], {}, None),
    "analyst": (["analyst"], {}, None),
    "root": (["admin"], {}, None),
    "api": (["backend_api"], {}, None),
    "engineer": (["data_engineer"], {}, None),
}


def password_of(name):
    return f"password of {name}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def eventually(what, seconds=30, pause=0.02):
    """The first true result of what(), which is asked again and again."""
    deadline = time.monotonic() + seconds
    while True:
        result = what()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause)


class Process:
    """A server: its lines are collected, and can be waited for."""

    def __init__(self, arguments, env=None, log=None, preexec=None):
        self.lines = {"stdout": [], "stderr": []}
        self.news = queue.Queue()
        self.log = open(log, "ab") if log else None
        self.process = subprocess.Popen(
            [str(a) for a in arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(env), preexec_fn=preexec)
        self.readers = [
            threading.Thread(target=self._read, args=(name, getattr(self.process, name)), daemon=True)
            for name in self.lines]
        for reader in self.readers:
            reader.start()

    def _read(self, name, stream):
        for raw in stream:
            line = raw.decode(errors="replace").rstrip("\n")
            if self.log:
                self.log.write(raw)
                self.log.flush()
            self.lines[name].append(line)
            self.news.put((name, line))
        self.news.put((name, None))

    def wait_for_line(self, name, pattern, seconds=START_SECONDS):
        deadline = time.monotonic() + seconds
        ended = 0
        while ended < 2:
            try:
                where, line = self.news.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                break
            if line is None:
                ended += 1
            elif where == name and (found := re.search(pattern, line)):
                return found
        raise AssertionError(
            f"no line {pattern!r} from {self.process.args}:\n" + "\n".join(self.all_lines()[-60:]))

    def all_lines(self):
        return self.lines["stdout"] + self.lines["stderr"]

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def send(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=STOP_SECONDS):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"{self.process.args[0]} does not end:\n" + "\n".join(self.all_lines()[-60:]))
        for reader in self.readers:
            reader.join(10)
        if self.log:
            self.log.close()
            self.log = None
        return code

    def stop(self, number=signal.SIGTERM):
        if self.running():
            self.send(number)
        return self.wait()


def environment(own):
    """Ours, but without variables that the program would take for options."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MONGOWARD_")}
    return {**inherited, **(own or {})}


def run(arguments, stdin=None, expect=0, env=None):
    """A command that ends by itself; its standard output."""
    done = subprocess.run(
        [str(a) for a in arguments], input=stdin, capture_output=True, text=True,
        timeout=START_SECONDS, env=environment(env))
    if expect is not None and done.returncode != expect:
        raise AssertionError(
            f"{' '.join(map(str, arguments))}: exit {done.returncode}, not {expect}\n"
            f"{done.stdout}{done.stderr}")
    if SANITIZER.search(done.stderr):
        raise AssertionError(done.stderr)
    return done.stdout if expect is not None else done


def make_certificates(folder):
    """A development CA and a certificate of the upstream in `folder`."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "upstream.pem").exists():
        return folder
    p256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    quiet = dict(cwd=folder, check=True, capture_output=True)
    subprocess.run(
        ["openssl", "req", "-x509", *p256, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30",
         "-subj", "/CN=upstream CA", "-addext", "basicConstraints=critical,CA:TRUE",
         "-addext", "keyUsage=critical,keyCertSign,cRLSign"], **quiet)
    subprocess.run(
        ["openssl", "req", *p256, "-keyout", "upstream.key", "-out", "upstream.csr",
         "-subj", "/CN=localhost"], **quiet)
    (folder / "extensions").write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
        "extendedKeyUsage=serverAuth\n")
    subprocess.run(
        ["openssl", "x509", "-req", "-in", "upstream.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
         "-CAcreateserial", "-days", "30", "-extfile", "extensions", "-out", "upstream.pem"],
        **quiet)
    return folder


class Upstream:
    """SecantusDB as a replica set of one, with TLS and SCRAM."""

    def __init__(self, folder, port=None, options=()):
        self.folder = pathlib.Path(folder)
        self.port = port or free_port()
        self.options = list(options)
        self.certificates = make_certificates(self.folder / "tls")
        self.server = None

    @property
    def ca(self):
        return self.certificates / "ca.pem"

    @property
    def uri(self):
        """For `init`: with the user, without a password."""
        ca = urllib.parse.quote(str(self.ca), safe="/")
        return f"mongodb://{UPSTREAM_USER}@127.0.0.1:{self.port}/?tls=true&tlsCAFile={ca}"

    def _start(self, *options):
        program = pathlib.Path(sys.executable).parent / "secantusd-py"
        self.server = Process(
            [program, "--host", "127.0.0.1", "--port", self.port,
             "--storage-path", self.folder / "data", "--cache-size", "256M",
             "--tls-cert-file", self.certificates / "upstream.pem",
             "--tls-key-file", self.certificates / "upstream.key", *self.options, *options],
            log=self.folder / "upstream.log")
        self.server.wait_for_line("stderr", r"listening on ")

    def start(self):
        """Its user is made by a first start that asks for no authentication."""
        mark = self.folder / "user-is-made"
        if not mark.exists():
            self._start()
            with pymongo.MongoClient(
                    host="127.0.0.1", port=self.port, tls=True, tlsCAFile=str(self.ca)) as client:
                client.admin.command(
                    "createUser", UPSTREAM_USER, pwd=UPSTREAM_PASSWORD, roles=["root"],
                    mechanisms=["SCRAM-SHA-256"])
            self.stop()
            mark.touch()
        self._start("--auth")
        return self

    def client(self, **options):
        """A direct way to it: what the operator of the database sees."""
        return pymongo.MongoClient(
            host="127.0.0.1", port=self.port, tls=True, tlsCAFile=str(self.ca),
            username=UPSTREAM_USER, password=UPSTREAM_PASSWORD, **options)

    def stop(self):
        if self.server:
            self.server.stop()
            self.server = None

    def kill(self):
        self.server.stop(signal.SIGKILL)
        self.server = None


class Proxy:
    """A configuration folder made by `init`, and the proxy that runs on it."""

    def __init__(self, folder, upstream_uri, upstream_password=UPSTREAM_PASSWORD,
                 address="127.0.0.1:0", admin="127.0.0.1:0", env=None):
        self.folder = pathlib.Path(folder)
        self.config = self.folder / "mongoward.yaml"
        self.env = {"MONGOWARD_LISTEN_ADDRESS": address, "MONGOWARD_ADMIN_ADDRESS": admin,
                    **(env or {})}
        self.upstream_uri = upstream_uri
        self.upstream_password = upstream_password
        self.server = None
        self.port = self.admin_port = None
        self.ended = []  # (exit code, stderr) of each that ran
        self.init_output = ""

    def init(self, policy=ROOT / "policies/hospital", expect=0):
        self.init_output = run(
            [PROGRAM, "init", self.folder, "--upstream", self.upstream_uri, "--password-stdin"],
            stdin=self.upstream_password + "\n", expect=expect)
        if policy:
            target = self.folder / "policies/hospital"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(policy, target)
        return self

    def command(self, *words, stdin=None, expect=0):
        return run([PROGRAM, *words, "--config", self.config], stdin=stdin, expect=expect,
                   env=self.env)

    def add_user(self, name, roles, attributes=None, purpose=None, password=None):
        words = ["user", "add", name]
        for role in roles:
            words += ["--role", role]
        for key, value in (attributes or {}).items():
            words += ["--attr", f"{key}={value}"]
        if purpose:
            words += ["--purpose", purpose]
        self.command(*words, "--password-stdin", stdin=(password or password_of(name)) + "\n")

    def add_users(self, users=None):
        for name, (roles, attributes, purpose) in (users or USERS).items():
            self.add_user(name, roles, attributes, purpose)
        return self

    def launch(self, *options, preexec=None, program=()):
        """Starts it without waiting until it is ready."""
        self.server = Process(
            [*program, PROGRAM, "serve", "--config", self.config, *options], env=self.env,
            log=self.folder / "proxy.log", preexec=preexec)
        return self

    def start(self, *options, preexec=None):
        self.launch(*options, preexec=preexec)
        found = self.server.wait_for_line(
            "stdout", r"^ready (?:\S*?):(\d+)(?: admin \S*?:(\d+))?")
        self.port = int(found[1])
        self.admin_port = int(found[2]) if found[2] else None
        # The same address after a restart, as drivers expect it.
        self.env["MONGOWARD_LISTEN_ADDRESS"] = f"127.0.0.1:{self.port}"
        return self

    @property
    def ca(self):
        return self.folder / "tls/ca.pem"

    def uri(self, name, password=None):
        return (f"mongodb://{urllib.parse.quote(name)}:"
                f"{urllib.parse.quote(password or password_of(name))}@127.0.0.1:{self.port}/"
                f"?tls=true&tlsCAFile={urllib.parse.quote(str(self.ca), safe='/')}")

    def client(self, name, password=None, **options):
        return pymongo.MongoClient(self.uri(name, password), **{"tz_aware": True, **options})

    def reload(self):
        """SIGHUP, and wait for the verdict: True when it was taken."""
        before = len(self.server.lines["stderr"])
        self.server.send(signal.SIGHUP)
        verdict = re.compile(r"(reloaded:)|(reload was refused)")

        def look():
            for line in self.server.lines["stderr"][before:]:
                if found := verdict.search(line):
                    return found
            return None
        return bool(eventually(look)[1])

    def stop(self, number=signal.SIGTERM):
        """Its exit code; what it said is kept for check()."""
        if not self.server:
            return None
        code = self.server.stop(number)
        self.ended.append((code, "\n".join(self.server.lines["stderr"]), number))
        self.server = None
        return code

    def check(self):
        """After the end: exits of 0 on SIGTERM, no sanitizer's report."""
        for code, errors, number in self.ended:
            assert not SANITIZER.search(errors), errors[-20000:]
            if number == signal.SIGTERM:
                assert code == 0, f"exit {code}:\n{errors[-4000:]}"

    # ------------------------------------------------------------- audit log

    @property
    def audit_folder(self):
        return self.folder / "audit"

    @property
    def public_key(self):
        return self.folder / "keys/audit.key.pub"

    def witness(self):
        """The witness file of the configuration, or None."""
        for line in self.config.read_text().splitlines():
            if found := re.search(r"file:([^\s,\]\"']+)", line):
                path = pathlib.Path(found[1])
                return path if path.is_absolute() else self.folder / path
        return None

    def verify(self, folder=None, witness=True, expect=0):
        words = [PROGRAM, "audit", "verify", folder or self.audit_folder,
                 "--public-key", self.public_key]
        if witness and self.witness():
            words += ["--witness", self.witness()]
        return run(words, expect=expect)

    def records(self):
        """Every record of the log, in order."""
        import json
        found = []
        for file in sorted(self.audit_folder.glob("*.jsonl")):
            text = file.read_bytes()
            for line in text[:text.rfind(b"\n") + 1].splitlines():
                found.append(json.loads(line))
        return sorted(found, key=lambda r: r["seq"])

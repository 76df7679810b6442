"""What stands between the load and the canned upstream: nothing, HAProxy, mongoward.

Each peer is a process (or none) that listens on a port of 127.0.0.1 and talks to the canned
upstream by plain TCP or by TLS."""

import contextlib
import os
import pathlib
import re
import socket
import subprocess
import textwrap

PASSWORD = "bench"
CIPHER = "TLS_AES_256_GCM_SHA384"


class Failed(Exception):
    """Something that the benchmark needs did not work."""


class Cores:
    """Which core does what: the proxy never shares one with the load where there are two."""

    def __init__(self):
        cores = sorted(os.sched_getaffinity(0))
        self.proxy = cores[0]
        self.upstream = cores[1 % len(cores)]
        self.load = cores[2] if len(cores) > 2 else self.upstream

    def used(self):
        return {self.proxy, self.upstream, self.load}


def core_busy_ns(core):
    """What all processes used of a core, and what the host took of it (proc(5): stat)."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _, _, _, _, steal = map(int, line.split()[1:9])
            return (user + nice + system + steal) * 10**9 // os.sysconf("SC_CLK_TCK")
    raise Failed(f"/proc/stat knows no core {core}")


class Process:
    """A child that is pinned to a core and ends with the `with` block."""

    def __init__(self, core, command, **options):
        self.child = subprocess.Popen(["taskset", "-c", str(core), *map(str, command)],
                                      stdout=subprocess.PIPE, text=True, **options)
        self.name = pathlib.Path(str(command[0])).name

    def line(self):
        line = self.child.stdout.readline()
        if not line:
            raise Failed(f"{self.name} ended with {self.child.wait()} instead of starting")
        return line

    def cpu_ns(self):
        """Time on a core, of all threads (proc(5): schedstat of each task)."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.child.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()


class Certificates:
    """An authority and a certificate for localhost, made with openssl(1)."""

    def __init__(self, folder):
        self.ca, self.certificate = folder / "ca.pem", folder / "server.pem"
        self.key, self.bundle = folder / "server.key", folder / "bundle.pem"
        request, extensions = folder / "server.csr", folder / "extensions"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        for command in (
                ["req", "-x509", *curve, "-keyout", folder / "ca.key", "-out", self.ca,
                 "-days", "30", "-subj", "/CN=bench CA"],
                ["req", *curve, "-keyout", self.key, "-out", request, "-subj", "/CN=localhost"],
                ["x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", folder / "ca.key",
                 "-CAcreateserial", "-days", "30", "-extfile", extensions,
                 "-out", self.certificate]):
            subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True)
        self.bundle.write_text(self.certificate.read_text() + self.key.read_text())
        for secret in (self.key, self.bundle, folder / "ca.key"):
            secret.chmod(0o600)


class Upstream(Process):
    """The canned upstream; `port` by TLS or not."""

    def __init__(self, bench, records=False):
        command = [bench.program("canned_upstream"), "--state", bench.folder("state"),
                   "--certificate", bench.certificates.certificate,
                   "--key", bench.certificates.key]
        super().__init__(bench.cores.upstream, command + ["--record"] * records)
        self.ca = bench.certificates.ca
        words = self.line().split()
        self.ports = {False: int(words[1]), True: int(words[2])}

    def uri(self, tls):
        options = f"tls=true&tlsCAFile={self.ca}" if tls else "tls=false"
        return f"mongodb://bench@localhost:{self.ports[tls]}/?{options}"


class Peer:
    """One way from the load to the upstream.  `upstream_tls` is the far side's."""

    proxy = None  # the Process to be measured
    measured = True  # there is such a process
    client_tls = True
    has_fields = False  # seals, opens and masks

    def __init__(self, name, title, upstream_tls):
        self.name, self.title, self.upstream_tls = name, title, upstream_tls

    def start(self, bench, upstream):
        """Starts what there is to start and returns the port for the load."""
        raise NotImplementedError

    def cpu_ns(self):
        return self.proxy.cpu_ns() if self.proxy else 0

    def stop(self):
        if self.proxy:
            self.proxy.__exit__()


class Direct(Peer):
    measured = False

    def __init__(self, name, title, upstream_tls):
        super().__init__(name, title, upstream_tls)
        self.client_tls = upstream_tls

    def start(self, bench, upstream):
        return upstream.ports[self.upstream_tls]


class HAProxy(Peer):
    CONFIG = """\
        global
            nbthread 1
            ssl-default-bind-ciphersuites {cipher}
            ssl-default-server-ciphersuites {cipher}
        defaults
            mode tcp
            timeout connect 10s
            timeout client 10m
            timeout server 10m
        frontend clients
            bind fd@{fd} ssl crt {bundle} ssl-min-ver TLSv1.3
            default_backend upstream
        backend upstream
            server canned 127.0.0.1:{port} {tls}
        """
    TLS = "ssl verify required ca-file {ca} sni str(localhost) verifyhost localhost"

    def start(self, bench, upstream):
        folder = bench.folder(self.name)
        certificates = bench.certificates
        # The socket is ours, so that it listens before HAProxy runs.
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            tls = self.TLS.format(ca=certificates.ca) if self.upstream_tls else ""
            config = folder / "haproxy.cfg"
            config.write_text(textwrap.dedent(self.CONFIG).format(
                cipher=CIPHER, fd=listener.fileno(), bundle=certificates.bundle,
                port=upstream.ports[self.upstream_tls], tls=tls))
            self.proxy = Process(bench.cores.proxy, ["haproxy", "-db", "-f", config],
                                 pass_fds=[listener.fileno()])
            return listener.getsockname()[1]


class Mongoward(Peer):
    has_fields = True
    CONFIG = """\
        instance: {name}
        listen:
          address: 127.0.0.1:0
          tls: {{certificate: {certificate}, key: {key}, min_version: "1.3"}}
        upstream:
          uri: {uri}
          password_file: {password}
          pool: {{max: 100, min: 0, wait: 2s, idle: 10m}}
          insecure: {insecure}
        policy: {policy}
        users: {init}/users.yaml
        keys: {{provider: {{type: local, file: {init}/keys/master.key}}, vault: encryption.__keyVault}}
        audit:
          directory: {folder}/audit
          durability: flush
          signing_key: {init}/keys/audit.key
          witness: ["file:{folder}/witness"]
        admin: {{address: 127.0.0.1:0}}
        workers: 1
        log: {{level: warning, format: text}}
        """

    def configure(self, bench, upstream):
        folder = bench.folder(self.name)
        (folder / "audit").mkdir(exist_ok=True)
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o600)
        config = folder / "mongoward.yaml"
        config.write_text(textwrap.dedent(self.CONFIG).format(
            name=self.name, folder=folder, init=bench.root / "init", password=password,
            certificate=bench.certificates.certificate, key=bench.certificates.key,
            uri=upstream.uri(self.upstream_tls), policy=bench.source / "policy",
            insecure="false" if self.upstream_tls else "true"))
        return config

    def start(self, bench, upstream):
        config = self.configure(bench, upstream)
        self.proxy = Process(bench.cores.proxy, [bench.mongoward, "serve", "--config", config])
        ready = self.proxy.line()
        port = re.search(r":(\d+)", ready)
        if not ready.startswith("ready") or not port:
            raise Failed(f"mongoward said {ready.strip()!r} instead of ready")
        return int(port.group(1))


def prepare_mongoward(bench):
    """Keys, users, and the patients of the collection `sealed` as mongoward seals them.

    The key vault and the sealed documents stay in the canned upstream's folder: it keeps
    the keys that `key create` inserts, and records what an insert through mongoward is."""

    def call(*arguments, stdin=""):
        done = subprocess.run([bench.mongoward, *map(str, arguments)], input=stdin, text=True,
                              capture_output=True, timeout=60)
        if done.returncode:
            raise Failed(f"mongoward {arguments[0]}: {done.stderr.strip()}")

    peer = Mongoward("mongoward-recorder", "", True)
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Upstream(bench, records=True))
        call("init", bench.root / "init", "--upstream", upstream.uri(True), "--password-stdin",
             "--hostname", "localhost", stdin=PASSWORD + "\n")
        config = peer.configure(bench, upstream)
        for user in ("reader", "loader"):
            call("user", "add", user, "--role", user, "--password-stdin", "--config", config,
                 stdin=PASSWORD + "\n")
        call("key", "create", "--missing", "--config", config)
        port = peer.start(bench, upstream)
        stack.callback(peer.stop)
        with bench.load(peer, port, "insert1000", "sealed", connections=1, warmup=1) as load:
            load.line()
    if b"Bobby Jackson" in (bench.folder("state") / "documents.bson").read_bytes():
        raise Failed("mongoward did not seal the documents that it inserted")


def check_fields(bench, peer, port):
    """A reader gets the four sealed fields in the clear and five others masked."""
    dump = bench.folder(peer.name) / "first.bson"
    with bench.load(peer, port, "find1", "sealed", connections=1, warmup=1, dump=dump) as load:
        load.line()
    document = dump.read_bytes()
    for text in (b"Bobby Jackson", b"000000285057800", b"Cancer", b"Matthew Smith"):
        if text not in document:
            raise Failed(f"{peer.name} did not open {text.decode()}")
    for text in (b"Blue Cross", b"\x10age\0"):
        if text in document:
            raise Failed(f"{peer.name} did not mask {text!r}")


PEERS = {peer.name: peer for peer in (
    Direct("direct", "direct", False),
    Direct("direct-tls", "direct, TLS", True),
    HAProxy("haproxy", "HAProxy TLS", False),
    HAProxy("haproxy-tls", "HAProxy TLS to TLS", True),
    Mongoward("mongoward", "mongoward", False),
    Mongoward("mongoward-tls", "mongoward, TLS upstream", True),
)}

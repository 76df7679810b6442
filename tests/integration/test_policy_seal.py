"""Sealed policies: what `policy seal` writes, and what a start and a reload take of it."""

import json
import re
import urllib.request

import pytest

import harness
from conftest import finish, make_proxy, patient, wipe
from harness import PROGRAM, eventually, run

SIGNERS = ["ada", "bruno", "chloe"]


def seal(proxy, *words, expect=0):
    return run([PROGRAM, "policy", "seal", *words], expect=expect, env=proxy.env)


def folder_of(proxy):
    return proxy.folder / "policies/hospital"


def seal_file(proxy):
    return folder_of(proxy) / "policy.seal"


def sign(proxy, *names, options=(), expect=0):
    """By each of them, one after the other; what the last one is told."""
    for name in names:
        told = seal(proxy, folder_of(proxy), "--key", proxy.folder / name, "--config",
                    proxy.config, *options, expect=expect)
    return told


def verify(proxy):
    return seal(proxy, folder_of(proxy), "--verify", "--config", proxy.config, expect=None)


def want_seal(proxy, signers=("ada", "bruno"), threshold=2):
    text = proxy.config.read_text()
    text = re.sub(r"^policy: .*$",
                  "policy: {directory: policies/hospital, signers: [%s], threshold: %d}"
                  % (", ".join(f"{name}.pub" for name in signers), threshold), text, flags=re.M)
    proxy.config.write_text(text)


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


class Kept:
    """Files as they are now, to be put back."""

    def __init__(self, *files):
        self.texts = {file: file.read_bytes() for file in files}

    def back(self):
        for file, text in self.texts.items():
            if file.is_symlink():
                file.unlink()
            file.write_bytes(text)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory, upstream):
    """A proxy that runs on version 1, sealed by two of two."""
    wipe(upstream)
    proxy = make_proxy(tmp_path_factory.mktemp("sealed"), upstream)
    for name in SIGNERS:
        seal(proxy, "--new-key", proxy.folder / name)
    want_seal(proxy)
    sign(proxy, "ada", "bruno")
    proxy.start()
    with proxy.client("import-job") as client:
        client.healthcare_db.patients.insert_one(patient("Ada Durand", "H-NORD"))
    yield proxy
    finish(proxy)


@pytest.fixture
def kept(sealed):
    """Everything that a seal is about, put back after the test; the state as it was, too."""
    folder = folder_of(sealed)
    before = Kept(*folder.glob("*.yaml"), seal_file(sealed), sealed.folder / "users.yaml",
                  sealed.config, sealed.audit_folder / "policy.version")
    yield sealed
    for path in folder.iterdir():
        if path not in before.texts:
            path.unlink()
    before.back()
    assert sealed.reload()


def said(proxy):
    return "\n".join(proxy.server.lines["stderr"])


def refuses(proxy, words):
    """A reload says no, for that reason, and what was running goes on."""
    before = len(proxy.server.lines["stderr"])
    count = metric(proxy, "mongoward_reloads_refused_total")
    assert not proxy.reload()
    eventually(lambda: words in "\n".join(proxy.server.lines["stderr"][before:]))
    # A change of files is noticed by itself, too: it may have been refused twice by now.
    assert metric(proxy, "mongoward_reloads_refused_total") >= count + 1
    with proxy.client("dr.nord") as client:
        assert client.healthcare_db.patients.count_documents({}) == 1


def metric(proxy, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}/metrics") as page:
        text = page.read().decode()
    return int(re.search(rf"^{name} (\d+)$", text, re.M)[1])


def test_a_start_says_which_version(sealed):
    eventually(lambda: ", version 1 as sealed" in said(sealed))
    state = (sealed.audit_folder / "policy.version").read_text()
    assert re.fullmatch(r"1 [0-9a-f]{64}\n", state)
    records = [r for r in sealed.records() if r["event"] == "policy"]
    assert records[0]["version"] == "sealed-1"
    assert verify(sealed).returncode == 0


def test_a_new_version_is_taken(kept):
    change(folder_of(kept) / "roles.yaml", "billing: plaintext, technical", "technical")
    (folder_of(kept) / "tests.yaml").write_text("mongoward: 1\n")
    refuses(kept, "roles.yaml: is not as it was when it was sealed")
    sign(kept, "ada")
    refuses(kept, "1 of policy.signers have sealed it; 2 are needed")
    told = json.loads(sign(kept, "bruno", options=["--json"]))
    assert told["version"] == 2 and len(told["signers"]) == 2
    assert kept.reload()
    assert ", version 2 as sealed" in said(kept)
    eventually(lambda: [r["version"] for r in kept.records()
                        if r["event"] == "policy"][-1] == "sealed-2")
    with kept.client("clerk") as client:
        assert "billing_amount" not in client.healthcare_db.patients.find_one({})[
            "administrative_info"]
    refused = [r for r in kept.records() if r["event"] == "admin"
               and r["act"] == "reload refused"]
    assert refused


def test_too_few_signatures(kept):
    seal_file(kept).unlink()
    sign(kept, "ada", options=["--version", "2"])
    refuses(kept, "1 of policy.signers have sealed it; 2 are needed")
    sign(kept, "ada")  # again: still one
    refuses(kept, "1 of policy.signers have sealed it; 2 are needed")
    sign(kept, "chloe")  # who is nobody here
    refuses(kept, "1 of policy.signers have sealed it; 2 are needed")
    assert verify(kept).returncode == 1
    sign(kept, "bruno")
    assert verify(kept).returncode == 0
    assert kept.reload()


def test_the_same_signature_twice(kept):
    seal_file(kept).unlink()
    sign(kept, "ada", options=["--version", "2"])
    lines = seal_file(kept).read_text().splitlines()
    seal_file(kept).write_text("\n".join([*lines, lines[-1]]) + "\n")
    refuses(kept, "stands here and at line")


def test_a_signature_of_something_else(kept):
    first = seal_file(kept).read_text()
    seal_file(kept).write_text(first.replace("version: 1\n", "version: 2\n"))
    refuses(kept, "is not of this content")
    done = sign(kept, "ada", expect=None)
    assert done.returncode == 2 and "that is not of its content" in done.stderr


@pytest.mark.parametrize("change_it, words", [
    (lambda f: (f / "data.yaml").write_text((f / "data.yaml").read_text() + "\n"),
     "data.yaml: is not as it was when it was sealed"),
    (lambda f: (f / "more.yaml").write_text("mongoward: 1\n"),
     "more.yaml: is not among the files that were sealed"),
    (lambda f: (f / "tests.yaml").unlink(), "1 of the files that were sealed are missing"),
    (lambda f: (f / "policy.seal").unlink(), "policy.seal: No such file or directory"),
    (lambda f: (f / "policy.seal").write_bytes((f / "policy.seal").read_bytes()[:600]),
     "policy.seal:"),
    (lambda f: (f / "policy.seal").write_text(""), "policy.seal:1:1: is no seal"),
    (lambda f: (f / "linked.yaml").symlink_to("data.yaml"),
     "linked.yaml: a sealed policy holds no symbolic link"),
    (lambda f: ((f / "data.yaml").rename(f / "data"), (f / "data.yaml").symlink_to("data")),
     "data.yaml: a sealed policy holds no symbolic link"),
    (lambda f: ((f / "policy.seal").rename(f / "other"), (f / "policy.seal").symlink_to("other")),
     "policy.seal: is a symbolic link"),
], ids=["altered", "more", "missing", "no seal", "torn", "empty", "a link more", "a link instead",
        "a linked seal"])
def test_a_folder_that_is_not_what_was_sealed(kept, change_it, words):
    change_it(folder_of(kept))
    refuses(kept, words)
    assert verify(kept).returncode == 1


def test_what_is_no_policy_file_may_stand_there(kept):
    (folder_of(kept) / "README.md").write_text("x")
    (folder_of(kept) / ".data.yaml.swp").write_text("x")
    assert kept.reload()


def test_users_are_sealed(kept):
    kept.add_user("eve", ["import"])
    refuses(kept, "users.yaml: the users are not those that were sealed")
    sign(kept, "ada", "bruno")
    assert kept.reload()
    with kept.client("eve") as client:
        assert client.healthcare_db.patients.count_documents({}) == 1


def test_audit_settings_are_sealed(kept):
    change(kept.config, "durability: strict", "durability: none")
    before = len(kept.server.lines["stderr"])
    assert not kept.reload()
    text = "\n".join(kept.server.lines["stderr"][before:])
    assert "'audit.durability' cannot change while it runs" in text
    done = verify(kept)
    assert done.returncode == 1
    assert "the audit settings are not those that were sealed" in done.stderr


def test_signers_do_not_change_by_a_reload(kept):
    want_seal(kept, threshold=1)
    refuses(kept, "'policy.threshold' cannot change while it runs")
    kept.config.write_text(re.sub(r"^policy: .*$", "policy: policies/hospital",
                                  kept.config.read_text(), flags=re.M))
    refuses(kept, "'policy.signers' cannot change while it runs")
    want_seal(kept)
    public = kept.folder / "bruno.pub"
    before = public.read_text()
    public.write_text((kept.folder / "chloe.pub").read_text())
    try:
        refuses(kept, "the keys of 'policy.signers' cannot change while it runs")
    finally:
        public.write_text(before)


def test_versions_do_not_go_back(kept):
    first = Kept(*folder_of(kept).glob("*.yaml"), seal_file(kept))
    sign(kept, "ada", "bruno", options=["--version", "5"])
    assert kept.reload()
    state = kept.audit_folder / "policy.version"
    assert state.read_text().startswith("5 ")
    first.back()
    refuses(kept, "version 1 is below 5, which was in force")
    # The same version again, of something else.
    seal_file(kept).unlink()
    (folder_of(kept) / "more.yaml").write_text("mongoward: 1\n")
    sign(kept, "ada", "bruno", options=["--version", "5"])
    refuses(kept, "version 5 was in force with another content")
    sign(kept, "ada", "bruno", options=["--version", "6"])
    assert kept.reload()
    assert state.read_text().startswith("6 ")
    # A state that cannot be read lets nothing in.
    for text in ("", "6\n", "x " + 64 * "0" + "\n", "6 " + 64 * "0", "6 " + 63 * "0" + "g\n"):
        state.write_text(text)
        refuses(kept, "policy.version: is not what the proxy has written")


def test_starts(kept, tmp_path):
    """What a reload refuses, a start does not take either."""
    kept.stop()
    try:
        change(folder_of(kept) / "data.yaml", "Names of doctors", "Names of physicians")
        for words in ("data.yaml: is not as it was", "1 of policy.signers"):
            kept.launch()
            assert kept.server.wait() == 2
            assert words in "\n".join(kept.server.lines["stderr"])
            sign(kept, "ada")
        sign(kept, "bruno")
        kept.start()
        assert (kept.audit_folder / "policy.version").read_text().startswith("2 ")
        kept.stop()
        # An older bundle, and settings of the audit that nobody sealed.
        state = kept.audit_folder / "policy.version"
        state.write_text("3" + state.read_text()[1:])
        kept.launch()
        assert kept.server.wait() == 2
        assert "version 2 is below 3" in "\n".join(kept.server.lines["stderr"])
        state.write_text("2" + state.read_text()[1:])
        kept.env["MONGOWARD_AUDIT_DURABILITY"] = "none"
        kept.launch()
        assert kept.server.wait() == 2
        assert "the audit settings are not those" in "\n".join(kept.server.lines["stderr"])
    finally:
        kept.env.pop("MONGOWARD_AUDIT_DURABILITY", None)
        kept.server = None
        kept.start()


# ----------------------------------------------------------------- the command alone


@pytest.fixture
def plain(tmp_path):
    """A configuration that nothing runs on."""
    proxy = harness.Proxy(tmp_path / "mongoward", "mongodb://nobody@127.0.0.1:1/").init(
        expect=3)
    for name in SIGNERS:
        seal(proxy, "--new-key", proxy.folder / name)
    return proxy


def test_keys(plain):
    key = plain.folder / "ada"
    assert key.stat().st_mode & 0o777 == 0o600
    done = seal(plain, "--new-key", key, expect=None)
    assert done.returncode == 2 and "File exists" in done.stderr
    key.chmod(0o640)
    done = sign(plain, "ada", expect=None)
    assert done.returncode == 2 and "others than its owner may read" in done.stderr
    key.chmod(0o600)
    key.write_text("no key")
    assert "is no signing key" in sign(plain, "ada", expect=None).stderr
    assert not seal_file(plain).exists()


def test_versions(plain):
    def version(*words):
        return json.loads(sign(plain, *words, options=["--json"]))["version"]

    assert version("ada") == version("bruno") == version("ada") == 1
    (folder_of(plain) / "more.yaml").write_text("mongoward: 1\n")
    assert version("ada") == 2
    assert len(json.loads(sign(plain, "bruno", options=["--json"]))["signers"]) == 2
    told = json.loads(sign(plain, "ada", options=["--json", "--version", "9"]))
    assert told["version"] == 9 and len(told["signers"]) == 1
    for older in ("8", "1"):
        done = sign(plain, "ada", options=["--version", older], expect=None)
        assert done.returncode == 2 and "version 9 was sealed already" in done.stderr
    assert version("ada") == 9
    done = sign(plain, "ada", options=["--version", "999999999999999"])
    (folder_of(plain) / "more.yaml").unlink()
    done = sign(plain, "ada", expect=None)
    assert done.returncode == 2 and "versions end at" in done.stderr


def test_the_seal_elsewhere(plain, tmp_path):
    other = tmp_path / "bundle.seal"
    sign(plain, "ada", options=["--output", other])
    assert other.exists() and not seal_file(plain).exists()
    told = json.loads(sign(plain, "bruno", options=["--output", other, "--json"]))
    assert len(told["signers"]) == 2 and told["seal"] == str(other)
    # One that lies beside the policy goes on elsewhere.
    other.rename(seal_file(plain))
    told = json.loads(sign(plain, "chloe", options=["--output", other, "--json"]))
    assert len(told["signers"]) == 3


def test_nobody_seals_what_no_proxy_takes(plain):
    roles = folder_of(plain) / "roles.yaml"
    before = roles.read_text()
    for old, new, words in (
            ("demographic: plaintext", "demographic: see-through", "unknown clearance"),
            ("keep_last: 4", "keep_last: 6", "what a doctor sees")):
        roles.write_text(before.replace(old, new))
        done = sign(plain, "ada", expect=None)
        assert done.returncode == 2 and words in done.stderr
        assert not seal_file(plain).exists()
    roles.write_text(before)
    (folder_of(plain) / "linked.yaml").symlink_to("roles.yaml")
    assert "holds no symbolic link" in sign(plain, "ada", expect=None).stderr


def test_verify_without_signers(plain):
    sign(plain, "ada")
    done = verify(plain)
    assert done.returncode == 2 and "names no policy.signers" in done.stderr
    want_seal(plain, ["ada"], 1)
    done = verify(plain)
    assert done.returncode == 0 and done.stdout.startswith("in order: version 1 of 3 files")
    change(plain.config, "durability: strict", "durability: flush")
    done = verify(plain)
    assert done.returncode == 1 and not done.stdout


@pytest.mark.parametrize("words, text", [
    ([], "DIR is missing"),
    (["DIR"], "--key is missing"),
    (["DIR", "--key", "k", "--version", "0"], "--version needs a number"),
    (["DIR", "--key", "k", "--version", "1000000000000000"], "--version needs a number"),
    (["DIR", "--verify", "--key", "k"], "--verify writes nothing"),
    (["DIR", "--new-key", "k"], "--new-key goes alone"),
])
def test_bad_usage(words, text):
    done = run([PROGRAM, "policy", "seal", *words], expect=None)
    assert done.returncode == 2 and text in done.stderr

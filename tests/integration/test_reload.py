"""Changes of policy and users while the proxy runs: all or nothing, from the next command on."""

import os
import shutil

import bson
import pytest
from pymongo.errors import OperationFailure

import wire
from conftest import PATIENTS
from harness import ROOT, eventually, password_of


@pytest.fixture(autouse=True)
def _data(loaded):
    yield


@pytest.fixture(autouse=True)
def _policy_back(proxy):
    yield
    if (read(proxy, "roles.yaml"), read(proxy, "tests.yaml")) != (
            (ROOT / "policies/hospital/roles.yaml").read_text(),
            (ROOT / "policies/hospital/tests.yaml").read_text()):
        for file in (ROOT / "policies/hospital").glob("*.yaml"):
            write(proxy, file.name, file.read_text())
        assert proxy.reload()


def read(proxy, name):
    return (proxy.folder / "policies/hospital" / name).read_text()


def write(proxy, name, text):
    """At once, so that nobody reads half of it."""
    path = proxy.folder / "policies/hospital" / name
    fresh = path.with_suffix(".fresh")
    fresh.write_text(text)
    os.replace(fresh, path)


def replace(proxy, name, old, new):
    text = read(proxy, name)
    assert old in text
    write(proxy, name, text.replace(old, new))


def login(proxy, user):
    client = wire.Client(proxy.port, proxy.ca)
    assert client.login(user, password_of(user))["ok"] == 1
    return client


FIND = {"find": "patients", "$db": "healthcare_db"}
OLD, NEW = "change: [medical, admission]", "change: [medical]"


def test_a_policy_follows_at_the_next_command(proxy):
    with login(proxy, "dr.nord") as client:
        before = client.command(FIND)["cursor"]["firstBatch"]
        assert "admission_info" in before[0]
        replace(proxy, "roles.yaml", "          admission: plaintext\n", "")
        replace(proxy, "roles.yaml", OLD, NEW)
        assert proxy.reload()
        after = client.command(FIND)["cursor"]["firstBatch"]
        assert "admission_info" not in after[0] and len(after) == len(before)


def test_a_change_is_seen_without_a_signal(proxy):
    with login(proxy, "dr.nord") as client:
        replace(proxy, "roles.yaml", "          admission: plaintext\n", "")
        eventually(lambda: "admission_info" not in
                   client.command(FIND)["cursor"]["firstBatch"][0], 30, 0.2)


@pytest.mark.parametrize("name,text", [
    ("roles.yaml", "mongoward: 1\nroles: {doctor: {grants: [{namespace: 5}]}}\n"),
    ("roles.yaml", "not: [yaml"),
    ("roles.yaml", ""),
    ("data.yaml", "mongoward: 1\n"),
    ("zz.yaml", "mongoward: 1\nunknown: true\n"),
    ("zz.yaml", "mongoward: 1\ntests: [{name: wrong, as: {role: analyst}, "
                "command: {find: patients, $db: healthcare_db}, expect: allowed}]\n"),
])
def test_a_wrong_policy_changes_nothing(proxy, name, text):
    with login(proxy, "dr.nord") as client:
        before = client.command(FIND)["cursor"]["firstBatch"]
        path = proxy.folder / "policies/hospital" / name
        kept = path.read_text() if path.exists() else None
        write(proxy, name, text)
        try:
            assert not proxy.reload()
            assert client.command(FIND)["cursor"]["firstBatch"] == before
        finally:
            if kept is None:
                path.unlink()
            else:
                write(proxy, name, kept)
            assert proxy.reload()


def test_all_or_nothing(proxy):
    """A right policy together with a wrong users.yaml: neither is taken."""
    users = proxy.folder / "users.yaml"
    kept = users.read_text()
    with login(proxy, "dr.nord") as client:
        replace(proxy, "roles.yaml", "          admission: plaintext\n", "")
        users.write_text(kept + "  broken: {roles: 5}\n")
        try:
            assert not proxy.reload()
            assert "admission_info" in client.command(FIND)["cursor"]["firstBatch"][0]
        finally:
            users.write_text(kept)
            assert proxy.reload()
        assert "admission_info" not in client.command(FIND)["cursor"]["firstBatch"][0]


def test_a_cursor_whose_rights_changed_is_killed(proxy):
    with login(proxy, "dr.nord") as client:
        cursor = client.command({**FIND, "batchSize": 1})["cursor"]["id"]
        assert cursor
        replace(proxy, "roles.yaml", "          admission: plaintext\n", "")
        assert proxy.reload()
        answer = client.command({"getMore": bson.Int64(cursor), "collection": "patients",
                                 "$db": "healthcare_db"})
        assert answer["ok"] == 0 and answer["code"] in (43, 13)


def test_a_cursor_whose_rights_stayed_goes_on(proxy):
    with login(proxy, "import-job") as client:
        cursor = client.command({**FIND, "batchSize": 1})["cursor"]["id"]
        assert proxy.reload()
        answer = client.command({"getMore": bson.Int64(cursor), "collection": "patients",
                                 "$db": "healthcare_db"})
        assert len(answer["cursor"]["nextBatch"]) == len(PATIENTS) - 1


def test_users_come_and_go(proxy):
    proxy.add_user("dr.new", ["doctor"], {"hospital": "H-SUD"})
    assert proxy.reload()
    with login(proxy, "dr.new") as client:
        assert len(client.command(FIND)["cursor"]["firstBatch"]) == 2
        proxy.command("user", "remove", "dr.new")
        assert proxy.reload()
        assert client.ended() is True
    with wire.Client(proxy.port, proxy.ca) as client:
        assert client.login("dr.new", password_of("dr.new"))["code"] == 18


def test_a_changed_password(proxy):
    proxy.add_user("dr.change", ["doctor"], {"hospital": "H-SUD"})
    assert proxy.reload()
    proxy.command("user", "passwd", "dr.change", "--password-stdin", stdin="another one\n")
    assert proxy.reload()
    with wire.Client(proxy.port, proxy.ca) as client:
        assert client.login("dr.change", password_of("dr.change"))["code"] == 18
    with wire.Client(proxy.port, proxy.ca) as client:
        assert client.login("dr.change", "another one")["ok"] == 1
    proxy.command("user", "remove", "dr.change")
    assert proxy.reload()


def test_policy_records(proxy):
    before = proxy.records()[-1]["seq"]
    replace(proxy, "roles.yaml", "          admission: plaintext\n", "")
    assert proxy.reload()
    new = [r for r in proxy.records() if r["seq"] > before and r["event"] == "policy"]
    assert len(new) == 1 and len(new[0]["hash"]) > 32


def test_certificates_are_read_anew(proxy):
    for name in ("server.pem", "server.key"):
        path = proxy.folder / "tls" / name
        shutil.copy2(path, path.with_suffix(".copy"))
        os.replace(path.with_suffix(".copy"), path)
    assert proxy.reload()
    with login(proxy, "dr.nord") as client, pytest.raises(OperationFailure):
        assert client.command(FIND)["ok"] == 1
        raise OperationFailure("the end")

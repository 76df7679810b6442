"""`policy check`: warnings behind mistakes, on standard error; what the exit code says."""

import json
import re

import pytest

from harness import PROGRAM, ROOT, run

POLICY = """\
mongoward: 1
classes: {identity: {}, demographic: {}, spare: {}}
collections:
  clinic.patients:
    subject: [{of: [name]}]
    fields:
      name:     {class: identity, type: string}
      age:      {class: demographic}
      hospital: {class: demographic}
roles:
  nurse:
    grants:
      - {namespace: clinic.patients, do: [read], rows: {hospital: "${user.hospital}"}, see: {demographic: plaintext}}
  chief:
    grants:
      - {namespace: clinic.patients, do: [read], see: {"*": plaintext}}
      - {namespace: clinic.patients, do: [read], see: {demographic: plaintext}}
"""
LINE = re.compile(r"^(\S+):(\d+):(\d+): warning: .+ \(.+\) \[([a-z-]+)\]$")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "policy"
    path.mkdir()
    (path / "clinic.yaml").write_text(POLICY)
    return path


def check(folder, *options):
    return run([PROGRAM, "policy", "check", folder, *options], expect=None)


def found(done):
    return [(int(m[2]), m[4]) for line in done.stderr.splitlines() if (m := LINE.match(line))]


WARNINGS = [(2, "empty-class"), (17, "unreachable-grant"), (13, "quasi-identifiers"),
            (17, "quasi-identifiers")]


def test_warnings_change_the_exit_code_only_if_asked(folder):
    done = check(folder)
    assert done.returncode == 0 and done.stdout.startswith("blake2b:")
    assert found(done) == WARNINGS
    assert len(done.stderr.splitlines()) == len(WARNINGS)
    strict = check(folder, "--strict")
    assert strict.returncode == 1 and found(strict) == WARNINGS
    assert strict.stdout == done.stdout


def test_json(folder):
    done = check(folder, "--json")
    answer = json.loads(done.stdout)
    assert [(w["line"], w["lint"]) for w in answer["warnings"]] == WARNINGS
    for warning in answer["warnings"]:
        assert warning["file"].endswith("clinic.yaml") and warning["column"] > 0
        assert warning["what"] and warning["hint"]


def test_mistakes_come_first(folder, tmp_path):
    users = tmp_path / "users.yaml"
    users.write_text("users:\n  eve: {roles: [nurse, ghost]}\n")
    users.chmod(0o600)
    done = check(folder, "--users", users)
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and not done.stdout
    assert "ghost" in lines[1] and "hospital" in lines[0]
    assert all(": warning: " in line for line in lines[2:])
    # Nobody has the attribute: a warning of its own, and the mistake that the one user lacks it.
    assert (13, "unused-attribute") in found(done)


def test_attributes_that_some_user_has(folder, tmp_path):
    users = tmp_path / "users.yaml"
    users.write_text("users:\n  eve: {roles: [nurse], attributes: {hospital: H}}\n")
    users.chmod(0o600)
    done = check(folder, "--users", users)
    assert done.returncode == 0 and found(done) == WARNINGS


def test_what_ships_has_one():
    """The data engineer reads who is how old and where, without a name: that is meant."""
    done = check(ROOT / "policies/hospital")
    assert done.returncode == 0 and [name for _, name in found(done)] == ["quasi-identifiers"]
    assert "roles.data_engineer.grants[0] shows" in done.stderr

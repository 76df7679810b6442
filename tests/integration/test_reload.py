"""Policy and users change while it runs: all or nothing, at the next command, without a restart."""

import pymongo.errors
import pytest

from conftest import PATIENTS
from harness import eventually, password_of


@pytest.fixture
def roles(proxy):
    """The file of roles, as it was again afterwards."""
    file = proxy.folder / "policies/hospital/roles.yaml"
    before = file.read_text()
    yield file
    file.write_text(before)
    assert proxy.reload()


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_mistake_changes_nothing(proxy, clients, loaded, roles):
    doctor = clients.patients("dr.nord")
    change(roles, "demographic: plaintext", "demographic: see-through")
    assert not proxy.reload()
    assert doctor.find_one({})["personal_info"]["age"]
    errors = "\n".join(proxy.server.lines["stderr"])
    assert "roles.yaml:" in errors and "unknown clearance" in errors


def test_a_failing_test_changes_nothing(proxy, clients, loaded, roles):
    change(roles, "keep_last: 4", "keep_last: 6")
    assert not proxy.reload()
    assert clients.patients("dr.nord").find_one({})["personal_info"]["ssn"].startswith("***********")
    assert any("what a doctor sees" in line for line in proxy.server.lines["stderr"])


def test_rights_follow_at_the_next_command(proxy, clients, loaded, roles):
    clerk = clients.patients("clerk")
    assert "billing_amount" in clerk.find_one({})["administrative_info"]
    tests = roles.with_name("tests.yaml")
    saved = tests.read_text()
    try:
        tests.write_text("mongoward: 1\n")
        change(roles, "see: {identity: plaintext, billing: plaintext, technical: plaintext}",
               "see: {identity: plaintext, technical: plaintext}")
        assert proxy.reload()
        assert "billing_amount" not in clerk.find_one({})["administrative_info"]
    finally:
        tests.write_text(saved)


def test_an_open_cursor_ends_with_its_rights(proxy, clients, loaded, roles):
    cursor = clients.patients("dr.nord").find({}).batch_size(1)
    next(cursor)
    tests = roles.with_name("tests.yaml")
    saved = tests.read_text()
    try:
        tests.write_text("mongoward: 1\n")
        change(roles, "medical: plaintext", "medical: remove")
        assert proxy.reload()
        with pytest.raises(pymongo.errors.CursorNotFound):
            list(cursor)
    finally:
        tests.write_text(saved)


def test_a_change_that_keeps_rights_keeps_cursors(proxy, clients, loaded, roles):
    cursor = clients.patients("dr.nord").find({}).batch_size(1)
    next(cursor)
    roles.write_text(roles.read_text() + "  newcomer: {grants: []}\n")
    assert proxy.reload()
    assert len(list(cursor)) == sum(p[1] == "H-NORD" for p in PATIENTS) - 1


def test_a_removed_user_is_out(proxy, clients, loaded):
    proxy.add_user("temp", ["import"])
    assert proxy.reload()
    with proxy.client("temp", retryReads=False, serverSelectionTimeoutMS=2000) as temp:
        assert temp.healthcare_db.patients.count_documents({}) == len(PATIENTS)
        proxy.command("user", "remove", "temp")
        assert proxy.reload()

        def is_out():
            try:
                temp.healthcare_db.patients.count_documents({})
            except pymongo.errors.PyMongoError:
                return True
            return False
        assert eventually(is_out)


def test_a_changed_file_needs_no_signal(proxy, clients, loaded):
    before = len(proxy.server.lines["stderr"])
    proxy.add_user("visitor", ["analyst"])
    eventually(lambda: any("reloaded" in line for line in proxy.server.lines["stderr"][before:]))
    with proxy.client("visitor", password_of("visitor")) as visitor:
        assert visitor.healthcare_db.patients_anonymized_view.find_one({})

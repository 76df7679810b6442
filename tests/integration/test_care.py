"""Who keeps access when the audit log's disk is full, and for how long."""

import datetime
import pathlib
import subprocess

import pytest
from pymongo.errors import OperationFailure

from conftest import finish
from harness import ROOT, Proxy, eventually

USERS = {
    "job": (["import"], {}, None),
    "nurse": (["nurse"], {"ward": "W1"}, None),
    "carl": (["carer"], {}, None),
}
RESERVE = 100_000
LATER = datetime.datetime(2100, 1, 1)


@pytest.fixture
def proxy(tmp_path, upstream):
    """With a disk that is full as long as proxy.full is there."""
    with upstream.client() as client:
        for name in ("clinic", "encryption"):
            client.drop_database(name)
    library = tmp_path / "full_disk.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library,
                    pathlib.Path(__file__).parent / "full_disk.c"], check=True)
    proxy = Proxy(tmp_path / "mongoward", upstream.uri)
    proxy.full = tmp_path / "full"
    proxy.init(policy=ROOT / "tests/policy/rows").add_users(USERS)
    proxy.command("key", "create", "--missing")
    proxy.env.update({
        "LD_PRELOAD": str(library), "FULL_DISK": str(proxy.full),
        "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=1",
        "MONGOWARD_AUDIT_RESERVE": str(RESERVE)})
    proxy.start()
    with proxy.client("job") as client:
        client.clinic.patients.insert_one({"name": "Felix", "ward": "W1", "illness": "Flu"})
        client.clinic.team.insert_one({"user": "carl", "patient": "Felix", "until": LATER})
    yield proxy
    proxy.full.unlink(missing_ok=True)
    for name in ("LD_PRELOAD", "FULL_DISK", "ASAN_OPTIONS"):
        proxy.env.pop(name)
    finish(proxy)


def works(rows):
    try:
        rows.find_one()
    except OperationFailure as error:
        assert error.code == 96 and "audit log" in error.details["errmsg"], error
        return False
    return True


def ready(proxy):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", proxy.admin_port, timeout=10)
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def rows_of(proxy, name):
    return proxy.client(name, retryReads=False).clinic.patients


def fill_up(proxy, rows):
    proxy.full.touch()
    eventually(lambda: not works(rows), pause=0)


def test_care_keeps_access(proxy):
    nurse, carl = rows_of(proxy, "nurse"), rows_of(proxy, "carl")
    assert works(nurse) and works(carl)
    fill_up(proxy, nurse)
    status, text = ready(proxy)
    assert status == 503 and "No space left" in text
    # Care goes on, in all it does; others do nothing, and nobody else logs in.
    assert works(carl) and carl.find_one({"name": "Felix"})["illness"] == "Flu"
    assert carl.update_one({"name": "Felix"}, {"$set": {"illness": "Cold"}}).modified_count == 1
    with pytest.raises(OperationFailure) as caught:
        carl.find_one({"nowhere": 1})  # refused, and recorded so
    assert caught.value.code == 13
    assert not works(nurse)
    with pytest.raises(OperationFailure) as caught:
        nurse.insert_one({"name": "Gina", "ward": "W1"})
    assert caught.value.code == 96
    assert works(rows_of(proxy, "carl"))
    with pytest.raises(OperationFailure) as caught:
        rows_of(proxy, "nurse").find_one()
    assert caught.value.code == 96
    # Room again: everybody, by themselves.
    proxy.full.unlink()
    eventually(lambda: works(nurse))
    assert works(carl) and ready(proxy)[0] == 200
    users = [r["user"] for r in proxy.records() if r["event"] == "access"]
    assert "carl" in users and "nurse" in users
    assert [f.name for f in proxy.audit_folder.glob("*.reserve")]


def test_until_the_reserve_is_used_up(proxy):
    nurse, carl = rows_of(proxy, "nurse"), rows_of(proxy, "carl")
    fill_up(proxy, nurse)
    served = 0
    while works(carl):
        served += 1
        assert served < 2000
    assert served > 20
    assert not works(nurse) and not works(carl)
    proxy.full.unlink()
    eventually(lambda: works(nurse))
    assert works(carl)


def test_a_start_on_a_full_disk(proxy):
    nurse = rows_of(proxy, "nurse")
    fill_up(proxy, nurse)
    carl = rows_of(proxy, "carl")
    assert works(carl)
    proxy.stop()
    proxy.start()
    assert not works(rows_of(proxy, "nurse")) and works(rows_of(proxy, "carl"))
    proxy.full.unlink()
    eventually(lambda: works(rows_of(proxy, "nurse")))

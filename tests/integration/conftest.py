"""Fixtures: an upstream for the session, a proxy for each module, clients for each role."""

import datetime
import pathlib
import subprocess
import sys
import urllib.request

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness  # noqa: E402
from harness import ROOT, Proxy, Upstream  # noqa: E402

INDEPENDENT_VERIFIER = ROOT / "tests/audit/verify.py"


@pytest.fixture(scope="session")
def upstream(tmp_path_factory):
    server = Upstream(tmp_path_factory.mktemp("upstream")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def own_upstream(tmp_path_factory):
    """For tests that kill it."""
    server = Upstream(tmp_path_factory.mktemp("own-upstream")).start()
    yield server
    if server.server:
        server.stop()


def wipe(upstream):
    with upstream.client() as client:
        for name in ("healthcare_db", "encryption", "other_db"):
            client.drop_database(name)


def make_proxy(folder, upstream):
    proxy = Proxy(folder / "mongoward", upstream.uri).init().add_users()
    proxy.command("key", "create", "--missing")
    return proxy


def finish(proxy):
    """What every module of tests must leave behind."""
    proxy.stop()
    proxy.check()
    if not proxy.audit_folder.exists():
        return
    proxy.verify()
    words = [sys.executable, str(INDEPENDENT_VERIFIER), str(proxy.audit_folder),
             "--public-key", str(proxy.public_key)]
    if proxy.witness():
        words += ["--witness", str(proxy.witness())]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, upstream):
    wipe(upstream)
    proxy = make_proxy(tmp_path_factory.mktemp("proxy"), upstream).start()
    yield proxy
    finish(proxy)


@pytest.fixture(scope="module")
def own_proxy(tmp_path_factory, own_upstream):
    wipe(own_upstream)
    proxy = make_proxy(tmp_path_factory.mktemp("own-proxy"), own_upstream).start()
    yield proxy
    finish(proxy)


def metric(proxy, name):
    """A number of the proxy's, as its page has it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}/metrics") as page:
        for line in page.read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
    raise AssertionError(name)


class Clients(dict):
    """client["dr.nord"], connected once."""

    def __init__(self, proxy):
        self.proxy = proxy

    def __missing__(self, name):
        self[name] = self.proxy.client(name)
        return self[name]

    def patients(self, name):
        return self[name].healthcare_db.patients

    def close(self):
        for client in self.values():
            client.close()


@pytest.fixture(scope="module")
def clients(proxy):
    found = Clients(proxy)
    yield found
    found.close()


def day(year, month, day_):
    return datetime.datetime(year, month, day_, tzinfo=datetime.timezone.utc)


def patient(name, hospital, ssn="285057800608436", gender="Female", blood="A+", age=41, **more):
    return {
        "personal_info": {"name": name, "age": age, "gender": gender, "blood_type": blood,
                          "ssn": ssn},
        "medical_info": {"condition": "Asthma", "medication": "Aspirin", "test_results": "Normal"},
        "admission_info": {"date_admission": day(2023, 5, 1), "date_discharge": day(2023, 5, 13),
                           "duration_days": 12, "admission_type": "Urgent", "room_number": 204},
        "administrative_info": {"doctor": "Dr. Who", "hospital": hospital,
                                "insurance_provider": "Cigna", "billing_amount": 18420.5},
        "metadata": {"created_at": day(2024, 1, 2), "source": "csv", "migration_version": "1.0",
                     "migration_date": "2024-01-02"},
        **more,
    }


PATIENTS = [
    ("Ada Durand", "H-NORD", "285057800608436", 41),
    ("Bruno Petit", "H-NORD", "170037512345629", 17),
    ("Chloé Moreau", "H-NORD", "299126912345611", 66),
    ("Denis Roux", "H-SUD", "155087512345618", 29),
    ("Emma Blanc", "H-SUD", "201037512345602", 50),
]


@pytest.fixture(scope="module")
def loaded(proxy, clients):
    """Five patients of two hospitals, written by the import."""
    collection = clients.patients("import-job")
    collection.delete_many({})
    collection.insert_many(
        [patient(name, hospital, ssn, age=age) for name, hospital, ssn, age in PATIENTS])
    return collection


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return harness.make_certificates(tmp_path_factory.mktemp("certificates"))

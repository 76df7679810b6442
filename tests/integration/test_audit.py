"""What the log says of what was done, and that nothing is answered that it could not say."""

import json
import resource
import shutil
import subprocess

import pymongo.errors
import pytest

import wire
from conftest import PATIENTS, finish, make_proxy, patient, wipe
from harness import PROGRAM, eventually, password_of

SECRETS = [p[0] for p in PATIENTS] + [p[2] for p in PATIENTS]


def since(proxy, seq):
    return [r for r in proxy.records() if r["seq"] > seq and r["event"] != "checkpoint"]


@pytest.fixture
def mark(proxy, loaded):
    return proxy.records()[-1]["seq"]


def test_a_read_names_its_patients(proxy, clients, mark):
    clients.patients("dr.nord").find_one({"personal_info.name": "Ada Durand"})
    clients.patients("clerk").find_one({"personal_info.name": "Ada Durand"})
    clients.patients("dr.nord").find_one({"personal_info.name": "Ada Durand"},
                                         {"medical_info.condition": 1, "_id": 0})
    reads = [r for r in since(proxy, mark) if r["event"] == "access"]
    assert len(reads) == 3
    assert len({tuple(r["subjects"]) for r in reads}) == 1 and len(reads[0]["subjects"]) == 1
    assert reads[0]["user"] == "dr.nord" and reads[1]["user"] == "clerk"
    assert reads[0]["disclosed"]["identity"] == "plaintext" and "medical" not in reads[1]["disclosed"]
    assert reads[1]["purpose"] == "payment" and reads[0]["rule"] == "roles.doctor.grants[0]"
    assert reads[0]["searched"] == reads[1]["searched"] and reads[0]["docs"] == 1
    assert reads[0]["shape"]["filter"] == {"personal_info.name": "?string"}


def test_a_search_that_finds_nobody(proxy, clients, mark):
    clients.patients("dr.nord").find_one({"personal_info.name": "Nobody At All"})
    read, = [r for r in since(proxy, mark) if r["event"] == "access"]
    assert read["searched"] and "subjects" not in read and read["docs"] == 0


def test_a_write_has_an_intent_and_an_outcome(proxy, clients, mark):
    clients.patients("import-job").insert_one(patient("Fay Noir", "H-SUD", "299126912345999"))
    intent, outcome = [r for r in since(proxy, mark) if r["event"] in ("intent", "outcome")]
    assert intent["event"] == "intent" and intent["request"] == outcome["request"]
    assert len(outcome["subjects"]) == 1 and outcome["code"] == 0
    clients.patients("import-job").delete_many({"personal_info.name": "Fay Noir"})


def test_an_unacknowledged_write_is_recorded(proxy, clients, mark):
    quick = clients.patients("import-job").with_options(write_concern=pymongo.WriteConcern(w=0))
    quick.insert_one(patient("Gus Gris", "H-SUD", "299126912345888"))
    outcome = eventually(lambda: [r for r in since(proxy, mark) if r["event"] == "outcome"])[0]
    assert outcome["unacknowledged"] is True
    clients.patients("import-job").delete_many({"personal_info.name": "Gus Gris"})


def test_refusals_and_logins(proxy, clients, mark):
    with pytest.raises(pymongo.errors.OperationFailure):
        clients.patients("analyst").find_one({"personal_info.name": "Ada Durand"})
    with wire.Client(proxy.port, proxy.ca) as client:
        assert client.login("dr.nord", "wrong")["code"] == 18
        assert client.login("no-such-user", "wrong")["code"] == 18
        assert client.command({"find": "patients", "$db": "healthcare_db"})["code"] == 13
    with wire.Client(proxy.port, proxy.ca) as client:
        assert client.login("dr.nord", password_of("dr.nord"))["ok"] == 1
    eventually(lambda: any(r["event"] == "logout" and r["user"] == "dr.nord"
                           for r in since(proxy, mark)))
    found = since(proxy, mark)
    assert [r["user"] for r in found if r["event"] == "login_failed"] == ["dr.nord", "no-such-user"]
    refused = [r for r in found if r["event"] == "refusal"]
    assert refused[0]["user"] == "analyst" and refused[0]["code"] == 13


def test_names_of_the_clients_own_choosing_are_numbered(proxy, clients, mark):
    with pytest.raises(pymongo.errors.OperationFailure):
        clients.patients("dr.nord").find_one({"Ada Durand": 1})
    record, = [r for r in since(proxy, mark) if r["event"] == "refusal"]
    assert record["shape"]["filter"] == {"?1": "?int"}


def test_no_value_of_a_patient_is_in_the_log(proxy, clients, loaded):
    text = b"".join(f.read_bytes() for f in proxy.audit_folder.glob("*.jsonl")).decode()
    text += "\n".join(proxy.server.lines["stderr"])
    for secret in SECRETS + ["Asthma", "password of", "18420.5"]:
        assert secret not in text


def test_query_by_patient(proxy, clients, mark):
    clients.patients("clerk").find_one({"personal_info.name": "Emma Blanc"})
    found = [json.loads(line) for line in proxy.command(
        "audit", "query", "--patient", f"personal_info.ssn={PATIENTS[4][2]}", "--user", "clerk",
        "--namespace", "healthcare_db.patients", "--json").splitlines()]
    assert found and all(r["user"] == "clerk" for r in found)


# ------------------------------------------------------------- tampering, starting


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, own_upstream):
    """A proxy that has run once, and its log as it was in the middle."""
    wipe(own_upstream)
    proxy = make_proxy(tmp_path_factory.mktemp("stopped"), own_upstream).start()
    with proxy.client("import-job") as client:
        client.healthcare_db.patients.insert_one(patient("Ada Durand", "H-NORD"))
    proxy.stop()
    shutil.copytree(proxy.audit_folder, proxy.folder / "older")
    proxy.start()
    with proxy.client("import-job") as client:
        client.healthcare_db.patients.find_one({})
    proxy.stop()
    proxy.verify()
    return proxy


def verify_copy(proxy, folder):
    return subprocess.run(
        [PROGRAM, "audit", "verify", folder, "--public-key", proxy.public_key, "--witness",
         proxy.witness()], capture_output=True, text=True)


def test_every_kind_of_tampering_is_found(stopped, tmp_path):
    lines = next(iter(stopped.audit_folder.glob("*.jsonl"))).read_bytes().splitlines(keepends=True)
    name = next(iter(stopped.audit_folder.glob("*.jsonl"))).name

    def check(changed):
        folder = tmp_path / "log"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / name).write_bytes(b"".join(changed))
        return verify_copy(stopped, folder).returncode
    assert check(lines) == 0
    for i in range(len(lines)):
        flipped = bytearray(lines[i])
        flipped[len(flipped) // 2] ^= 1
        assert check(lines[:i] + [bytes(flipped)] + lines[i + 1:]) == 1, i
        assert check(lines[:i] + lines[i + 1:]) == 1, i
        assert check(lines[:i]) == 1, i
    for i in range(len(lines) - 1):
        assert check(lines[:i] + [lines[i + 1], lines[i]] + lines[i + 2:]) == 1, i


def test_an_older_log_is_refused(stopped):
    kept = stopped.folder / "kept"
    shutil.move(stopped.audit_folder, kept)
    shutil.copytree(stopped.folder / "older", stopped.audit_folder)
    try:
        refused = stopped.command("serve", expect=None)
        assert refused.returncode == 2
        assert "has seen seq" in refused.stderr and "--accept-gap" in refused.stderr
    finally:
        shutil.rmtree(stopped.audit_folder)
        shutil.move(kept, stopped.audit_folder)


def test_a_gap_is_accepted_only_on_record(tmp_path_factory, own_upstream):
    wipe(own_upstream)
    proxy = make_proxy(tmp_path_factory.mktemp("gap"), own_upstream).start()
    proxy.stop()
    shutil.rmtree(proxy.audit_folder)
    assert proxy.command("serve", expect=None).returncode == 2
    proxy.start("--accept-gap", "the volume was lost")
    gap = [r for r in proxy.records() if r["event"] == "gap"]
    assert len(gap) == 1 and gap[0]["why"] == "the volume was lost"
    finish(proxy)


def test_a_full_disk_stops_access(tmp_path_factory, own_upstream):
    """Every file of the process may grow to a size only: the log, first of all."""
    wipe(own_upstream)
    proxy = make_proxy(tmp_path_factory.mktemp("full"), own_upstream)
    limit = 60_000
    proxy.start(preexec=lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)))
    codes = []
    with proxy.client("import-job", retryReads=False) as client:
        patients = client.healthcare_db.patients
        for _ in range(400):
            try:
                patients.find_one({})
            except pymongo.errors.OperationFailure as error:
                codes.append(error.code)
                assert "access is stopped" in str(error)
                assert not error.has_error_label("RetryableWriteError")
                break
        assert codes == [96]
        with pytest.raises(pymongo.errors.OperationFailure) as caught:
            patients.insert_one(patient("Ada Durand", "H-NORD"))
        assert caught.value.code == 96
        assert "503" in ready(proxy)
        # Room again: it goes on by itself.
        resource.prlimit(proxy.server.process.pid, resource.RLIMIT_FSIZE,
                         (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        eventually(lambda: works(patients))
        assert "200" in ready(proxy)
        assert patients.count_documents({}) == 0
    finish(proxy)


def works(patients):
    try:
        patients.find_one({})
    except pymongo.errors.OperationFailure:
        return False
    return True


def ready(proxy):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", proxy.admin_port, timeout=10)
    connection.request("GET", "/readyz")
    return str(connection.getresponse().status)

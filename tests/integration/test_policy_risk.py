"""`policy risk` against numbers that Python makes of the same patients."""

import collections
import itertools
import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest

import harness
from harness import PROGRAM, ROOT, run

sys.path.insert(0, str(ROOT / "scripts"))

import demo  # noqa: E402

ROWS = 3000
VIEW = "healthcare_db.patients_anonymized_view"
POLICY = ROOT / "policies/hospital"
LINKED = ["personal_info.age", "personal_info.gender", "admission_info.date_admission"]


@pytest.fixture(scope="module")
def patients(proxy, clients, tmp_path_factory):
    file = tmp_path_factory.mktemp("patients") / "patients.csv"
    subprocess.run([sys.executable, ROOT / "tests/data/make_patients.py", "--identifiers",
                    "--rows", str(ROWS), "--out", file], check=True, capture_output=True)
    _, documents = demo.read_patients(file)
    collection = clients.patients("import-job")
    collection.delete_many({})
    collection.insert_many(documents)
    return documents


def risk(proxy, *words, expect=0, policy=POLICY):
    return run([PROGRAM, "policy", "risk", policy, *words, "--config", proxy.config],
               expect=expect, env=proxy.env)


def measure(proxy, *words, **options):
    return json.loads(risk(proxy, *words, "--json", **options))


def named(option, paths):
    return [word for path in paths for word in (option, path)]


def expected(rows):
    """k-anonymity of rows, each a tuple of values, each of a patient of its own."""
    sizes = collections.Counter(rows)
    return {
        "classes": len(sizes),
        "k": min(sizes.values()),
        "rows_under": {str(n): sum(s for s in sizes.values() if s < n) for n in (2, 5, 11)},
        "sizes": [
            {"classes": sum(low <= s <= high for s in sizes.values()),
             "rows": sum(s for s in sizes.values() if low <= s <= high)}
            for low, high in ((1, 1), (2, 4), (5, 10), (11, 49), (50, 199), (200, 10**9))],
    }


def check(answer, rows):
    wanted = expected(rows)
    assert answer["rows"] == answer["patients"] == len(rows)
    for key in ("classes", "k", "rows_under"):
        assert answer[key] == wanted[key]
    assert [{k: b[k] for k in ("classes", "rows")} for b in answer["sizes"]] == wanted["sizes"]


def alone(rows, fields):
    counts = collections.Counter(tuple(row[f] for f in fields) for row in rows)
    return sum(counts[tuple(row[f] for f in fields)] == 1 for row in rows)


def check_combinations(answer, rows):
    assert answer["searched_all"]
    for found in answer["combinations"]:
        fields = [answer["quasi"].index(f) for f in found["fields"]]
        assert found["rows_alone"] == alone(rows, fields)
        if len(fields) < len(answer["quasi"]):
            worst = max(alone(rows, c) for c in
                        itertools.combinations(range(len(answer["quasi"])), len(fields)))
            assert found["rows_alone"] == worst


def band(value, edges, labels):
    return labels[sum(value >= edge for edge in edges)]


def as_the_view_has_it(document):
    """What an analyst gets of a patient: written from the policy, not from the proxy."""
    person, admission = document["personal_info"], document["admission_info"]
    money = document["administrative_info"]
    return {
        "age_range": band(person["age"], [18, 30, 50, 65], [0, 1, 2, 3, 4]),
        "gender": person["gender"],
        "admission_type": admission["admission_type"],
        "admission_year": admission["date_admission"].year,
        "duration_days": round(admission["duration_days"] / 5) * 5,
        "insurance_provider": money["insurance_provider"],
        "billing_range": band(money["billing_amount"], [10000, 25000, 50000], [0, 1, 2, 3]),
    }


def test_the_view_is_counted_as_it_leaves(proxy, patients):
    answer = measure(proxy, "--view", VIEW)
    rows = [as_the_view_has_it(d) for d in patients]
    assert answer["as"] == "view" and answer["quasi"] == list(rows[0])
    rows = [tuple(row.values()) for row in rows]
    check(answer, rows)
    check_combinations(answer, rows)
    values = collections.defaultdict(set)
    for row, document in zip(rows, patients):
        values[row].add(document["medical_info"]["condition"])
    condition = next(s for s in answer["sensitive"] if s["field"] == "medical_condition")
    assert condition["least"] == min(map(len, values.values()))
    assert condition["rows_one_value"] == sum(len(values[row]) == 1 for row in rows)
    assert {s["field"] for s in answer["sensitive"]} == {"medical_condition", "medication"}
    assert not answer["ciphertext"]


def test_fewer_fields_of_the_view(proxy, patients):
    answer = measure(proxy, "--view", VIEW, "--quasi", "gender", "--quasi", "medication",
                     "--sensitive", "medical_condition")
    check(answer, [(d["personal_info"]["gender"], d["medical_info"]["medication"])
                   for d in patients])
    assert [s["field"] for s in answer["sensitive"]] == ["medical_condition"]


def test_what_links_a_patient_upstream(proxy, patients):
    answer = measure(proxy, "--as", "upstream", *named("--quasi", LINKED))
    rows = [tuple(demo.get(d, path) for path in LINKED) for d in patients]
    assert answer["as"] == "upstream" and answer["quasi"] == LINKED
    check(answer, rows)
    check_combinations(answer, rows)
    assert answer["k"] == 1 and answer["rows_under"]["2"] > 0.9 * len(patients)


def test_ciphertext_upstream(proxy, patients):
    answer = measure(proxy, "--as", "upstream", "--quasi", "personal_info.name")
    names = [d["personal_info"]["name"] for d in patients]
    check(answer, [(name,) for name in names])
    by_field = {c["field"]: c for c in answer["ciphertext"]}
    counts = collections.Counter(names)
    name, ssn = by_field["personal_info.name"], by_field["personal_info.ssn"]
    assert name["algorithm"] == "deterministic" and name["values"] == len(counts)
    assert name["most"] == max(counts.values())
    assert name["alone"] == sum(n == 1 for n in counts.values())
    assert ssn["algorithm"] == "random" and ssn["alone"] == len(patients)
    assert name["plain"] == ssn["plain"] == 0
    # What looks different for each patient tells nobody apart.
    unique = measure(proxy, "--as", "upstream", "--quasi", "personal_info.ssn")
    assert unique["classes"] == len(patients)


def test_fields_upstream_by_default(proxy, patients):
    answer = measure(proxy, "--as", "upstream")
    assert set(answer["quasi"]) == {
        f"{part}.{name}" for part, fields in patients[0].items() if part != "_id"
        for name in fields if part != "medical_info"
    } - {"personal_info.name", "personal_info.ssn", "administrative_info.doctor"}
    assert {s["field"] for s in answer["sensitive"]} == {
        "medical_info.condition", "medical_info.medication", "medical_info.test_results"}


def test_text_for_people(proxy, patients):
    for words in (["--view", VIEW], ["--as", "upstream"], ["--as", "upstream",
                                                          *named("--quasi", LINKED)]):
        text = risk(proxy, *words)
        lines = text.splitlines()
        assert all(len(line) <= 80 for line in lines)
        assert re.search(r"^k = 1; smallest classes: ", text, re.M)
        # Numbers and names of fields, no value of anybody.
        for document in patients[:200]:
            person = document["personal_info"]
            assert person["name"] not in text and person["ssn"] not in text
            assert document["administrative_info"]["hospital"] not in text
        for word in ("Asthma", "Female", "Aetna", "65+"):
            assert word not in text


@pytest.mark.parametrize("k, code", [(1, 0), (2, 1)])
def test_a_wanted_k(proxy, patients, k, code):
    answer = measure(proxy, "--view", VIEW, "--min-k", k, expect=code)
    assert answer["met"] is (code == 0)


def test_several_documents_of_a_patient(proxy, clients, patients):
    collection = clients.patients("import-job")
    twin = json.loads(json.dumps(patients[0], default=str))
    twin.pop("_id")
    again = {**patients[1]}
    again.pop("_id")
    # The same number under another name, and a second stay of another patient.
    twin["personal_info"]["name"] = "Somebody Else"
    ids = collection.insert_many([twin, again]).inserted_ids
    try:
        answer = measure(proxy, "--as", "upstream", "--quasi", "personal_info.gender")
        assert answer["rows"] == len(patients) + 2 and answer["patients"] == len(patients)
        assert answer["shared"] == {"patients": 2, "documents": 4, "differ": 1}
    finally:
        collection.delete_many({"_id": {"$in": ids}})


def test_an_empty_collection(proxy, clients, patients, tmp_path):
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "p.yaml").write_text(
        "mongoward: 1\nclasses: {a: {}}\n"
        "collections: {healthcare_db.nothing: {fields: {x: {class: a}}}}\n")
    words = ["--as", "upstream", "--quasi", "x"]
    answer = measure(proxy, *words, policy=policy)
    assert answer["rows"] == 0 and answer["k"] == 0
    risk(proxy, *words, "--min-k", 1, policy=policy, expect=1)
    done = risk(proxy, "--as", "upstream", policy=policy, expect=None)
    assert done.returncode == 2 and "give --quasi" in done.stderr


def test_rows_of_a_view_for_one_user(proxy, patients, tmp_path):
    hospital = patients[0]["administrative_info"]["hospital"]
    policy = changed_policy(tmp_path, "rows: {}",
                            'rows: {administrative_info.hospital: "${user.hospital}"}')
    done = risk(proxy, "--view", VIEW, policy=policy, expect=None)
    assert done.returncode == 2 and "${user.hospital}" in done.stderr
    answer = measure(proxy, "--view", VIEW, "--attr", f"hospital={hospital}", policy=policy)
    assert answer["rows"] == sum(
        d["administrative_info"]["hospital"] == hospital for d in patients)


def changed_policy(tmp_path, old, new, roles=True):
    policy = tmp_path / "policy"
    policy.mkdir()
    text = (POLICY / "data.yaml").read_text()
    assert old in text
    (policy / "data.yaml").write_text(text.replace(old, new))
    if roles:
        (policy / "roles.yaml").write_text((POLICY / "roles.yaml").read_text())
    return policy


def test_rare_rows_are_left_out(proxy, clients, patients, tmp_path):
    policy = changed_policy(tmp_path, "    rows: {}\n", "    rows: {}\n    min_group: 2\n")
    answer = measure(proxy, "--view", VIEW, policy=policy)
    rows = [(tuple(as_the_view_has_it(d).values()), d["medical_info"]["condition"],
             d["medical_info"]["medication"]) for d in patients]
    kinds = collections.Counter(rows)
    left = [row[0] for row in rows if kinds[row] >= 2]
    assert 0 < len(left) < len(rows)
    check(answer, left)
    assert answer["k"] == 2 and answer["left_out"] == len(rows) - len(left)
    # And so has it who reads the view, through the proxy.
    target = proxy.folder / "policies/hospital/data.yaml"
    before = target.read_text()
    try:
        target.write_text((policy / "data.yaml").read_text())
        assert proxy.reload()
        view = clients["analyst"].healthcare_db.patients_anonymized_view
        assert view.count_documents({}) == answer["rows"]
    finally:
        target.write_text(before)
        assert proxy.reload()


def test_protected_rows_are_not_there_for_those_who_read_the_view(
        proxy, clients, upstream, patients, tmp_path):
    with upstream.client() as direct:
        change = direct.healthcare_db.patients.update_many
        some = [d["_id"] for d in patients[:7]]
        change({"_id": {"$in": some}}, {"$set": {"metadata.vip": True}})
        try:
            assert measure(proxy, "--view", VIEW)["rows"] == len(patients) - 7
            named = measure(proxy, "--view", VIEW, "--role", "vip_team")
            assert named["rows"] == len(patients)
            view = clients["analyst"].healthcare_db.patients_anonymized_view
            assert view.count_documents({}) == len(patients) - 7
            # The database's operator sees them all.
            stored = measure(proxy, "--as", "upstream", "--quasi", "personal_info.gender")
            assert stored["rows"] == len(patients)
            several = changed_policy(tmp_path, "only: [vip_team, import]", "only: [vip_team]")
            with (several / "more.yaml").open("w") as file:
                file.write("mongoward: 1\nroles:\n  all: {grants: [{namespace: \"*\", do: [read],"
                           " see: {\"*\": plaintext}}]}\n")
            assert measure(proxy, "--view", VIEW, policy=several)["rows"] == len(patients) - 7
            text = (several / "data.yaml").read_text()
            (several / "data.yaml").write_text(text.replace("only: [vip_team]", "only: [all]"))
            done = risk(proxy, "--view", VIEW, policy=several, expect=None)
            assert done.returncode == 2 and "give --role" in done.stderr
        finally:
            change({}, {"$unset": {"metadata.vip": ""}})


@pytest.mark.parametrize("words, said", [
    ([], "--view NAMESPACE or --as upstream"),
    (["--view", VIEW, "--as", "upstream"], "--view NAMESPACE or --as upstream"),
    (["--as", "nurse"], "--as nurse is not known"),
    (["--view", "healthcare_db.nothing"], "no view"),
    (["--as", "upstream", "--collection", "healthcare_db.nothing"], "no collection"),
    (["--view", VIEW, "--collection", "healthcare_db.patients"], "--collection goes with"),
    (["--view", VIEW, "--quasi", "ssn"], "the view has no field 'ssn'"),
    (["--view", VIEW, "--quasi", "gender", "--quasi", "gender"], "given twice"),
    (["--view", VIEW, "--quasi", "gender", "--sensitive", "gender"], "--sensitive"),
    (["--as", "upstream", "--quasi", "personal_info.gander"], "no document has a field"),
    (["--as", "upstream", "--attr", "a=b"], "--attr and --role go with --view"),
    (["--as", "upstream", "--role", "analyst"], "--attr and --role go with --view"),
    (["--view", VIEW, "--role", "nobody"], "no role 'nobody'"),
    (["--view", VIEW, "--attr", "a"], "ATTRIBUTE=VALUE"),
    (["--view", VIEW, "--min-k", "0"], "--min-k needs a number"),
    (["--view", VIEW, "--min-k", "1000000001"], "--min-k needs a number"),
    (["--view", VIEW, "--min-k", "two"], "--min-k needs a number"),
])
def test_bad_usage(proxy, patients, words, said):
    done = risk(proxy, *words, expect=None)
    assert done.returncode == 2 and said in done.stderr and not done.stdout


def test_limits_of_fields(proxy, patients):
    for count in (24, 25):
        done = risk(proxy, "--as", "upstream", "--sensitive", "x",
                    *named("--quasi", ["personal_info.age"] + [f"f{i}" for i in range(count - 1)]),
                    expect=None)
        assert done.returncode == 2
        assert ("over 24 --quasi" if count > 24 else "no document has") in done.stderr
    for count in (8, 9):
        done = risk(proxy, "--as", "upstream", "--quasi", "personal_info.age",
                    *named("--sensitive", [f"f{i}" for i in range(count)]), expect=None)
        assert done.returncode == (2 if count > 8 else 0)


def test_nothing_is_written(proxy, upstream, patients):
    with upstream.client() as direct:
        def state():
            names = sorted(direct.list_database_names())
            keys = list(direct.encryption["__keyVault"].find({}, {"_id": 1, "updateDate": 1}))
            return names, keys, direct.healthcare_db.patients.estimated_document_count()
        before = state()
        risk(proxy, "--view", VIEW)
        assert state() == before


def test_a_key_that_is_missing(proxy, patients, tmp_path):
    policy = changed_policy(
        tmp_path, "      metadata:             {class: technical}",
        "      metadata:             {class: technical}\n"
        "      metadata.source: {class: technical, type: string, encrypt: {algorithm: random}}")
    done = risk(proxy, "--as", "upstream", policy=policy, expect=None)
    assert done.returncode == 2 and "'metadata.source' has no data key" in done.stderr


def test_a_database_that_is_not_there(proxy, tmp_path):
    config = tmp_path / "mongoward.yaml"
    text = re.sub(r"127\.0\.0\.1:\d+/\?", f"127.0.0.1:{harness.free_port()}/?",
                  proxy.config.read_text())
    for name in ("keys", "users.yaml", "policies", "tls", "audit", "witness"):
        (tmp_path / name).symlink_to(proxy.folder / name)
    config.write_text(text)
    done = run([PROGRAM, "policy", "risk", POLICY, "--view", VIEW, "--config", config],
               expect=None, env=proxy.env)
    assert done.returncode == 3 and not done.stdout


def on_a_terminal(proxy, *words):
    """The process, with a terminal for its standard error, and what to read of that."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [str(PROGRAM), "policy", "risk", str(POLICY), *words, "--config", str(proxy.config)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave,
        env=harness.environment(proxy.env))
    os.close(slave)
    return process, master


def read_to_the_end(master):
    text = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            part = b""
        if not part:
            os.close(master)
            return text.decode()
        text += part


def test_progress_on_a_terminal(proxy, patients):
    process, master = on_a_terminal(proxy, "--view", VIEW)
    shown = read_to_the_end(master)
    output = process.stdout.read().decode()
    process.stdout.close()
    assert process.wait() == 0
    assert re.search(r"\rreading documents \[#*\.*\] \d+ of \d+", shown)
    assert shown.endswith("\r\x1b[K") and "\r" not in output


def test_an_interrupt_ends_it_without_numbers(proxy, patients):
    process, master = on_a_terminal(proxy, "--view", VIEW)
    first = os.read(master, 65536)
    process.send_signal(signal.SIGINT)
    shown = first.decode() + read_to_the_end(master)
    output = process.stdout.read()
    process.stdout.close()
    assert process.wait() == 3, shown
    assert "stopped before everything was read" in shown and not output

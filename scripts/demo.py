#!/usr/bin/env python3
"""The demonstration behind scripts/quickstart: every fact that it shows is checked.

Starts the embedded upstream and the proxy in a state folder, loads the patient file through
the proxy, and shows one patient through the eyes of each role, of the database's operator,
and of the audit log.
"""

import argparse
import csv
import datetime
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

import bson  # noqa: E402
import pymongo  # noqa: E402
import pymongo.errors  # noqa: E402
from bson.binary import Binary  # noqa: E402
from bson.raw_bson import RawBSONDocument  # noqa: E402

import harness  # noqa: E402
from harness import Proxy, Upstream, eventually, run  # noqa: E402

WIDTH = 80
DEFAULT_PORT = 27017
BATCH = 1000
VIEW = "patients_anonymized_view"
DOCTOR, OTHER_DOCTOR = "dr.here", "dr.elsewhere"
CLERK, ANALYST, ADMIN, IMPORT = "billing-clerk", "analyst", "chief-admin", "nightly-import"


class Check:
    """Facts: each is printed as it is found true; a false one ends the demonstration."""

    def __init__(self):
        self.count = 0

    def __call__(self, fact, text):
        if not fact:
            print(f"  NOT SO: {text}")
            raise SystemExit(1)
        self.count += 1
        first, *rest = textwrap.wrap(text, WIDTH - 5)
        print(f"  ok {first}" + "".join(f"\n     {line}" for line in rest))


check = Check()


def heading(text):
    print(f"\n== {text} " + "=" * max(0, WIDTH - len(text) - 4), flush=True)


def cut(text, width):
    text = unicodedata.normalize("NFC", str(text))
    return text if len(text) <= width else text[:width - 1] + "…"


def table(columns, rows):
    """Side by side within 80 columns: the first column names the line."""
    names = [name for name, _ in rows]
    first = max(map(len, names + [""]))
    each = (WIDTH - first - 2 * len(columns)) // len(columns)

    def line(name, cells):
        print(name.ljust(first) + "".join("  " + cut(c, each).ljust(each) for c in cells).rstrip())

    line("", columns)
    line("-" * first, ["-" * each] * len(columns))
    for name, cells in rows:
        line(name, cells)


def show(value):
    if value is None:
        return "-"
    if isinstance(value, Binary) and value.subtype == 6:
        return "(sealed) " + value.hex()[34:]
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d")
    if isinstance(value, float):
        return f"{value:.2f}"
    return str(value)


def get(document, path):
    for part in path.split("."):
        if not isinstance(document, dict) or part not in document:
            return None
        document = document[part]
    return document


# ------------------------------------------------------------------- the import


def clean(row):
    """A row of the patient file as the hospital's nightly job stores it."""
    def date(text):
        return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)

    def title(text):
        return " ".join(text.split()).title()

    admitted, left = date(row["Date of Admission"]), date(row["Discharge Date"])
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "personal_info": {
            "name": title(row["Name"]), "age": int(row["Age"]), "gender": row["Gender"],
            "blood_type": row["Blood Type"], "ssn": row["SSN"]},
        "medical_info": {
            "condition": row["Medical Condition"], "medication": row["Medication"],
            "test_results": row["Test Results"]},
        "admission_info": {
            "date_admission": admitted, "date_discharge": left,
            "duration_days": (left - admitted).days, "admission_type": row["Admission Type"],
            "room_number": int(row["Room Number"])},
        "administrative_info": {
            "doctor": title(row["Doctor"]), "hospital": row["Hospital"],
            "insurance_provider": row["Insurance Provider"],
            "billing_amount": round(abs(float(row["Billing Amount"])), 2)},
        "metadata": {
            "created_at": now, "source": "healthcare_dataset.csv", "migration_version": "1.0",
            "migration_date": now.strftime("%Y-%m-%d")},
    }


def read_patients(file):
    """Exact duplicates dropped, in the file's order."""
    with open(file, encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    return len(rows), [clean(row) for row in {tuple(r.values()): r for r in rows}.values()]


def progress(done, total, began):
    seconds = max(time.monotonic() - began, 1e-6)
    text = f"{done:,}/{total:,}  {done / seconds:,.0f}/s"
    if sys.stdout.isatty():
        full = 30 * done // total
        print(f"\r  [{'#' * full}{'.' * (30 - full)}]  {text} ", end="", flush=True)
        if done == total:
            print()
    elif done == total or done % (10 * BATCH) == 0:
        print(f"  {text}", flush=True)


VALIDATOR = {"$jsonSchema": {
    "bsonType": "object",
    "required": ["personal_info", "medical_info", "admission_info", "administrative_info"],
    "properties": {
        "personal_info": {
            "bsonType": "object", "required": ["name", "age", "gender", "blood_type"]},
        "medical_info": {
            "bsonType": "object", "required": ["condition", "medication", "test_results"]}}}}
INDEXES = [
    "personal_info.name", "personal_info.age", "medical_info.condition",
    "admission_info.date_admission", "administrative_info.hospital",
    "administrative_info.billing_amount", [("personal_info.gender", 1), ("personal_info.age", 1)]]


def import_patients(client, documents):
    """What the nightly job does: clear, load in batches, index, count, look at samples."""
    database = client.healthcare_db
    patients = database.patients
    if "patients" not in database.list_collection_names():
        database.create_collection("patients", validator=VALIDATOR)
    patients.delete_many({})
    began = time.monotonic()
    for at in range(0, len(documents), BATCH):
        patients.insert_many(documents[at:at + BATCH])
        progress(min(at + BATCH, len(documents)), len(documents), began)
    for keys in INDEXES:
        patients.create_index(keys)
    check(patients.count_documents({}) == len(documents),
          f"count_documents says {len(documents):,}")
    step = max(1, len(documents) // 100)
    samples = documents[::step][:100]
    found = [patients.find_one({"personal_info.name": d["personal_info"]["name"]}) for d in samples]
    check(all(f and f["personal_info"]["name"] == d["personal_info"]["name"]
              for f, d in zip(found, samples)),
          f"{len(samples)} samples are found by name, through encryption")
    check(len(list(patients.list_indexes())) == len(INDEXES) + 1,
          f"{len(INDEXES) + 1} indexes are there")


# ---------------------------------------------------------------- what is shown


class Demonstration:
    def __init__(self, options):
        self.options = options
        self.state = options.dir
        self.upstream = None
        self.proxy = None
        self.clients = {}
        self.patient = None
        self.elsewhere = None

    def client(self, name):
        if name not in self.clients:
            self.clients[name] = self.proxy.client(name, appname="quickstart")
        return self.clients[name]

    def patients(self, name):
        return self.client(name).healthcare_db.patients

    # ------------------------------------------------------------- starting

    def start(self):
        heading("Upstream and proxy")
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir(parents=True)
        self.upstream = Upstream(self.state / "upstream").start()
        print(f"  upstream  SecantusDB on 127.0.0.1:{self.upstream.port}, TLS and SCRAM-SHA-256")
        self.proxy = Proxy(self.state / "mongoward", self.upstream.uri,
                           address=f"127.0.0.1:{first_port()}")
        self.proxy.init()
        self.proxy.command("key", "create", "--missing")
        self.proxy.add_users({IMPORT: (["import"], {}, None), CLERK: (["billing"], {}, "payment"),
                              ANALYST: (["analyst"], {}, None), ADMIN: (["admin"], {}, None)})
        self.proxy.start()
        print(f"  proxy     mongoward on 127.0.0.1:{self.proxy.port}, TLS, made by `mongoward init`")
        try:
            with socket.create_connection(("127.0.0.1", self.proxy.port), 10) as plain:
                plain.sendall(bytes(64))
                plain.settimeout(10)
                answer = plain.recv(64)
        except ConnectionError:
            answer = b""
        check(not answer or answer[:1] == b"\x15", "the proxy answers nobody without TLS")

    def load(self):
        heading("The nightly import, under the role `import`")
        file = self.state / "patients.csv"
        run([sys.executable, ROOT / "tests/data/make_patients.py", "--identifiers",
             "--rows", self.options.rows, "--out", file])
        rows, documents = read_patients(file)
        print(f"  {rows:,} rows, {rows - len(documents):,} exact duplicates dropped")
        import_patients(self.client(IMPORT), documents)
        self.choose(documents)
        self.proxy.add_users({
            DOCTOR: (["doctor"], {"hospital": get(self.patient, "administrative_info.hospital")},
                     None),
            OTHER_DOCTOR: (["doctor"],
                           {"hospital": get(self.elsewhere, "administrative_info.hospital")}, None),
        })
        check(self.proxy.reload(), "two doctors were added, without a restart")

    def choose(self, documents):
        """A patient whose name is the only one, and one of another hospital."""
        names, hospitals = {}, {}
        for d in documents:
            name = d["personal_info"]["name"]
            names[name] = names.get(name, 0) + 1
        for d in documents:
            hospitals.setdefault(d["administrative_info"]["hospital"], d)
        self.patient = next(
            d for d in documents
            if names[d["personal_info"]["name"]] == 1 and len(d["personal_info"]["name"]) > 10)
        mine = self.patient["administrative_info"]["hospital"]
        self.elsewhere = next(d for hospital, d in hospitals.items() if hospital != mine)

    # -------------------------------------------------------------- reading

    def read(self, name):
        """The patient as this user finds it; None when there is none, a text when refused."""
        try:
            return self.patients(name).find_one(
                {"_id": self.patient["_id"]}, comment=None)
        except pymongo.errors.OperationFailure as error:
            assert error.code == 13, error
            return "refused"

    def side_by_side(self):
        heading("One patient, seen by each")
        me = self.patient
        name, ssn = me["personal_info"]["name"], me["personal_info"]["ssn"]
        doctor, other = self.read(DOCTOR), self.read(OTHER_DOCTOR)
        clerk, admin = self.read(CLERK), self.read(ADMIN)
        with self.upstream.client(tz_aware=True) as direct:
            stored = direct.healthcare_db.patients.find_one({"_id": me["_id"]})
        view = self.client(ANALYST).healthcare_db[VIEW]
        row = view.find_one({
            "medical_condition": me["medical_info"]["condition"],
            "medication": me["medical_info"]["medication"],
            "gender": me["personal_info"]["gender"]})

        paths = [
            ("name", "personal_info.name"), ("ssn", "personal_info.ssn"),
            ("age", "personal_info.age"), ("condition", "medical_info.condition"),
            ("medication", "medical_info.medication"),
            ("admitted", "admission_info.date_admission"),
            ("hospital", "administrative_info.hospital"),
            ("doctor", "administrative_info.doctor"),
            ("billed", "administrative_info.billing_amount")]
        seen = [doctor, other, clerk, admin, stored]
        names = ["doctor", "other doc", "billing", "admin", "upstream"]

        def cell(document, path):
            if isinstance(document, str) or document is None:
                return "refused" if document else "(no row)"
            return show(get(document, path))

        table(names, [(label, [cell(d, path) for d in seen]) for label, path in paths])
        print()
        check(get(doctor, "personal_info.name") == name
              and get(doctor, "medical_info.condition") == me["medical_info"]["condition"],
              "the doctor of the hospital reads the name and the condition in clear")
        check(get(doctor, "personal_info.ssn") == "*" * (len(ssn) - 4) + ssn[-4:],
              "of the social security number the doctor sees the last four digits")
        check(get(doctor, "administrative_info.billing_amount") is None
              and get(doctor, "administrative_info.doctor") is None,
              "amounts and colleagues' names are not there for the doctor")
        check(other is None, "for a doctor of another hospital the patient does not exist")
        check(get(clerk, "personal_info.name") == name and get(clerk, "medical_info") is None
              and get(clerk, "administrative_info.billing_amount")
              == me["administrative_info"]["billing_amount"],
              "the billing clerk reads name and amount, and nothing medical")
        check(admin == "refused", "the administrator runs the database and reads no patient")
        check(all(isinstance(get(stored, p), Binary) and get(stored, p).subtype == 6
                  for p in ("personal_info.name", "personal_info.ssn",
                            "administrative_info.doctor")),
              "the upstream holds ciphertext for name, number and doctor")

        print("\n  the analyst, in the anonymised view:")
        for key in sorted(row):
            print(f"    {key:<20} {cut(show(row[key]), WIDTH - 26)}")
        print()
        text = repr(row)
        check("_id" not in row and name not in text and ssn not in text,
              "the analyst's row has no name, no number and no _id")
        check(re.fullmatch(r"0-17|18-29|30-49|50-64|65\+", row["age_range"])
              and row["billing_range"] in ("<10K", "10K-25K", "25K-50K", "50K+")
              and row["duration_days"] % 5 == 0,
              "age and amount are bands, and the stay is rounded to five days")
        try:
            self.patients(ANALYST).find_one({})
            refused = False
        except pymongo.errors.OperationFailure as error:
            refused = error.code == 13
        check(refused, "the table behind the view is refused to the analyst")

    def scan(self):
        heading("Every byte of every document in the upstream")
        me = self.patient["personal_info"]
        needles = {me["name"].encode(), me["name"].lower().encode(), me["name"].upper().encode(),
                   me["ssn"].encode(), *(part.encode() for part in [me["name"].split()[-1]]
                                         if len(part) > 9)}
        documents = size = hits = 0
        with self.upstream.client(document_class=RawBSONDocument) as direct:
            for database in direct.list_database_names():
                if database in ("admin", "config"):
                    continue
                for collection in direct[database].list_collection_names():
                    for raw in direct[database][collection].find({}, batch_size=5000):
                        documents += 1
                        size += len(raw.raw)
                        hits += sum(needle in raw.raw for needle in needles)
        check(hits == 0 and documents > len(needles),
              f"{documents:,} documents, {size:,} bytes of all databases (oplog included): "
              f"neither the name nor the number is anywhere")

    # ---------------------------------------------------------------- audit

    def audit(self):
        heading("The audit records of exactly those reads")
        records = self.proxy.records()
        reads = [r for r in records if r.get("app") == "quickstart"
                 and r["event"] in ("access", "refusal") and r.get("user") != IMPORT
                 and r.get("command") == "find"]
        for r in reads:
            print(cut(f"  {r['seq']:>5} {r['ts'][11:19]} {r['event']:<8} {r.get('user', ''):<14} "
                      f"{r.get('command', ''):<6} docs={r.get('docs', 0)} code={r.get('code', 0)} "
                      f"subjects={','.join(s[:8] for s in r.get('subjects', [])) or '-'}", WIDTH))
        print()
        by_user = {}
        for r in reads:
            by_user.setdefault(r["user"], []).append(r)
        subjects = [by_user[u][0].get("subjects", []) for u in (DOCTOR, CLERK)]
        check(all(len(s) == 1 for s in subjects) and subjects[0] == subjects[1],
              "doctor and clerk: one subject, and the same token for the same patient")
        check(by_user[OTHER_DOCTOR][0].get("docs", 0) == 0
              and not by_user[OTHER_DOCTOR][0].get("subjects"),
              "the other doctor: an access that found nobody")
        check([r["event"] for r in by_user[ADMIN]] == ["refusal"],
              "the administrator: a refusal")
        check([r["event"] for r in by_user[ANALYST]] == ["access", "refusal"],
              "the analyst: one read of the view, one refusal of the table")
        log = b"".join(f.read_bytes() for f in self.proxy.audit_folder.glob("*.jsonl"))
        check(self.patient["personal_info"]["name"].encode() not in log
              and self.patient["personal_info"]["ssn"].encode() not in log,
              "no value of a patient stands in the log")

    def tamper(self):
        heading("mongoward audit verify, and what it finds")
        last = eventually(lambda: self.covered(), 15)
        print(textwrap.indent(self.proxy.verify().strip(), "  "))
        check(last, "the log verifies against the witness")
        flipped = self.copy("flipped")
        file = max(flipped.glob("*.jsonl"), key=lambda f: f.stat().st_size)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        done = self.proxy.verify(flipped, expect=None)
        print("  " + cut((done.stdout + done.stderr).strip().splitlines()[0], WIDTH - 2))
        check(done.returncode == 1, "one flipped bit is found")
        tail = self.copy("cut")
        file = max(tail.glob("*.jsonl"), key=lambda f: f.name)
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(b"".join(lines[:len(lines) // 2]))
        done = self.proxy.verify(tail, expect=None)
        print("  " + cut((done.stdout + done.stderr).strip().splitlines()[0], WIDTH - 2))
        check(done.returncode == 1, "a cut tail is found")

    def covered(self):
        records = self.proxy.records()
        return records[-1]["event"] == "checkpoint" and records[-1]["seq"]

    def copy(self, name):
        """A copy of the log as it was at its last checkpoint and later lines."""
        target = self.state / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for file in self.proxy.audit_folder.glob("*.jsonl"):
            shutil.copy(file, target)
        return target

    # -------------------------------------------------------------- attacks

    def attacks(self):
        """(what is tried, by whom, the command, whether a reply tells the secret)."""
        me, amount = self.patient["_id"], self.patient["administrative_info"]["billing_amount"]
        name, path = self.patient["personal_info"]["name"], "administrative_info.billing_amount"
        mine, other = {"$match": {"_id": me}}, self.elsewhere["_id"]

        def pipeline(*stages, collection="patients"):
            return {"aggregate": collection, "pipeline": list(stages), "cursor": {}}

        def shows(secret):
            return lambda reply: repr(secret) in repr(reply)

        return [
            ("group by an amount", DOCTOR, pipeline(mine, {"$group": {"_id": f"${path}"}}),
             shows(amount)),
            ("rename it in a projection", DOCTOR,
             {"find": "patients", "filter": {"_id": me}, "projection": {"x": f"${path}"}},
             shows(amount)),
            ("turn the whole document into a list", DOCTOR,
             pipeline(mine, {"$project": {"x": {"$objectToArray": "$$ROOT"}}}), shows(amount)),
            ("list the distinct amounts", DOCTOR,
             {"distinct": "patients", "key": path, "query": {"_id": me}}, shows(amount)),
            ("ask whether it is this amount", DOCTOR,
             {"count": "patients", "query": {"_id": me, path: amount}},
             lambda reply: reply.get("n") == 1),
            ("ask by what an update matches", DOCTOR,
             {"update": "patients", "updates": [
                 {"q": {"_id": me, path: {"$gt": amount - 1}}, "u": {"$set": {
                     "medical_info.medication": self.patient["medical_info"]["medication"]}}}]},
             lambda reply: reply.get("n") == 1),
            ("ask by an error", DOCTOR,
             {"find": "patients", "filter": {"_id": me, "$expr": {
                 "$gt": [{"$divide": [1, {"$subtract": [f"${path}", amount]}]}, 0]}}},
             lambda reply: reply.get("ok") == 0 and reply.get("code") != 13),
            ("collect it in a facet", DOCTOR,
             pipeline(mine, {"$facet": {"x": [{"$group": {
                 "_id": None, "all": {"$push": f"${path}"}}}]}}), shows(amount)),
            ("join the table to itself on it", DOCTOR,
             pipeline(mine, {"$lookup": {"from": "patients", "localField": path,
                                         "foreignField": path, "as": "x"}}), shows(amount)),
            ("unite with another hospital's rows", DOCTOR,
             pipeline(mine, {"$unionWith": {"coll": "patients",
                                            "pipeline": [{"$match": {"_id": other}}]}}),
             shows(other)),
            ("read the table behind the view", ANALYST,
             {"find": "patients", "filter": {"_id": me}}, shows(amount)),
            ("join from the view to the table", ANALYST,
             pipeline({"$limit": 1}, {"$lookup": {
                 "from": "patients", "pipeline": [{"$match": {"_id": me}}], "as": "x"}},
                 collection=VIEW), lambda reply: name in repr(reply) or repr(amount) in repr(reply)),
        ]

    def try_attacks(self):
        heading("Twelve ways around it, tried")

        def ask(database, command):
            try:
                return database.command(command)
            except pymongo.errors.OperationFailure as error:
                return {"ok": 0, "code": error.code}

        rows, direct_tells, proxy_tells = [], 0, 0
        with self.upstream.client(tz_aware=True) as direct:
            for what, user, command, tells in self.attacks():
                # Upstream there is no view: the table stands for it.
                plain = {**command, **({"aggregate": "patients"} if "aggregate" in command else {})}
                open_ = tells(ask(direct.healthcare_db, plain))
                reply = ask(self.client(user).healthcare_db, command)
                leaks = tells(reply)
                direct_tells += open_
                proxy_tells += leaks
                rows.append((what, [
                    "tells" if open_ else "-",
                    "TELLS" if leaks else "refused" if reply.get("code") == 13 else "nothing"]))
        table(["without", "mongoward"], rows)
        print()
        check(len(rows) == 12 and direct_tells == 12, "each tells a secret without the proxy")
        check(proxy_tells == 0, "and none does through it: refused, or run on what the role sees")

    # --------------------------------------------------------------- policy

    def change_policy(self):
        heading("One line of the policy, changed while it runs")
        file = self.proxy.folder / "policies/hospital/roles.yaml"
        before = file.read_text()
        old = "personal_info.ssn: {mask: partial, keep_last: 4}"
        new = "personal_info.ssn: remove"
        assert before.count(old) == 1
        print(f"  - {old}\n  + {new}")
        was = self.read(DOCTOR)
        # What must stay true is part of the policy: its test says so too.
        tests = self.proxy.folder / "policies/hospital/tests.yaml"
        tests_before = tests.read_text()
        file.write_text(before.replace(old, new))
        check(not self.proxy.reload(),
              "the policy's own test says no: the change is refused, the old one goes on")
        check(self.read(DOCTOR) == was, "the doctor still sees the last four digits")
        tests.write_text(tests_before.replace(', ssn: "***********8436"', "", 1))
        pid = self.proxy.server.pid
        check(self.proxy.reload(), "with its test changed too, it is taken")
        now = self.read(DOCTOR)
        check("ssn" in was["personal_info"] and "ssn" not in now["personal_info"]
              and self.proxy.server.pid == pid and self.proxy.server.running(),
              "the same doctor on the same connection: the number is gone; no restart")
        file.write_text(before)
        tests.write_text(tests_before)
        check(self.proxy.reload() and self.read(DOCTOR) == was, "and back again")

    # ------------------------------------------------------------------ end

    def goodbye(self):
        heading("Yours to try")
        print(f"  URI       mongodb://USER:PASSWORD@127.0.0.1:{self.proxy.port}/"
              f"?tls=true\n            &tlsCAFile={self.proxy.ca}")
        for name in (IMPORT, DOCTOR, OTHER_DOCTOR, CLERK, ANALYST, ADMIN):
            print(f"  user      {name:<16} password: {harness.password_of(name)}")
        print(f"  health    http://127.0.0.1:{self.proxy.admin_port}/readyz and /metrics")
        print(textwrap.dedent(f"""
          Try next:
            mongosh with the URI above: use healthcare_db; db.patients.findOne()
            edit {self.proxy.folder}/policies/hospital/roles.yaml
            {harness.PROGRAM} status --config {self.proxy.config}
            {harness.PROGRAM} audit verify {self.proxy.audit_folder}"""))

    def wait(self):
        print("\nRunning; Ctrl-C stops it.", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self.proxy.server.process.wait()
            print("the proxy ended by itself", file=sys.stderr)
        except KeyboardInterrupt:
            print()

    def stop(self):
        for client in self.clients.values():
            client.close()
        code = self.proxy.stop() if self.proxy else 0
        if self.upstream:
            self.upstream.stop()
        return code


def first_port():
    """27017 if it is free, else any."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", DEFAULT_PORT))
            return DEFAULT_PORT
        except OSError:
            return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=pathlib.Path, default=ROOT / ".quickstart")
    parser.add_argument("--rows", type=int, default=55500)
    parser.add_argument("--check", action="store_true", help="unattended; ends when all is shown")
    options = parser.parse_args()
    options.dir = options.dir.resolve()
    demonstration = Demonstration(options)
    code = 0
    try:
        demonstration.start()
        demonstration.load()
        demonstration.side_by_side()
        demonstration.scan()
        demonstration.audit()
        demonstration.tamper()
        demonstration.try_attacks()
        demonstration.change_policy()
        demonstration.goodbye()
        if not options.check:
            demonstration.wait()
    finally:
        code = demonstration.stop()
    if options.check:
        check(code == 0, "the proxy ends with exit code 0")
        print(f"\n{check.count} facts shown and checked")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())

"""What a statistician reasonably asks: thirty questions under the policy that we ship, over three
thousand patients: how many are answered, and how far off the answers are.

A question is answered when every group is there that is larger than any noise can hide, with all
of its values.  The truth is what the database says without a proxy of the fields as the role sees
them.  Bounds are what noise of a standard deviation of two patients allows, with some room.
"""

import json
import statistics as plain
import subprocess
import sys

import pytest

import conftest
from conftest import Clients
from harness import ROOT, Proxy

sys.path.insert(0, str(ROOT / "scripts"))

import demo  # noqa: E402

ROWS = 3000
ALWAYS_TOLD = 19    # patients: the least group, and the most noise
LARGE = 100         # patients of a group whose error is judged
WORKBOOK = ROOT / "tests/policy/utility/statistician.json"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, upstream):
    conftest.wipe(upstream)
    proxy = Proxy(tmp_path_factory.mktemp("utility") / "mongoward", upstream.uri).init()
    proxy.add_users({"import-job": (["import"], {}, None), "stat": (["statistician"], {}, None)})
    proxy.command("key", "create", "--missing")
    proxy.start()
    yield proxy
    conftest.finish(proxy)


def as_seen(document):
    """With what policies/hospital masks for this role masked: written from its text."""
    seen = {**document, "personal_info": {**document["personal_info"]},
            "admission_info": {**document["admission_info"]}}
    seen["personal_info"]["age"] = round(seen["personal_info"]["age"] / 10) * 10
    came = seen["admission_info"]["date_admission"]
    seen["admission_info"]["date_admission"] = came.replace(
        month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    return seen


def rows(collection, pipeline):
    """Rows by what tells them apart."""
    found = {}
    for row in collection.aggregate(pipeline):
        key = row.get("_id", row.get("insurer"))
        numbers = {k: v for k, v in row.items() if k not in ("_id", "insurer")}
        found[repr(key)] = numbers
    return found


def test_the_workbook(proxy, upstream, tmp_path):
    file = tmp_path / "patients.csv"
    subprocess.run([sys.executable, ROOT / "tests/data/make_patients.py", "--identifiers",
                    "--rows", str(ROWS), "--out", file], check=True, capture_output=True)
    _, documents = demo.read_patients(file)
    clients = Clients(proxy)
    direct = upstream.client(tz_aware=True)
    questions = json.loads(WORKBOOK.read_text())
    assert len(questions) == 30
    answered, counts, averages, lines = 0, [], [], []
    try:
        clients.patients("import-job").insert_many([dict(d) for d in documents])
        truth_of = direct.healthcare_db.patients_as_seen
        truth_of.drop()
        truth_of.insert_many([as_seen(d) for d in documents])
        for q in questions:
            truth = rows(truth_of, q["pipeline"])
            told = rows(clients.patients("stat"), q["pipeline"])
            limited = any("$limit" in stage for stage in q["pipeline"])
            expected = {k for k, v in truth.items() if v.get("n", v.get("count")) >= ALWAYS_TOLD}
            complete = (len(told) == len(truth) if limited else expected <= set(told)) and all(
                v is not None for row in told.values() for v in row.values())
            answered += bool(complete and told)
            errors = []
            for key in told.keys() & truth.keys():
                size = truth[key].get("n", truth[key].get("count"))
                for name, value in told[key].items():
                    if value is None or size < LARGE:
                        continue
                    error = abs(value / truth[key][name] - 1)
                    errors.append(error)
                    (counts if name in ("n", "count") else averages).append(error)
            lines.append(f"{'answered' if complete and told else 'NOT ANSWERED':12}  "
                         f"{len(told):3} of {len(truth):3} groups  "
                         f"{100 * plain.median(errors) if errors else float('nan'):5.1f} %  "
                         f"{q['question']}")
    finally:
        direct.healthcare_db.patients_as_seen.drop()
        direct.close()
        clients.close()
    print("\n" + "\n".join(lines))
    print(f"{answered} of 30 answered; relative error in groups of {LARGE} or more: counts "
          f"{100 * plain.median(counts):.2f} % (median of {len(counts)}), "
          f"{100 * max(counts):.1f} % (most); sums, averages and deviations "
          f"{100 * plain.median(averages):.2f} % (median of {len(averages)}), "
          f"{100 * max(averages):.1f} % (most)")
    assert answered == 30
    assert plain.median(counts) <= 0.015 and max(counts) <= 0.08
    assert plain.median(averages) <= 0.03 and max(averages) <= 0.25

"""The hospital's nightly import, whose code knows nothing of the proxy, with fewer rows."""

import subprocess
import sys

from harness import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import demo  # noqa: E402

ROWS = 3000


def test_the_nightly_import(proxy, clients, upstream, tmp_path):
    file = tmp_path / "patients.csv"
    subprocess.run([sys.executable, ROOT / "tests/data/make_patients.py", "--identifiers",
                    "--rows", str(ROWS), "--out", file], check=True, capture_output=True)
    rows, documents = demo.read_patients(file)
    assert rows == ROWS and 0 < len(documents) < rows
    for _ in range(2):  # each night anew
        for document in documents:
            document.pop("_id", None)
        demo.import_patients(clients["import-job"], documents)
    database = clients["import-job"].healthcare_db
    options = database.command("listCollections", filter={"name": "patients"})
    validator = options["cursor"]["firstBatch"][0]["options"]["validator"]
    assert validator == demo.VALIDATOR
    with upstream.client() as direct:
        names = {d["personal_info"]["name"] for d in documents}
        raw = b"".join(d.raw for d in direct.healthcare_db.get_collection(
            "patients", codec_options=demo.bson.CodecOptions(demo.RawBSONDocument)).find({}))
        assert not any(name.encode() in raw for name in names)
        stored = direct.healthcare_db.command("listCollections", filter={"name": "patients"})
        assert "validator" in repr(stored)

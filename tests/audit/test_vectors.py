"""The verifier in Python, and the proxy's own when $PROXY names it, over the test vectors."""

import os
import pathlib
import shlex
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent / "data" / "audit-vectors"


def rows():
    text = (VECTORS / "expected.tsv").read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines()[1:]]


VERIFIERS = {"python": [sys.executable, str(HERE / "verify.py")]}
if os.environ.get("PROXY"):
    VERIFIERS["proxy"] = [os.environ["PROXY"], "audit", "verify"]


@pytest.mark.parametrize("verifier", VERIFIERS)
@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_exit(row, verifier, tmp_path):
    arguments, code, _, what = row
    # Nothing of this machine's own configuration may give a key.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MONGOWARD_")}
    environment["HOME"] = str(tmp_path)
    done = subprocess.run(
        VERIFIERS[verifier] + shlex.split(arguments),
        cwd=VECTORS,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == int(code), (what, done.stdout, done.stderr)

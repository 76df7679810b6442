#!/usr/bin/env python3
"""Starts an upstream and the proxy ($PROXY), runs run.py against it, and looks at the log.

  through_proxy.py [--only NAME]...

The last line is run.py's `N passed, N failed`."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import harness  # noqa: E402

REFUSED = {"db": "elsewhere", "command": {"find": "things"}}


def main():
    with tempfile.TemporaryDirectory(prefix="mongoward-drivers.") as folder:
        root = pathlib.Path(folder)
        upstream = harness.Upstream(root / "upstream").start()
        proxy = harness.Proxy(root / "mongoward", upstream.uri)
        try:
            proxy.init(policy=HERE / "policy")
            proxy.add_user("application", ["application"])
            proxy.start()
            done = subprocess.run(
                [sys.executable, HERE / "run.py", "--expect", "mongos",
                 "--refused", json.dumps(REFUSED), *sys.argv[1:]],
                env={**os.environ, "DRIVERS_URI": proxy.uri("application")})
        finally:
            proxy.stop()
            upstream.stop()
        proxy.check()
        proxy.verify()
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())

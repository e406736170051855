"""The tests marked gpu of some files; a line of JSON for each: `benchmarks/gpu.py` runs it."""

import json
import os
import sys
from typing import TextIO

import pytest


class Lines:
    """Writes what became of each test as soon as it is known."""

    def __init__(self, to: TextIO) -> None:
        self.to = to

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A test is skipped, and may fail, before and after it is called, too.
        if report.when != "call" and report.passed:
            return
        row = {"test": report.nodeid, "outcome": report.outcome}
        row["seconds"] = round(report.duration, 2)
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            row["error"] = str(crash.message if crash else report.longrepr)[:300]
        print(json.dumps(row), flush=True, file=self.to)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            row = {"test": report.nodeid, "outcome": "failed", "error": str(report.longrepr)[-300:]}
            print(json.dumps(row), flush=True, file=self.to)


def main() -> int:
    # Standard output is for those lines; what pytest says goes to the log.
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    quiet = ["-m", "gpu", "-p", "no:cacheprovider", "--tb=short", "-q"]
    code = pytest.main([*quiet, *sys.argv[1:]], plugins=[Lines(lines)])
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else int(code)


if __name__ == "__main__":
    sys.exit(main())

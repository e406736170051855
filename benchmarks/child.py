"""Run a command; its wall time and peak resident memory are the last line of standard output.

    python -I -S benchmarks/child.py COMMAND...

A process counts as its own the memory of the one that started it, until it is something else. This
starter is small, and so adds nothing: a benchmark that holds networks would add them all.
"""

import json
import os
import sys
import time

begun = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
seconds = time.perf_counter() - begun
kibi = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
print("\n" + json.dumps({"seconds": seconds, "peak_mib": kibi / 1024}))
sys.exit(os.waitstatus_to_exitcode(status) != 0)

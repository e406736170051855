"""Processes of a command's own: they end with it, whatever ends it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from process_groups import ends

from cplxsep.errors import InputError
from cplxsep.process_pool import own_processes


def test_a_process_that_is_ended_is_one_line():
    def count():
        with own_processes(2, "counts", "--jobs", int) as pool:
            os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
            pool.submit(abs, -1).result()

    with pytest.raises(InputError, match=r"^a process that counts was ended .* with --jobs$"):
        count()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are seen in /proc")
def test_processes_end_with_one_that_is_killed(tmp_path):
    """Nobody is left who waits for work for ever."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, sys\n"
        "from cplxsep.process_pool import own_processes\n"
        "if __name__ == '__main__':\n"
        "    with own_processes(1, 'works', '--jobs', int) as pool:\n"
        "        print(pool.submit(os.getpid).result(), flush=True)\n"
        "        sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, script], text=True, **pipes) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while runs(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not runs(worker)


def runs(process):
    """Whether a process is there, and not merely not yet waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


INTERRUPTED = """
import signal, time
from cplxsep.process_pool import own_processes

if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # whatever whoever runs the tests ignores
        signal.signal(number, signal.default_int_handler)
    try:
        with own_processes(2, "works", "--jobs", int) as pool:
            for number in range(1000):
                pool.submit(abs, number)
            print("begun", flush=True)
            time.sleep(60)
    except KeyboardInterrupt:
        print("ended")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="groups of processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.0, 0.3])
def test_a_signal_to_the_whole_group_is_heard_by_the_first_alone(tmp_path, number, after):
    """Ctrl-C or `timeout`, while the others begin as well: no traceback, nobody is left."""
    script = tmp_path / "parent.py"
    script.write_text(INTERRUPTED)
    with subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout.readline() == "begun\n"
        time.sleep(after)
        os.killpg(parent.pid, number)
        try:
            assert parent.communicate(timeout=30) == ("ended\n", "")
        finally:
            parent.kill()
    assert ends(parent.pid, within=10)

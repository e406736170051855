"""Files that appear whole: what other processes that write beside them may do."""

import os
import threading
import time
from pathlib import Path

import pytest

from cplxsep.audio import atomic
from cplxsep.errors import InputError

fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def sweeper(tmp_path, monkeypatch):
    """Another process that finds the first draft before it is locked, and removes it."""
    locked, threads = atomic._locked, []

    def remove(draft, file):
        time.sleep(0.05)
        draft.unlink()
        file.close()

    def late(handle, *given, **options):
        if not threads:
            draft = next(tmp_path.glob(atomic.TEMPORARY))
            file = draft.open("r+b")
            fcntl.flock(file, fcntl.LOCK_EX)
            threads.append(threading.Thread(target=remove, args=(draft, file)))
            threads[0].start()
        return locked(handle, *given, **options)

    monkeypatch.setattr(atomic, "_locked", late)
    yield threads
    threads[0].join()


def test_a_draft_that_is_swept_before_it_is_locked_is_made_again(tmp_path, sweeper):
    with atomic.temporary(tmp_path / "table.csv") as draft:
        sweeper[0].join()
        assert draft.exists()
    assert not list(tmp_path.iterdir())


@pytest.fixture
def pipe(tmp_path):
    """A named pipe, and what comes through it once its writer has closed it."""
    path, came = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: came.append(path.read_text()), daemon=True)
    reader.start()
    yield path, lambda: (reader.join(10), came)[1]
    if reader.is_alive():
        os.close(os.open(path, os.O_RDWR))


def test_text_goes_into_a_pipe_and_leaves_it_there(pipe):
    path, read = pipe
    atomic.check_target(path, text=True)
    atomic.write_text(path, "{}\n")
    assert path.is_fifo()
    assert read() == ["{}\n"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="files by their descriptors")
def test_what_a_process_has_open_is_written_on(tmp_path):
    with (tmp_path / "printed").open("w+") as printed:
        printed.write("a\n")
        printed.flush()
        place = Path(f"/proc/self/fd/{printed.fileno()}")
        atomic.write_text(place, "b\n")
        printed.seek(0)
        assert printed.read() == "a\nb\n"


def test_no_other_file_takes_the_place_of_a_pipe(pipe):
    path, _ = pipe
    with pytest.raises(InputError, match="it is no regular file"):
        atomic.check_target(path)
    with pytest.raises(InputError, match="it is no regular file"), atomic.replacing(path):
        pass
    assert path.is_fifo()

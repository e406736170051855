"""Files that appear whole: what other processes that write beside them may do."""

import threading
import time

import pytest

from cplxsep.audio import atomic

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

"""What a prepared folder remembers of a run that was interrupted."""

import pytest

from cplxsep.data.recipes.ledger import Ledger
from cplxsep.parallel import WHOLE


@pytest.fixture
def claimed(tmp_path):
    """Opens the folder's records as another run of the same preparation does."""

    def claim():
        ledger = Ledger(tmp_path / "tt", {"recipe": "mix"}, ["mix"], WHOLE)
        assert ledger.claim() is None
        return ledger

    return claim


def made(ledger, name):
    file = ledger.folder / "mix" / f"{name}.wav"
    file.write_bytes(bytes(1 << 10))
    ledger.record({"name": name, "samples": "8", "seconds": "0.001", "sample_rate": "8000"})
    return file


def test_a_mixture_whose_file_is_gone_is_not_finished(claimed):
    first = claimed()
    file = made(first, "a")
    made(first, "b")
    file.unlink()
    again = claimed()
    assert [again.finished(name) is not None for name in "ab"] == [False, True]


def test_what_was_done_after_a_line_was_cut_off_is_known(claimed):
    first = claimed()
    made(first, "a")
    with (first.folder / ".progress.jsonl").open("a") as journal:
        journal.write('{"name": "to')
    made(claimed(), "b")
    again = claimed()
    assert [again.finished(name) is not None for name in "ab"] == [True, True]

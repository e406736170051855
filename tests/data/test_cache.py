import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from synthetic import make_speech

from cplxsep.audio import io
from cplxsep.data import cache
from cplxsep.data.cache import open_cache
from cplxsep.data.manifest import scan_folder
from cplxsep.errors import InputError


@pytest.fixture
def utterances(tmp_path):
    return scan_folder(make_speech(tmp_path / "speech", speakers=3))


@pytest.fixture
def never_decode(monkeypatch):
    def fail(*_args):
        raise AssertionError("decoded again")

    monkeypatch.setattr(cache, "decode", fail)


@pytest.mark.parametrize("on_disk", [True, False])
def test_holds_every_utterance_up_to_a_gain(utterances, tmp_path, on_disk):
    opened = open_cache(utterances, 8000, tmp_path / "new" / "cache" if on_disk else None)
    assert opened.samples.dtype == np.int16
    for index, utterance in enumerate(utterances):
        audio = io.read(utterance.path)[0][0]
        held = opened.audio(index).astype(np.float64)
        assert np.abs(held).max() == 32767
        np.testing.assert_allclose(held, audio * (32767 / np.abs(audio).max()), atol=0.501)
        assert opened.levels[index] == pytest.approx(np.sqrt(np.mean(held**2)))


def test_opened_again_without_decoding(utterances, tmp_path, request):
    first = open_cache(utterances, 8000, tmp_path / "cache")
    request.getfixturevalue("never_decode")
    second = open_cache(utterances, 8000, tmp_path / "cache")
    np.testing.assert_array_equal(first.samples, second.samples)
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("on_disk", [True, False])
def test_another_process_gets_the_same(utterances, tmp_path, on_disk):
    first = open_cache(utterances, 8000, tmp_path / "cache" if on_disk else None)
    sent = pickle.dumps(first)
    assert (len(sent) < first.samples.nbytes) == on_disk  # where they are, not the samples
    second = pickle.loads(sent)
    for name in ("samples", "kept", "starts", "levels"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_another_rate_or_list_is_another_cache(utterances, tmp_path):
    open_cache(utterances, 8000, tmp_path / "cache")
    assert len(open_cache(utterances, 16000, tmp_path / "cache").samples) > 60000
    assert len(open_cache(utterances[:2], 8000, tmp_path / "cache").kept) == 2
    assert len(list((tmp_path / "cache").iterdir())) == 6


@pytest.mark.parametrize("damage", ["no samples", "no index", "cut", "torn index"])
def test_a_damaged_cache_is_made_again(utterances, tmp_path, damage):
    folder = tmp_path / "cache"
    first = np.array(open_cache(utterances, 8000, folder).samples)
    (samples,), (index,) = folder.glob("*.npy"), folder.glob("*.json")
    if damage == "no samples":
        samples.unlink()
    elif damage == "no index":
        index.unlink()
    elif damage == "cut":
        samples.write_bytes(samples.read_bytes()[:-100])
    else:
        index.write_text(index.read_text()[:50])
    np.testing.assert_array_equal(open_cache(utterances, 8000, folder).samples, first)


def test_bad_utterances_are_left_out(utterances, tmp_path):
    utterances[0].path.unlink()
    soundfile.write(utterances[2].path, np.zeros(8000), 8000)
    bad = np.zeros(8000, np.float32)
    bad[5] = np.nan
    io.write(utterances[3].path, bad, 8000)
    told = []
    opened = open_cache(utterances, 8000, tmp_path / "cache", report=told.append)
    assert opened.kept.tolist() == [1, 4, 5]
    assert [str(error).split(" ", 1)[1] for error in told] == [
        "does not exist",
        "is silent",
        "holds samples that are NaN or infinite",
    ]
    np.testing.assert_array_equal(opened.audio(2), opened.samples[opened.starts[2] :])
    # Later runs without these are told so too.
    told.clear()
    assert open_cache(utterances, 8000, tmp_path / "cache", report=told.append).kept.size == 3
    assert [str(error).split(" ", 1)[0] for error in told] == [
        str(utterances[position].path) for position in (0, 2, 3)
    ]


def test_nothing_readable(utterances, tmp_path):
    for utterance in utterances:
        utterance.path.unlink()
    with pytest.raises(InputError, match="none of the 6 utterances"):
        open_cache(utterances, 8000, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_unwritable_folder(utterances, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        open_cache(utterances, 8000, tmp_path / "file" / "cache")


def test_index_is_plain_json(utterances, tmp_path):
    open_cache(utterances, 8000, tmp_path / "cache")
    (index,) = (tmp_path / "cache").glob("*.json")
    assert sorted(json.loads(index.read_text())) == ["kept", "lengths", "levels"]


def test_a_recording_much_shorter_than_listed_is_left_out(utterances):
    """Regression: training took what `prepare` leaves out, as half of a recording."""
    listed = [replace(utterances[0], seconds=2 * utterances[0].seconds + 1), *utterances[1:]]
    said = []
    opened = open_cache(listed, 8000, None, report=said.append)
    assert opened.kept.tolist() == list(range(1, len(listed)))
    assert [str(error).partition(" has ")[0] for error in said] == [str(listed[0].path)]

"""Training examples from prepared mixtures: every one once an epoch, whole or cut, padded."""

import numpy as np
import pytest

from cplxsep.audio import io
from cplxsep.data.prepared import PreparedMixtures
from cplxsep.data.rounds import stack
from cplxsep.errors import InputError, UsageError

RATE, COUNT = 8000, 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Split tr of mixtures of 400, 450, ... samples; each sample tells its file and place."""
    root = tmp_path_factory.mktemp("mixtures")
    for split in ("tr", "cv"):
        for number in range(COUNT):
            samples = 400 + 50 * number
            first = (number + np.arange(samples) / 1000).astype(np.float32) / 100
            parts = {"mix": 0.5 * first, "s1": first, "s2": -0.5 * first}
            for sub, audio in parts.items():
                file = root / split / sub / f"{number}.wav"
                file.parent.mkdir(parents=True, exist_ok=True)
                io.write(file, audio, RATE)
    return root


def prepared(folder, seconds=0.0, split="tr", **changes):
    settings = {"sample_rate": RATE, "sources": 2, "seconds": seconds, **changes}
    return PreparedMixtures(folder, split, **settings)


def which(example):
    """File and first sample of an example."""
    value = float(example[1][0][0]) * 100
    return int(value + 1e-4), round((value % 1) * 1000) % 1000


def test_each_epoch_has_every_mixture_once_and_another_order(folder):
    examples = prepared(folder)
    orders = [[which(examples.example(e * COUNT + i))[0] for i in range(COUNT)] for e in range(3)]
    assert all(sorted(order) == list(range(COUNT)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_an_example_depends_on_seed_and_number_alone(folder):
    first, again = prepared(folder, 0.02), prepared(folder, 0.02)
    backwards = {index: again.example(index) for index in reversed(range(3 * COUNT))}
    for index in range(3 * COUNT):
        for one, other in zip(first.example(index), backwards[index], strict=True):
            np.testing.assert_array_equal(one, other)
    other = prepared(folder, 0.02, seed=5)
    assert [which(other.example(i)) for i in range(5)] != [
        which(first.example(i)) for i in range(5)
    ]


def test_complete_mixtures_have_their_own_length(folder):
    examples = prepared(folder)
    for index in range(COUNT):
        mixture, sources = examples.example(index)
        number, start = which((mixture, sources))
        assert (start, len(mixture)) == (0, 400 + 50 * number)
        np.testing.assert_allclose(mixture, sources.sum(axis=0), atol=1e-6)


def test_pieces_are_cut_at_random_and_together(folder):
    examples, starts = prepared(folder, 0.02), set()
    for index in range(5 * COUNT):
        mixture, sources = examples.example(index)
        assert mixture.shape == (160,)
        assert sources.shape == (2, 160)
        np.testing.assert_allclose(mixture, sources.sum(axis=0), atol=1e-6)
        starts.add(which((mixture, sources)))
    assert len(starts) > 4 * COUNT


def test_a_piece_longer_than_its_mixture_ends_in_zeros(folder):
    mixture, sources = prepared(folder, 1.0).example(0)
    samples = 400 + 50 * which((mixture, sources))[0]
    assert mixture.shape == (RATE,)
    assert sources.shape == (2, RATE)
    assert mixture[:samples].any()
    assert not mixture[samples:].any()
    assert not sources[:, samples:].any()


def test_a_batch_is_as_long_as_its_longest(folder):
    examples = prepared(folder)
    pairs = [examples.example(index) for index in range(COUNT)]
    mixtures, sources = stack(pairs)
    longest = 400 + 50 * (COUNT - 1)
    assert (mixtures.shape, sources.shape) == ((COUNT, longest), (COUNT, 2, longest))
    for row, part, (mixture, own) in zip(mixtures, sources, pairs, strict=True):
        np.testing.assert_array_equal(row[: len(mixture)], mixture)
        np.testing.assert_array_equal(part[:, : len(mixture)], own)
        assert not row[len(mixture) :].any()
        assert not part[:, len(mixture) :].any()


def test_what_does_not_fit_is_one_clear_line(folder, tmp_path):
    with pytest.raises(UsageError, match=r"no folder .*nowhere: set data\.mixtures"):
        prepared(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"has no split 'train'; it has: cv, tr$"):
        prepared(folder, split="train")
    with pytest.raises(UsageError, match="has no folder SPLIT/mix"):
        prepared(folder / "tr")
    with pytest.raises(UsageError, match=r"mixtures of 2 sources, model\.sources is 3"):
        prepared(folder, sources=3)
    with pytest.raises(UsageError, match=r"0\.wav has 8000 Hz, model\.sample_rate is 16000"):
        prepared(folder, sample_rate=16000)


def test_a_file_that_goes_away_is_named(folder, tmp_path):
    import shutil

    copy = shutil.copytree(folder, tmp_path / "copy")
    examples = prepared(copy)
    (copy / "tr" / "s2" / "3.wav").unlink()
    with pytest.raises(InputError, match=r"s2/3\.wav does not exist"):
        [examples.example(index) for index in range(COUNT)]


def test_librimix_folders(tmp_path):
    for sub, level in (("mix_clean", 0.3), ("mix_both", 0.4), ("s1", 0.1), ("s2", 0.2)):
        file = tmp_path / "train-100" / sub / "a.wav"
        file.parent.mkdir(parents=True)
        io.write(file, np.full(100, level, np.float32), RATE)
    for mix, level in (("mix_clean", 0.3), ("mix_both", 0.4)):
        mixture, sources = prepared(tmp_path, split="train-100", mix=mix).example(0)
        assert mixture == pytest.approx(level)
        assert sources.shape == (2, 100)
    with pytest.raises(InputError, match=r"holds mix_both and mix_clean: choose one by data\.mix"):
        prepared(tmp_path, split="train-100")
    for other in ("mix_all", "s1"):  # regression: a talker could be the mixture
        with pytest.raises(
            UsageError, match=rf"no mixtures data\.mix = '{other}'; it has: mix_both, mix_"
        ):
            prepared(tmp_path, split="train-100", mix=other)
    with pytest.raises(UsageError, match="has no split 'tr'; it has: train-100"):
        prepared(tmp_path)


def sparse(folder, *talkers):
    """A mixture of 8000 samples, of talkers who are heard from a first sample to a last."""
    sources = np.zeros((len(talkers), 8000), np.float32)
    for own, (first, last) in zip(sources, talkers, strict=True):
        own[first:last] = 0.1
    for sub, audio in {"mix": sources.sum(axis=0), "s1": sources[0], "s2": sources[1]}.items():
        file = folder / "tr" / sub / "a.wav"
        file.parent.mkdir(parents=True)
        io.write(file, audio, RATE)
    return folder


def test_pieces_in_which_all_talkers_are_heard(tmp_path):
    """Regression: most pieces of mixtures of mode max had a silent reference."""
    told = []
    place = sparse(tmp_path, (0, 5000), (3000, 8000))
    anywhere = prepared(place, 0.1)
    together = prepared(place, 0.1, silent=lambda: told.append(1))
    pieces = [[example.example(index) for index in range(99)] for example in (anywhere, together)]
    heard = [[np.count_nonzero(sources, axis=1).min() for _, sources in own] for own in pieces]
    assert min(heard[0]) == 0
    assert min(heard[1]) >= 100
    assert len(set(heard[1])) > 20
    assert not told
    for index, (one, other) in enumerate(zip(*pieces, strict=True)):
        if heard[0][index] >= 100:  # as it fell
            np.testing.assert_array_equal(one[1], other[1])
        np.testing.assert_array_equal(together.example(index)[1], other[1])


def test_pieces_of_talkers_far_apart(tmp_path):
    told = []
    examples = prepared(
        sparse(tmp_path, (0, 2000), (6000, 8000)), 0.1, silent=lambda: told.append(1)
    )
    assert not examples.example(0)[1].any(axis=1).all()
    assert told == [1]
    near = sparse(tmp_path / "near", (0, 4000), (4050, 8000))
    sources = prepared(near, 0.0075, silent=lambda: told.append(1)).example(0)[1]
    assert np.count_nonzero(sources, axis=1).min() == 5
    assert told == [1]

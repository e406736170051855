"""wsj0-mix: what the original script does, said again in the plainest way, must come out."""

import csv

import numpy as np
import pytest
import soundfile
from corpora import make_wsj0
from scipy.signal import firls, firwin, resample_poly

from cplxsep.audio.p56 import p56_level
from cplxsep.data.folders import MixtureFolder
from cplxsep.data.recipes import wsj0 as recipe
from cplxsep.data.recipes.rebuild import Roots, rebuild
from cplxsep.data.recipes.wsj0 import matlab_number, prepare_wsj0
from cplxsep.errors import InputError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_wsj0(tmp_path_factory.mktemp("wsj0"))


def prepare(corpus, out, **options):
    options.setdefault("workers", 1)
    return list(prepare_wsj0(*corpus, out, **options))


def steps(path):
    return soundfile.read(path, dtype="int16")[0]


def original(corpus, pairs, rate, mode):
    """The script's mixture and sources as 16-bit numbers, written down as its steps go."""
    raw = [soundfile.read(corpus[1] / path)[0] for path, _ in pairs]
    low = [resample_poly(audio, 1, 2) for audio in raw]
    levels = [p56_level(audio, 8000) ** 2 for audio in low]
    audio = low if rate == 8000 else raw
    scaled = [
        10 ** (weight / 20) * signal / np.sqrt(level)
        for signal, level, (_, weight) in zip(audio, levels, pairs, strict=True)
    ]
    size = (min if mode == "min" else max)(map(len, scaled))
    scaled = [np.concatenate([s[:size], np.zeros(max(size - len(s), 0))]) for s in scaled]
    mixture = sum(scaled)
    gain = 1 / max(np.abs(signal).max() for signal in (mixture, *scaled)) * 0.9
    return [np.round(2**15 * gain * signal).astype(np.int16) for signal in (mixture, *scaled)]


@pytest.mark.parametrize("sources", [2, 3])
def test_sample_by_sample_as_the_script_says(corpus, tmp_path, sources):
    done = prepare(corpus, tmp_path, sources=sources)
    assert len(done) == 2 * 2 * 3
    for rate in (8000, 16000):
        for mode in ("min", "max"):
            for split in ("tr", "cv", "tt"):
                folder = tmp_path / f"{sources}speakers/wav{rate // 1000}k/{mode}/{split}"
                names = ["mix", *(f"s{n + 1}" for n in range(sources))]
                lines = (corpus[0] / f"mix_{sources}_spk_{split}.txt").read_text().splitlines()
                rows = list(csv.DictReader((folder / "metadata.csv").open()))
                assert len(rows) == len(lines)
                for row, line in zip(rows, lines, strict=True):
                    words = line.split()
                    pairs = list(zip(words[::2], map(float, words[1::2]), strict=True))
                    wanted = original(corpus, pairs, rate, mode)
                    for name, numbers in zip(names, wanted, strict=True):
                        file = folder / name / f"{row['name']}.wav"
                        assert soundfile.info(file).samplerate == rate
                        # A value between two steps may go to either.
                        difference = np.abs(steps(file).astype(int) - numbers)
                        assert difference.max() <= 1
                        assert np.count_nonzero(difference) <= 2
                    assert max(np.abs(n).max() for n in wanted) == round(0.9 * 32768)


def test_names(corpus, tmp_path):
    (done, *_) = prepare(corpus, tmp_path, rates=[8000], modes=["min"])
    rows = list(csv.DictReader(done.metadata.open()))
    assert [row["name"] for row in rows] == [
        "01to030r_0.13_02ao030r_-0.13",
        "02ao030r_0.059714_4abo030r_-0.059714",
        "4abo030r_2_01to030r_-2",
    ]
    assert MixtureFolder(done.metadata.parent).names == sorted(row["name"] for row in rows)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.450124, "0.45012"),
        (-2.39571, "-2.3957"),
        (0.00446161, "0.0044616"),
        (-0.0, "0"),
        (12.34567, "12.3457"),
        (5.0, "5"),
        (0.00001, "1e-05"),
    ],
)
def test_numbers_as_matlab_prints_them(value, text):
    assert matlab_number(value) == text


def test_the_resampling_filter_is_matlabs():
    # resample(x, 1, 2): least squares low-pass of 2 * 10 * 2 + 1 taps, times a Kaiser window.
    taps = firls(41, [0, 0.5, 0.5 + 1e-9, 1], [1, 1, 0, 0]) * np.kaiser(41, 5.0)
    np.testing.assert_allclose(
        taps / taps.sum(), firwin(41, 0.5, window=("kaiser", 5.0)), atol=1e-9
    )


def test_sphere_files_give_the_same(corpus, tmp_path):
    sphere = make_wsj0(tmp_path / "in", sphere=True)
    one = prepare(corpus, tmp_path / "a", rates=[8000], modes=["max"], splits=["tt"])
    other = prepare(sphere, tmp_path / "b", rates=[8000], modes=["max"], splits=["tt"])
    for file in one[0].metadata.parent.rglob("*.wav"):
        same = other[0].metadata.parent / file.relative_to(one[0].metadata.parent)
        assert file.read_bytes() == same.read_bytes()


@pytest.mark.parametrize("where", ["wsj0", "discs"])
def test_where_the_recordings_may_lie(tmp_path, where):
    lists, root = make_wsj0(tmp_path / "in")
    if where == "wsj0":
        root = root / "wsj0"
    else:
        (tmp_path / "discs").mkdir()
        root = root.rename(tmp_path / "discs" / "11-1.1").parent
    (done,) = prepare((lists, root), tmp_path / "a", rates=[8000], modes=["min"], splits=["cv"])
    assert (done.mixtures, done.left_out) == (3, [])


def test_workers_tables_and_rebuilding(corpus, tmp_path):
    options = {"modes": ["max"], "splits": ["tr"]}
    prepare(corpus, tmp_path / "a", **options)
    prepare(corpus, tmp_path / "b", workers=4, **options)
    files = [file for file in (tmp_path / "a").rglob("*") if file.is_file()]
    for file in files:
        same = tmp_path / "b" / file.relative_to(tmp_path / "a")
        assert same.read_bytes() == file.read_bytes()
    for done in prepare(corpus, tmp_path / "c", manifest_only=True, **options):
        folder = tmp_path / "a" / done.metadata.parent.relative_to(tmp_path / "c")
        assert done.metadata.read_bytes() == (folder / "metadata.csv").read_bytes()
        for row in csv.DictReader(done.metadata.open()):
            for name, audio in rebuild(row, Roots(corpus[1])).items():
                file = folder / name / f"{row['name']}.wav"
                np.testing.assert_array_equal(audio * 32768, steps(file))
    assert not list((tmp_path / "c").rglob("*.wav"))


def test_interrupted_and_continued(corpus, tmp_path, monkeypatch):
    options = {"rates": [8000], "modes": ["min"], "splits": ["tr"]}
    prepare(corpus, tmp_path / "whole", **options)
    build, calls = recipe.build, []

    def stop(*args):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(1)
        return build(*args)

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "build", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(corpus, tmp_path / "parts", **options)
    prepare(corpus, tmp_path / "parts", **options)
    for file in (tmp_path / "whole").rglob("*.*"):
        same = tmp_path / "parts" / file.relative_to(tmp_path / "whole")
        assert same.read_bytes() == file.read_bytes()


def test_what_cannot_be_used_is_told_and_left_out(tmp_path):
    lists, root = make_wsj0(tmp_path / "in")
    part = root / "wsj0" / "si_tr_s"
    (part / "4ab" / "4abo030r.wav").unlink()
    told = []
    options = {"rates": [8000], "modes": ["min"], "splits": ["tr"]}
    (done,) = prepare((lists, root), tmp_path / "a", report=told.append, **options)
    assert done.mixtures == 1
    assert told[:1] == done.left_out
    assert "4abo030r.wav does not exist" in told[0]
    assert "2 of 3 mixtures cannot be made" in told[1]
    shortened = b"NIST_1A\n   1024\nsample_coding -s26 pcm,embedded-shorten-v2.00\n"
    head = shortened + b"sample_count -i 9\nchannel_count -i 1\nsample_n_bytes -i 2\nend_head\n"
    (part / "4ab" / "4abo030r.wv1").write_bytes(head.ljust(1024) + b"ajkg" * 9)
    soundfile.write(part / "02a" / "02ao030r.wav", np.zeros(9000), 8000)
    with pytest.raises(InputError, match="no mixture could be made"):
        prepare((lists, root), tmp_path / "b", report=told.append, **options)
    assert sum("compressed with shorten" in text for text in told) == 1
    assert sum("has 8000 Hz, the lists are for 16000 Hz" in text for text in told) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot read the list"),
        ("", "lists no mixture"),
        ("wsj0/a/b.wav 0.1 wsj0/c/d.wav", "line 1 does not have 2 recordings"),
        ("wsj0/a/b.wav x wsj0/c/d.wav -0.1", "line 1 does not have 2 recordings"),
        ("wsj0/a/b.wav nan wsj0/c/d.wav -0.1", "line 1 does not have 2 recordings"),
        ("wsj0/a/b.wav 0.1 wsj0/c/d.wav -0.1\n" * 2, "lists a mixture twice"),
        ("wsj0/a/b.wav 0.1 wsj0/c/d.wav -0.1\n", "none of the recordings that the list of tt"),
    ],
)
def test_bad_lists(tmp_path, text, says):
    lists, root = make_wsj0(tmp_path / "in")
    (lists / "mix_2_spk_tt.txt").unlink()
    if text is not None:
        (lists / "mix_2_spk_tt.txt").write_text(text)
    with pytest.raises(InputError, match=says):
        prepare((lists, root), tmp_path / "out", splits=["tt"])
    assert not (tmp_path / "out").exists()


def test_a_test_speaker_in_training(tmp_path):
    lists, root = make_wsj0(tmp_path / "in")
    (lists / "mix_2_spk_tt.txt").write_text((lists / "mix_2_spk_tr.txt").read_text())
    with pytest.raises(InputError, match="speaker 01t is in two splits, tr and tt"):
        prepare((lists, root), tmp_path / "out")

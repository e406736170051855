"""LibriMix: what the original script does, said again in the plainest way, must come out."""

import csv

import numpy as np
import pytest
import soundfile
from corpora import make_librimix
from scipy.signal import resample_poly

from cplxsep.data.listed import ListedMixtures
from cplxsep.data.recipes.librimix import prepare_librimix, read_noise
from cplxsep.data.recipes.rebuild import Roots, rebuild
from cplxsep.data.references import References
from cplxsep.errors import InputError, UsageError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_librimix(tmp_path_factory.mktemp("librimix"))


def prepare(corpus, out, *, with_noise=True, **options):
    metadata, speech, noise = corpus
    options.setdefault("workers", 1)
    return list(
        prepare_librimix(metadata, speech, out, noise=noise if with_noise else None, **options)
    )


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def original(corpus, row, rate, mode, scratch):
    """The script's files, read back from what soundfile writes by default."""
    _, speech, noise = corpus
    talkers = [soundfile.read(speech / row[f"source_{n}_path"], dtype="float32")[0] for n in (1, 2)]
    sound = read_noise(noise / row["noise_path"], max(map(len, talkers)))
    parts = [
        resample_poly(audio * float(row[gain]), rate, 16000)
        for audio, gain in zip(
            [*talkers, sound], ["source_1_gain", "source_2_gain", "noise_gain"], strict=True
        )
    ]
    size = (min if mode == "min" else max)(map(len, parts))
    s1, s2, sound = (np.pad(part[:size], (0, max(size - len(part), 0))) for part in parts)
    files = {"s1": s1, "s2": s2, "noise": sound, "mix_clean": s1 + s2}
    both, single = s1 + s2, s1.copy()
    both += sound
    single += sound
    for name, audio in (files | {"mix_both": both, "mix_single": single}).items():
        soundfile.write(scratch / "x.wav", audio, rate)
        yield name, soundfile.read(scratch / "x.wav", dtype="int16")[0]


def test_sample_by_sample_as_the_script_says(corpus, tmp_path):
    done = prepare(corpus, tmp_path / "out")
    assert len(done) == 2 * 2 * 2
    for rate in (8000, 16000):
        for mode in ("min", "max"):
            for split in ("dev", "test"):
                folder = tmp_path / f"out/Libri2Mix/wav{rate // 1000}k/{mode}/{split}"
                for row in table(corpus[0] / f"libri2mix_{split}-clean.csv"):
                    for name, wanted in original(corpus, row, rate, mode, tmp_path):
                        file = folder / name / f"{row['mixture_ID']}.wav"
                        np.testing.assert_array_equal(
                            soundfile.read(file, dtype="int16")[0], wanted
                        )
                        assert soundfile.info(file).samplerate == rate


def test_short_noise_is_repeated_without_a_gap(corpus):
    path = corpus[2] / "tt" / "short.wav"
    noise = soundfile.read(path)[0][:, 0]
    fade, end = 8001, 18000
    longer = read_noise(path, end)
    np.testing.assert_allclose(longer[: len(noise) - fade], noise[:-fade], atol=1e-7)
    again = noise[fade : fade + end - len(noise)]
    np.testing.assert_allclose(longer[len(noise) :], again, atol=1e-7)
    frames = read_noise(path, 64000).reshape(-1, 400)
    assert np.abs(frames).max(axis=1).min() > 0.05


def test_without_noise(corpus, tmp_path):
    (done, _) = prepare(corpus, tmp_path, with_noise=False, rates=[8000], modes=["min"])
    folder = done.metadata.parent
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [
        *("mix_clean", "s1", "s2")
    ]
    mixtures = References(folder)
    assert (len(mixtures.names), mixtures.sources) == (3, 2)
    mixture, sources, _ = mixtures.load(mixtures.names[0])
    np.testing.assert_allclose(mixture, sources.sum(axis=0), atol=2 / 32768)
    with pytest.raises(UsageError, match="mixtures with noise need its folder"):
        prepare(corpus, tmp_path / "b", with_noise=False, types=["mix_both"])


def test_workers_tables_and_rebuilding(corpus, tmp_path):
    options = {"modes": ["max"], "rates": [8000]}
    prepare(corpus, tmp_path / "a", **options)
    prepare(corpus, tmp_path / "b", workers=4, **options)
    for file in (tmp_path / "a").rglob("*.*"):
        assert (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes() == file.read_bytes()
    for done in prepare(corpus, tmp_path / "c", manifest_only=True, **options):
        folder = tmp_path / "a" / done.metadata.parent.relative_to(tmp_path / "c")
        rows = table(done.metadata)
        assert rows == table(folder / "metadata.csv")
        for row in rows:
            for name, audio in rebuild(row, Roots(corpus[1], corpus[2])).items():
                written = soundfile.read(folder / name / f"{row['name']}.wav", dtype="int16")[0]
                np.testing.assert_array_equal(audio * 32768, written)


def test_missing_recordings(tmp_path):
    corpus = make_librimix(tmp_path / "in")
    (corpus[1] / "test-clean/20/7/20-7-0001.flac").unlink()
    told = []
    options = {"rates": [8000], "modes": ["min"], "report": told.append}
    (dev, test) = prepare(corpus, tmp_path / "out", **options)
    assert (dev.mixtures, dev.left_out, test.mixtures) == (3, [], 1)
    assert told[:1] == test.left_out  # the recordings, not the line that counts mixtures
    assert "20-7-0001.flac does not exist" in told[0]
    assert "2 of 3 mixtures cannot be made" in told[1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("source_2_gain", "gain"), "no LibriMix metadata"),
        (lambda text: text.replace("0.31,", "loud,"), "line 2: a path or gain is missing or no"),
        (lambda text: text.replace("10-7-0001_", "a/b_", 1), "line 2: a name, path or gain"),
        (lambda text: text + text.splitlines()[1], "lists a mixture twice"),
        (lambda text: text.splitlines()[0], "lists no mixture"),
        (lambda text: text.replace("dev-clean/", "elsewhere/"), "none of the recordings that the"),
        (lambda text: text.replace("cv/", "nowhere/"), "none of the recordings that the"),
        (lambda text: text.replace("cv/short.wav", ""), "names no noise: leave --noise out"),
    ],
)
def test_bad_metadata(tmp_path, change, says):
    corpus = make_librimix(tmp_path / "in")
    path = corpus[0] / "libri2mix_dev-clean.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=says):
        prepare(corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_speaker_in_two_splits(tmp_path):
    corpus = make_librimix(tmp_path / "in")
    path = corpus[0] / "libri2mix_dev-clean.csv"
    path.write_text(path.read_text().replace("dev-clean/10/", "test-clean/20/"))
    with pytest.raises(InputError, match="speaker 20 is in two splits"):
        prepare(corpus, tmp_path / "out")


@pytest.mark.parametrize("kind", ["mix_clean", "mix_both"])
def test_training_on_a_table(corpus, tmp_path, kind):
    options = {"rates": [8000], "modes": ["min"], "types": [kind]}
    done = prepare(corpus, tmp_path, manifest_only=True, **options)[0]
    roots = Roots(corpus[1], corpus[2])
    examples = ListedMixtures(done.metadata, roots, sample_rate=8000, sources=2, seconds=0.0)
    mixture, sources = examples.load(0)
    assert sources.shape == (2, len(mixture))
    assert (np.abs(mixture - sources.sum(axis=0)).max() < 1e-3) == (kind == "mix_clean")


def test_two_tables_of_one_split(corpus, tmp_path):
    text = (corpus[0] / "libri2mix_dev-clean.csv").read_text()
    for name in ("libri2mix_dev-clean.csv", "libri3mix_dev-clean.csv"):
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="holds several CSV files for dev"):
        prepare((tmp_path, *corpus[1:]), tmp_path / "out")

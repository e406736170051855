"""Training from the table of a preparation without files: the same examples as from the files."""

import numpy as np
import pytest
import soundfile

from cplxsep.config import read_config
from cplxsep.data import listed
from cplxsep.data.listed import ListedMixtures
from cplxsep.data.recipes.rebuild import Roots
from cplxsep.errors import InputError, UsageError
from cplxsep.training.examples import are_conversations, load_examples


@pytest.fixture
def prepared(run_cli, tiny_speech, tmp_path):
    def prepare(name, *options):
        done = run_cli(
            *("prepare", "mix", "--speech", tiny_speech, "--split", "tr,cv", "--count", 4),
            *("-o", tmp_path / name, *options),
        )
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    return prepare


def test_a_table_trains_as_its_files_do(prepared, tiny_config, tmp_path):
    files, table = prepared("files"), prepared("table", "--manifest-only")
    assert not (table / "tr" / "mix").exists()
    sets = []
    for folder in (files, table):
        config = read_config(tiny_config, [f"data.mixtures={folder}"])
        (train,), valid = load_examples(config, tmp_path, print)
        sets.append((train, valid))
    for from_files, from_table in zip(*sets, strict=True):
        for index in range(9):
            for one, other in zip(
                from_files.example(index), from_table.example(index), strict=True
            ):
                np.testing.assert_array_equal(one, other)


def test_a_table_has_the_mixtures_that_are_asked_for(tmp_path, monkeypatch):
    """Regression: data.mix was passed over, and mix_single was of two talkers."""
    (tmp_path / "metadata.csv").write_text(
        "name,mixture_path,sample_rate,source_1_path,source_2_path\na,mix_both/a.wav,8000,x,y\n"
    )
    files = {
        name: np.full(9, value, np.float32)
        for value, name in enumerate(("mix_clean", "mix_both", "mix_single", "s1", "s2"))
    }
    monkeypatch.setattr(listed, "rebuild", lambda *_: files)

    def example(mix, sources=2):
        options = {"sample_rate": 8000, "sources": sources, "seconds": 0, "mix": mix}
        return ListedMixtures(tmp_path / "metadata.csv", Roots(tmp_path), **options).example(0)

    assert [example(mix)[0][0] for mix in ("", "mix_clean", "mix_both")] == [1, 0, 1]
    mixture, sources = example("mix_single", 1)
    assert (mixture[0], sources.tolist()) == (2, [[3] * 9])
    with pytest.raises(InputError, match="no mixture 'mix'; there are: mix_both, mix_clean, mix_s"):
        example("mix")


def test_a_table_may_name_its_mixtures_as_librimix_does(tmp_path, monkeypatch):
    """Regression: what was wrong with one was told as KeyError: 'name'."""
    table = tmp_path / "metadata.csv"
    table.write_text("mixture_ID,sample_rate,source_1_path,source_2_path\na,8000,x,y\n")
    options = {"sources": 2, "seconds": 0}
    with pytest.raises(InputError, match="a has 2 sources at 8000 Hz, not 2 at 16000 Hz"):
        ListedMixtures(table, Roots(tmp_path), sample_rate=16000, **options)
    mixtures = ListedMixtures(table, Roots(tmp_path), sample_rate=8000, **options)
    monkeypatch.setattr(listed, "rebuild", lambda *_: dict.fromkeys(("mix_both", "s1", "s2"), 0))
    with pytest.raises(InputError, match="a: there is no mixture ''; there are: mix_both"):
        mixtures.load(0)


def test_one_talker_without_noise_is_no_task(tiny_config, tmp_path):
    """Regression: a network was trained to give back what it got."""
    with pytest.raises(UsageError, match=r"model\.sources = 1 leaves nothing to separate"):
        load_examples(read_config(tiny_config, ["model.sources=1"]), tmp_path, print)


def test_a_table_needs_its_recordings(prepared, tiny_config, tmp_path):
    changes = [f"data.mixtures={prepared('table', '--manifest-only')}", "data.speech="]
    with pytest.raises(UsageError, match=r"set data\.speech to what it was made from"):
        load_examples(read_config(tiny_config, changes), tmp_path, print)


def test_prepared_conversations_need_a_loss_that_takes_silence(tiny_config, tmp_path):
    """Regression: silent references had terms of 100 dB in the loss, and in the validation."""
    for split in ("tr", "cv"):
        for kind in ("mix", "s1", "s2"):
            (tmp_path / split / kind).mkdir(parents=True)
            soundfile.write(tmp_path / split / kind / "a.wav", np.full(8000, 0.1), 8000)
        (tmp_path / split / "metadata.csv").write_text("name,recipe\na,conversations\n")
    changes = [f"data.mixtures={tmp_path}"]
    with pytest.raises(
        UsageError, match=r"train\.loss si-sdr cannot take a talker who says nothing"
    ):
        load_examples(read_config(tiny_config, changes), tmp_path, print)
    config = read_config(tiny_config, [*changes, "train.loss=floored-snr"])
    _, valid = load_examples(config, tmp_path, print)
    assert are_conversations(config, valid)


def test_a_loss_that_cannot_take_silence_does_not_get_it_unsaid(tiny_config, tmp_path):
    """Regression: si-sdr was trained on silent references of sparse mixtures."""
    halves = {"mix": np.full(8000, 0.1), "s1": np.zeros(8000), "s2": np.zeros(8000)}
    halves["s1"][:1000] = halves["s2"][7000:] = 0.1
    for split in ("tr", "cv"):
        for kind, audio in halves.items():
            (tmp_path / split / kind).mkdir(parents=True)
            soundfile.write(tmp_path / split / kind / "a.wav", audio, 8000)
    for loss, times in (("si-sdr", 1), ("snr", 0)):
        said = []
        config = read_config(tiny_config, [f"data.mixtures={tmp_path}", f"train.loss={loss}"])
        (train,), valid = load_examples(config, tmp_path, said.append)
        for index in range(3):
            train.example(index)
            valid.example(index)
        assert len(said) == times
        assert all("a talker says nothing, which train.loss si-sdr cannot" in line for line in said)


def test_splits_that_share_talkers_are_told(tiny_config, tmp_path):
    """Regression: a model was chosen by talkers that it was trained on, without a word."""
    for split, told in (("tr,cv", ["share cv"]), ("cv", ["share cv"]), ("tr", [])):
        said = []
        load_examples(
            read_config(tiny_config, [f"data.train_split={split}"]), tmp_path, said.append
        )
        assert [line for line in said if any(text in line for text in told)] == said
        assert len(said) == len(told)

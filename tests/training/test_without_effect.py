"""What a configuration says without effect: told if, and only if, nothing changes by it."""

import numpy as np
import pytest
import soundfile
from synthetic import make_hall, make_manifest

from cplxsep.config import OptimConfig, TrainConfig, parse_config, shipped
from cplxsep.config.unused import unused
from cplxsep.errors import InputError, UsageError
from cplxsep.training.examples import load_examples
from cplxsep.training.schedule import lr_at

RATE, EXAMPLES = 8000, 4
NOISE, ROOMS, TURNS, ONE = (
    {"noise": {"recordings": "noise.csv"}},
    {"noise": {"rooms": "rooms"}},
    {"conversation": {"share": 1.0}},
    {"model": {"sources": 1}},
)
RUNS = {
    "talkers alone": (),
    "in noise": (NOISE,),
    "in rooms": (ROOMS,),
    "in both": (NOISE, ROOMS),
    "in turns": (TURNS,),
    "in turns and rooms": (TURNS, ROOMS),
    "one in noise": (ONE, NOISE),
    "one in both": (ONE, NOISE, ROOMS),
}
CHANGES = {
    "data": {"snr": [7, 8], "speed": [1.2, 1.3], "gain": [-3, -2], "pauses": 1.0, "similar": 1.0},
    "noise": {"snr": [1, 2], "noise_only": 0.9, "clean": 0.9, "reverberant": 0.0}
    | {"band_limited": 1.0, "clipped": 1.0, "offset": 1.0, "hum": 1.0, "coded": 1.0}
    | {"own_snr": 90.0},
    "conversation": {"overlap": [0.9, 1.0], "pauses": 1.0, "turns": [0.2, 0.3], "alone": 1.0}
    | {"reference": "dry"},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("unused")
    make_manifest(root, per_split=5)
    rng = np.random.default_rng(0)
    (root / "rooms").mkdir()
    make_hall(root / "rooms" / "hall.wav", RATE, rng)
    lines = ["path,corpus,split,sample_rate,seconds"]
    for split in ("train", "valid"):
        soundfile.write(root / f"{split}.wav", 0.1 * rng.standard_normal(4 * RATE), RATE)
        lines.append(f"{split}.wav,made,{split},{RATE},4.0")
    (root / "noise.csv").write_text("\n".join(lines) + "\n")
    return root


def configured(root, parts, section="", key="", value=None):
    shares = dict.fromkeys(["noise_only", "clean", "band_limited", "clipped", "own_snr"], 0.0)
    tables = {
        "model": {},
        "train": {"loss": "floored-snr"},
        "data": {"speech": str(root / "speech.csv"), "cache": str(root / "cache")}
        | {"seconds": 1.0, "valid_mixtures": 2},
        "noise": shares | {"reverberant": 1.0},
        "conversation": {"turns": [0.4, 0.6]},
    }
    for part in parts:
        for name, own in part.items():
            paths = ("recordings", "rooms")
            tables[name] |= {k: str(root / v) if k in paths else v for k, v in own.items()}
    if section:
        tables[section][key] = value
    return parse_config(tables, "test")


def heard(config, folder):
    (examples,), _ = load_examples(config, folder, lambda _: None)
    return [signal for index in range(EXAMPLES) for signal in examples.example(index)]


@pytest.mark.parametrize("name", RUNS)
def test_what_examples_are_made_of(root, tmp_path, name):
    plain = heard(configured(root, RUNS[name]), tmp_path)
    told = 0
    for section, changes in CHANGES.items():
        for key, value in changes.items():
            try:
                config = configured(root, RUNS[name], section, key, value)
            except UsageError:
                continue  # refused, which is more than told
            try:
                same = all(map(np.array_equal, heard(config, tmp_path), plain))
            except InputError:
                same = False
            assert (f"{section}.{key}" in unused(config)) == same, f"{section}.{key}"
            told += same
    assert told


@pytest.mark.parametrize("schedule", ["cosine", "constant", "linear-decay", "trapezoid", "paper"])
def test_what_learning_rates_are_made_of(schedule):
    plain = {"optim": {"schedule": schedule, "optimizer": "sgd"}, "train": {"steps": 9000}}
    changes = {"lr": 0.7, "warmup_steps": 900, "decay_steps": 50, "final_lr": 0.5}
    changes = {f"optim.{key}": value for key, value in changes.items()} | {"train.epoch_steps": 7}

    def rates(tables):
        optim, train = OptimConfig(**tables["optim"]), TrainConfig(**tables["train"])
        return [lr_at(step, optim, train) for step in range(0, 9000, 30)]

    for name, value in changes.items():
        section, _, key = name.partition(".")
        tables = plain | {section: plain[section] | {key: value}}
        told = name in unused(parse_config(tables, "test"))
        assert told == (rates(tables) == rates(plain)), name


def test_of_prepared_mixtures_and_losses():
    changes = {"data": {"mixtures": "mixtures", "snr": [7, 8]}, "optim": {"momentum": 0.5}}
    changes |= {"noise": {"rooms": "rooms", "clipped": 0.5}, "train": {"csim_imag": 5.0}}
    assert unused(parse_config(changes, "test")) == [
        "data.snr",
        "noise.clipped",
        "optim.momentum",
        "train.csim_imag",
    ]
    changes |= {"train": {"loss": "csim-code"}, "optim": {"optimizer": "sgd", "betas": [0.5, 0.5]}}
    assert unused(parse_config(changes, "test"))[2:] == ["optim.betas"]


def test_shipped_configurations_set_nothing_in_vain():
    for name in shipped.names():
        assert unused(shipped.load(name)) == [], name

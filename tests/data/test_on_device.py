"""Examples made on a device: they are those that the CPU makes, and come in the same batches."""

import itertools
import pickle
from contextlib import closing

import numpy as np
import pytest
import soundfile
import torch
from exact_sketch import ExactSketch
from synthetic import make_hall, make_speech

from cplxsep.audio.level import active_rms, db, rms
from cplxsep.config import NoiseConfig, parse_config
from cplxsep.data.drawing.worker import draw, hold
from cplxsep.data.dynamic import DynamicMixtures
from cplxsep.data.dynamic_conversations import Conversations
from cplxsep.data.dynamic_noisy import NoisySpeech
from cplxsep.data.manifest import scan_folder
from cplxsep.data.noise import load_noise
from cplxsep.data.on_device import choose
from cplxsep.data.on_device.choose import bring, on_device
from cplxsep.data.on_device.recipe import room_for
from cplxsep.process_pool import own_processes
from cplxsep.training.batches import batches

RATE = 8000
CPU = torch.device("cpu")
SHARES = ("noise_only", "reverberant", "band_limited", "clipped", "offset", "hum", "coded")
PLAIN = dict.fromkeys(SHARES, 0.0) | {"clean": 1.0, "own_snr": 0.0}
MIXED = {"noise_only": 0.1, "clean": 0.2, "reverberant": 0.5, "band_limited": 0.3, "clipped": 0.3}
MIXED |= {"offset": 0.2, "hum": 0.2, "coded": 0.1}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("talk")
    make_speech(root / "speech", speakers=6, utterances=4)
    rng = np.random.default_rng(0)
    for name in ("noise", "rooms"):
        (root / name).mkdir()
    # One longer than the examples, one that has to be joined to itself.
    for name, seconds in (("long", 12.0), ("short", 0.5)):
        soundfile.write(
            root / "noise" / f"{name}.wav", 0.1 * rng.standard_normal(round(seconds * RATE)), RATE
        )
    make_hall(root / "rooms" / "hall.wav", RATE, rng)
    return root


def dry(folders, **options):
    settings = {"sample_rate": RATE, "sources": 2, "seconds": 0.7, "seed": 3} | options
    return DynamicMixtures(scan_folder(folders / "speech"), **settings)


def noisy(folders, speed=None, seconds=0.7, **damage):
    config = NoiseConfig(**PLAIN | {"rooms": str(folders / "rooms")} | damage)
    return NoisySpeech(
        scan_folder(folders / "speech"),
        load_noise(folders / "noise"),
        damage=config,
        sample_rate=RATE,
        seconds=seconds,
        snr=(-5.0, 10.0),
        speed=speed,
        gain_db=(-15.0, 0.0),
        seed=3,
    )


def talk(folders, seconds=1.0, conversation=None, speed=(1.0, 1.0), talkers=2, cache=None, **noise):
    config = parse_config(
        {
            "model": {"sources": talkers},
            "train": {"loss": "floored-snr"},
            "data": {"speed": speed, "snr": [-10.0, 10.0]},
            "noise": PLAIN | {"rooms": str(folders / "rooms"), "recordings": "given"} | noise,
            "conversation": {"share": 1.0, "turns": [0.3, 1.0]} | (conversation or {}),
        },
        "test",
    )
    speech, noises = scan_folder(folders / "speech"), load_noise(folders / "noise")
    own = {"sample_rate": RATE, "seconds": seconds, "seed": 3, "cache": cache}
    return Conversations(speech, noises, config, **own)


def exact(examples):
    """The same on a device, but drawn by an exact sketch."""
    there = on_device(examples, CPU)
    own = there.drawing._sketch
    there.drawing._sketch = ExactSketch(
        own.starts, own.levels, own.powers, own.frame, examples.cache
    )
    return there


def made(there, indices):
    mixtures, sources = there.make(there.drawing.draw(list(indices)))
    return mixtures.cpu().numpy(), sources.cpu().numpy()


def error_db(found, wanted):
    """Of the worst of a few rows, in dB; rows softer than -80 dB are rounding of FFTs."""
    found, wanted = found.reshape(len(found), -1), wanted.reshape(len(found), -1)
    return db(max(rms(found - wanted) / np.maximum(rms(wanted), 1e-4)))


def assert_alike(examples, there, count=30, worst=-70.0):
    mixtures, sources = made(there, range(count))
    wanted = [examples.example(index) for index in range(count)]
    assert mixtures.dtype == sources.dtype == np.float32
    assert error_db(mixtures, np.stack([mixture for mixture, _ in wanted])) < worst
    assert error_db(sources, np.stack([own for _, own in wanted])) < worst


@pytest.mark.parametrize(("sources", "seconds"), [(2, 0.7), (3, 2.0)])
def test_talkers_are_those_of_the_cpu(folders, sources, seconds):
    examples = dry(folders, sources=sources, seconds=seconds, speed=None, pauses=0.5, similar=0.3)
    assert_alike(examples, exact(examples))


@pytest.mark.parametrize(
    "damage",
    [
        {},
        {"clean": 0.0},
        {"noise_only": 0.5, "clean": 0.5},
        {"reverberant": 1.0},
        {"band_limited": 1.0},
        {"offset": 1.0, "clipped": 0.5},
        {"hum": 1.0},
        {"coded": 1.0},
        MIXED,
    ],
    ids=lambda damage: "-".join(damage) or "none",
)
def test_noisy_speech_is_that_of_the_cpu(folders, damage):
    examples = noisy(folders, **damage)
    assert_alike(examples, exact(examples))


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("reference", ["heard", "early", "dry"])
@pytest.mark.parametrize("noise", [{}, {"clean": 0.0}, {"reverberant": 1.0}, MIXED], ids=str)
def test_conversations_are_those_of_the_cpu(folders, share, reference, noise):
    examples = talk(folders, conversation={"share": share, "reference": reference}, **noise)
    assert_alike(examples, exact(examples), count=20)


def test_three_talkers_of_whom_one_alone_speaks(folders):
    examples = talk(folders, conversation={"alone": 1.0}, talkers=3, clean=0.5)
    assert_alike(examples, exact(examples))


def test_changed_speed_is_heard_as_on_the_cpu(folders):
    """The filters differ at the top of the band alone."""
    for examples in (dry(folders), noisy(folders, (0.9, 1.1))):
        mixtures, _ = made(exact(examples), range(20))
        wanted = np.stack([examples.example(index)[0] for index in range(20)])
        spectra = np.fft.rfft(mixtures), np.fft.rfft(wanted)
        band = round(0.7 * spectra[0].shape[1])
        found, expected = (spectrum[:, :band] for spectrum in spectra)
        errors = np.abs(found - expected).sum(1) / np.abs(expected).sum(1)
        assert np.median(errors) < 0.02
        assert errors.max() < 0.2  # a crop elsewhere would give 1.4


def statistics(pairs):
    """Numbers of examples, one row for each: what a distribution of them is known by."""
    rows = []
    for mixture, sources in pairs:
        frames = sources[:, : sources.shape[1] // 200 * 200].reshape(len(sources), -1, 200)
        heard = rms(frames) > 1e-3 * max(np.abs(sources).max(), 1e-9)
        levels = [active_rms(source, RATE) for source in sources]
        spectrum = np.abs(np.fft.rfft(mixture)) ** 2
        rows.append(
            [
                db(rms(mixture)),
                db(max(rms(mixture - sources.sum(0)), 1e-4)),
                heard.all(0).mean(),  # overlap
                heard.any(0).mean(),  # activity
                (heard.any(1)).mean(),  # who says anything
                db(max(levels) / max(min(levels), max(levels) * 1e-2, 1e-9)) if any(levels) else 0,
                spectrum[: len(spectrum) // 4].sum() / spectrum.sum(),
                np.abs(mixture).max() / rms(mixture),
            ]
        )
    return np.array(rows)


@pytest.mark.parametrize("recipe", ["talkers", "noisy", "throughout", "in turns"])
def test_examples_are_distributed_as_on_the_cpu(folders, recipe, monkeypatch):
    """Cuts go by a sketch of the speech: not always at the same samples, but as often."""
    monkeypatch.setattr("cplxsep.data.dynamic_conversations._SPARE_SECONDS", 0.5)
    count, shares = 200, MIXED | {"coded": 0.0}
    if recipe == "talkers":
        examples = dry(folders, pauses=0.3)
    elif recipe == "noisy":
        examples = noisy(folders, (0.9, 1.1), **shares)
    else:
        monkeypatch.setattr("cplxsep.data.on_device.reading._REACH", 4)
        conversation = {"share": float(recipe == "in turns"), "alone": 0.2}
        examples = talk(folders, 2.0, conversation, speed=(0.9, 1.1), **shares)
    there = on_device(examples, CPU)
    groups = [made(there, range(at, at + 20)) for at in range(0, count, 20)]
    found = statistics(pair for group in groups for pair in zip(*group, strict=True))
    wanted = statistics(examples.example(index) for index in range(count))
    # The same numbers lie behind both, so that they differ by less than independent ones would.
    error = np.sqrt((found.var(0) + wanted.var(0)) / count)
    assert (np.abs(found.mean(0) - wanted.mean(0)) < 2.5 * error + 1e-3).all()
    spread = (found.std(0) + 1e-3) / (wanted.std(0) + 1e-3)
    assert (np.abs(np.log(spread)) < 0.25).all()
    tenths = [np.quantile(values, [0.1, 0.5, 0.9], axis=0) for values in (found, wanted)]
    assert (np.abs(tenths[0] - tenths[1]) <= 0.5 * wanted.std(0) + 1e-3).all()


def taken(stream, count):
    with closing(stream):
        return [(a.clone(), b.clone()) for a, b in itertools.islice(stream, count)]


def test_a_batch_depends_on_its_step_alone(folders, monkeypatch):
    """Wherever a run is resumed, within what is made at once or not; two sets in turn."""
    monkeypatch.setattr("cplxsep.data.on_device.recipe._AT_ONCE", 3 * 4 * 2 * 5600)
    host = [dry(folders, speed=None), noisy(folders, seconds=1.4, **MIXED)]
    sets = [exact(one) for one in host]
    assert [one.at_once(4) for one in sets] == [3, 3]
    whole = taken(batches(sets, 0, 4, workers=2), 12)
    for first in (4, 7):
        again = taken(batches(sets, first, 4), 12 - first)
        for (a, b), (c, d) in zip(whole[first:], again, strict=True):
            assert torch.equal(a, c)
            assert torch.equal(b, d)
    for (a, b), (c, d) in zip(whole, taken(batches(host, 0, 4), 12), strict=True):
        assert error_db(a.numpy(), c.numpy()) < -90
        assert error_db(b.numpy(), d.numpy()) < -90


def test_processes_that_draw_have_the_same_numbers_and_no_torch(folders, tmp_path):
    """Nor do samples go to them: they open the cache for themselves."""
    examples = talk(folders, cache=tmp_path, **MIXED)
    drawing = on_device(examples, CPU).drawing
    assert len(pickle.dumps(examples.cache)) < 0.1 * examples.cache.samples.nbytes
    with own_processes(1, "draws", "train.workers", hold, [drawing]) as pool:
        found = pool.submit(draw, (0, range(30))).result()
        assert not pool.submit(eval, "'torch' in __import__('sys').modules").result()
    assert pickle.dumps(found) == pickle.dumps(drawing.draw(range(30)))


def test_where_mixtures_are_made_goes_by_the_devices_memory_and_is_said(folders, monkeypatch):
    said, host = [], dry(folders)
    needed = 2 * len(host.cache.samples) + room_for(host, 2)
    cuda = torch.device("cuda", 0)
    assert bring([host], 2, CPU, said.append) == [host]
    assert not said
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 8 * needed))
    monkeypatch.setattr(choose, "on_device", lambda one, _: on_device(one, CPU))
    free = 2 * needed - 1
    assert bring([host, host], 2, cuda, said.append) == [host, host]
    assert "made by the CPU and streamed" in said.pop()
    free = 2 * needed
    one, other = bring([host, host], 2, cuda, said.append)
    assert one is other
    assert one is not host
    assert "made on the device" in said.pop()

    def full(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(choose, "on_device", full)
    assert bring([host], 2, cuda, said.append) == [host]
    assert "made by the CPU and streamed" in said.pop()


def test_prepared_mixtures_stay_with_the_cpu():
    prepared = object()
    assert bring([prepared], 2, torch.device("cuda"), pytest.fail) == [prepared]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("reference", ["heard", "early", "dry"])
def test_a_gpu_makes_of_one_draw_what_a_cpu_makes_of_it(folders, reference):
    conversation = {"reference": reference}
    for examples in (
        dry(folders, pauses=0.5),
        noisy(folders, (0.9, 1.1), **MIXED),
        talk(folders, conversation=conversation, speed=(0.9, 1.1), **MIXED),
    ):
        here, there = (on_device(examples, torch.device(name)) for name in ("cpu", "cuda"))
        drawn = here.drawing.draw(range(30))
        for found, wanted in zip(there.make(drawn), here.make(drawn), strict=True):
            assert error_db(found.cpu().numpy(), wanted.numpy()) < -60

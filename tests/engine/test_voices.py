import numpy as np
import pytest
import soundfile

from cplxsep.audio.level import frame_of
from cplxsep.audio.resample import resample
from cplxsep.engine.measured import measured
from cplxsep.engine.voices import evidence, heard_of, told


def all_heard(embedded):
    """What is heard of one talker in all of these frames (T, D)."""
    return heard_of(embedded[None], np.ones((1, len(embedded)), bool), np.array([0]))[0, 0]


def test_nobody_heard_tells_nothing():
    embedded = np.random.default_rng(1).standard_normal((1, 5, 64)).astype(np.float32)
    nothing = told(heard_of(embedded, np.zeros((1, 5), bool), np.array([0])))[0, 0]
    assert nothing.shape == (2, 64)
    assert not nothing.any()
    assert evidence(nothing) == 0


def test_each_stretch_is_what_is_heard_in_a_talkers_own_frames():
    rng = np.random.default_rng(1)
    embedded = rng.standard_normal((2, 9, 64)).astype(np.float32)
    own = rng.random((2, 9)) < 0.5
    heard = heard_of(embedded, own, np.array([0, 4, 5]))
    assert heard.shape == (3, 2, 65)
    for stretch, frames in zip(heard, (slice(0, 4), slice(4, 5), slice(5, 9)), strict=True):
        for talker in range(2):
            its = embedded[talker, frames][own[talker, frames]]
            np.testing.assert_allclose(stretch[talker, :-1], its.sum(axis=0), atol=1e-5)
            assert stretch[talker, -1] == len(its)


def test_more_frames_tell_more_and_those_of_one_passage_not_all():
    frames = np.random.default_rng(1).standard_normal((400, 64)).astype(np.float32)
    few, many, most = (told(all_heard(frames[:count]))[0] for count in (20, 100, 400))
    assert (few < many).all()
    assert (many < most).all()
    assert (most < 4 * many).all()  # four passages tell more than one that lasts four times as long


@pytest.mark.parametrize("rate", [8000, 16000])
def test_two_people_are_told_apart(examples, rate):
    halves = []
    for talker in (1, 2):
        audio, own = soundfile.read(examples / f"two_talkers_s{talker}.wav", dtype="float32")
        powers, embedded = measured(resample(audio[None], own, rate), rate)
        spoken = embedded[0, powers[0] > np.quantile(powers[0], 0.95) * 10**-2.5]
        assert frame_of(rate) * len(spoken) > 2 * rate
        halves.append([told(all_heard(part)) for part in np.array_split(spoken, 2)])
    (a, b), (c, d) = halves
    together = evidence(a + b) + evidence(c + d)
    assert together > evidence(a) + evidence(b) + evidence(c) + evidence(d)
    assert together > evidence(a + c) + evidence(b + d) + 8
    assert together > evidence(a + d) + evidence(b + c) + 8

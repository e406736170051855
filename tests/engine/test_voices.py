import numpy as np
import pytest
import soundfile

from cplxsep.audio.level import frame_of
from cplxsep.audio.resample import resample
from cplxsep.engine.measured import measured
from cplxsep.engine.voices import MEMORY_FRAMES, Voice, likeness, voice_of


def voice(frames, seed=0):
    mean = np.random.default_rng(seed).standard_normal(64).astype(np.float32)
    return Voice(frames, mean)


def test_what_is_learnt_is_the_mean_of_all_frames():
    frames = np.random.default_rng(1).standard_normal((50, 64)).astype(np.float32)
    learnt = voice_of(frames[:20]).with_more(voice_of(frames[20:]))
    assert learnt.frames == 50
    np.testing.assert_allclose(learnt.mean, frames.mean(0), atol=1e-6)


def test_old_speech_fades():
    learnt = Voice(1.0, np.zeros(64, np.float32))
    for _ in range(100):
        learnt = learnt.with_more(voice(1000.0))
    assert learnt.frames == MEMORY_FRAMES
    np.testing.assert_allclose(learnt.mean, voice(1).mean, atol=1e-3)


def test_nobody_heard_says_nothing_and_nobody_known_the_same_of_all():
    assert not likeness([voice(50), None], [None, None], 4.0).any()
    found = likeness([voice(50), None], [voice(50, 1), None], 4.0)
    assert found[1, 0] == 4.0
    assert found[0, 0] not in (0.0, 4.0)
    assert not found[:, 1].any()


@pytest.mark.parametrize("rate", [8000, 16000])
def test_two_people_are_told_apart(examples, rate):
    halves = []
    for talker in (1, 2):
        audio, own = soundfile.read(examples / f"two_talkers_s{talker}.wav", dtype="float32")
        powers, embedded = measured(resample(audio[None], own, rate), rate)
        spoken = embedded[0, powers[0] > np.quantile(powers[0], 0.95) * 10**-2.5]
        halves.append([voice_of(part) for part in np.array_split(spoken, 2)])
    known, heard = ([pair[half] for pair in halves] for half in (0, 1))
    assert frame_of(rate) * known[0].frames > rate
    found = likeness(known, heard, 0.0)
    assert (np.diag(found) > 0).all()
    assert (np.diag(found) > np.diag(found[::-1]) + 4).all()

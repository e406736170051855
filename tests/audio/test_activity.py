"""Who is heard when."""

import numpy as np
import pytest

from cplxsep.audio.activity import Activity, rttm

RATE = 8000
RNG = np.random.default_rng(0)


def voices(seconds=10.0):
    """Two: 1 to 4 s and 6 to 6.9 s, and 3 to 7 s."""
    audio = np.zeros((2, round(seconds * RATE)), np.float32)
    for row, start, end in ((0, 1, 4), (0, 6, 6.9), (1, 3, 7)):
        span = slice(round(start * RATE), round(end * RATE))
        audio[row, span] = 0.1 * RNG.standard_normal(span.stop - span.start)
    return audio


def found(audio, blocks=1):
    activity = Activity(RATE)
    for block in np.array_split(audio, blocks, axis=1):
        activity.push(block)
    return activity.segments()


@pytest.mark.parametrize("blocks", [1, 7, 100])
def test_segments_in_blocks(blocks):
    first, second = found(voices(), blocks)
    np.testing.assert_allclose(first, [(1, 4), (6, 6.9)], atol=0.033)
    np.testing.assert_allclose(second, [(3, 7)], atol=0.033)


def test_leaks_are_not_speech_but_a_soft_talker_is():
    audio = voices()
    leaked = audio + 0.1 * audio[::-1]
    assert found(leaked) == found(audio)
    soft = audio * np.array([[1.0], [0.25]], np.float32)
    assert [len(own) for own in found(soft)] == [2, 1]


def test_short_pauses_belong_to_the_speech_and_clicks_are_none():
    audio = voices()
    audio[1, 4 * RATE : 4 * RATE + RATE // 5] = 0  # 0.2 s
    audio[1, 9 * RATE : 9 * RATE + 100] = 1.0
    assert len(found(audio)[1]) == 1


@pytest.mark.parametrize("under_db", [60, 40, 28, 22])
@pytest.mark.parametrize("seconds", [10, 100])
def test_background_noise_is_nobody(seconds, under_db):
    """Also where few speak: most frames are the background's then."""
    audio = voices(seconds)
    audio += 0.1 * 10 ** (-under_db / 20) * RNG.standard_normal(audio.shape).astype(np.float32)
    first, second = found(audio)
    np.testing.assert_allclose(first, [(1, 4), (6, 6.9)], atol=0.033)
    np.testing.assert_allclose(second, [(3, 7)], atol=0.033)


def test_silence_and_nothing():
    assert found(np.zeros((2, RATE), np.float32)) == [[], []]
    assert found(np.zeros((2, 10), np.float32)) == [[], []]
    assert Activity(RATE).segments() == []


def test_rttm_is_ordered_and_its_name_has_no_spaces():
    text = rttm("my file", [[(1.0, 2.5)], [(0.25, 1.0)]])
    assert text == (
        "SPEAKER my_file 1 0.250 0.750 <NA> <NA> s2 <NA> <NA>\n"
        "SPEAKER my_file 1 1.000 1.500 <NA> <NA> s1 <NA> <NA>\n"
    )

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cplxsep.data.manifest import Utterance
from cplxsep.data.plan import Planner, generator
from cplxsep.errors import InputError


def speech(counts, seconds=lambda _number: 1.0):
    return [
        Utterance(Path(f"/s{speaker}/{n}.wav"), "c", f"s{speaker}", "", 8000, seconds(n))
        for speaker, count in enumerate(counts)
        for n in range(count)
    ]


@pytest.mark.parametrize("sources", [2, 3, 5])
def test_talkers_differ(sources):
    utterances = speech([1, 3, 50, 2, 2])
    planner = Planner(utterances, sources=sources, snr=(0.0, 5.0))
    for index in range(200):
        plan = planner.draw(generator(1, index))
        assert len({utterances[at].talker for at in plan.utterances}) == sources
        assert plan.snr_db[0] == 0.0
        assert all(0.0 <= value <= 5.0 for value in plan.snr_db)
        assert all(0.0 <= value < 1.0 for value in plan.places)


def test_speakers_are_alike_likely_and_utterances_go_by_length():
    utterances = speech([1, 30, 2], seconds=lambda number: 1.0 + 3.0 * number)
    planner = Planner(utterances, sources=2, snr=(0.0, 0.0))
    plans = [planner.draw(generator(0, index)) for index in range(3000)]
    talkers = Counter(utterances[at].speaker for plan in plans for at in plan.utterances)
    assert all(count == pytest.approx(2000, rel=0.08) for count in talkers.values())
    # Speaker s2 has one utterance of 1 s and one of 4 s.
    own = Counter(at for plan in plans for at in plan.utterances if utterances[at].speaker == "s2")
    assert own[32] / own[31] == pytest.approx(4.0, rel=0.2)


def test_a_plan_depends_on_seed_and_index_alone():
    planner = Planner(speech([2] * 9), sources=2, snr=(0.0, 5.0))
    plans = [planner.draw(generator(7, index)) for index in range(50)]
    again = [planner.draw(generator(7, index)) for index in reversed(range(50))]
    assert plans == again[::-1]
    assert len(set(plans)) == 50
    assert plans != [planner.draw(generator(8, index)) for index in range(50)]


@pytest.mark.parametrize(("counts", "says"), [([4], "is only 1"), ([], "are only 0")])
def test_too_few_speakers(counts, says):
    with pytest.raises(InputError, match=f"need 2 different speakers: there {says}"):
        Planner(speech(counts), sources=2, snr=(0.0, 5.0))


def test_talkers_of_similar_pitch():
    """All in a mixture come from the tenth of talkers that is nearest to the first in pitch."""
    utterances = speech([1] * 40)
    heights = np.random.default_rng(0).permutation(40) + 100.0
    planner = Planner(
        utterances, sources=2, snr=(0.0, 0.0), similar=1.0, pitch=lambda at: heights[at]
    )
    apart, seen = [], set()
    for index in range(200):
        first, second = planner.draw(generator(0, index)).utterances
        apart.append(abs(heights[first] - heights[second]))
        seen |= {first, second}
    assert max(apart) <= 4
    assert min(apart) >= 1
    assert len(seen) == 40
    some = Planner(utterances, sources=2, snr=(0.0, 0.0), similar=0.5, pitch=lambda _: None)
    assert len(set(some.draw(generator(0, 1)).utterances)) == 2

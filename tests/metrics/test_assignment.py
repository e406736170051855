"""The assignment against trying all permutations."""

from itertools import permutations

import numpy as np
import pytest

from cplxsep.metrics.assignment import best_permutation


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(10))
def test_is_the_best_of_all_permutations(count, seed):
    scores = np.random.default_rng(seed).normal(-5, 20, (count, count))
    rows = np.arange(count)
    best = max(permutations(range(count)), key=lambda p: scores[rows, list(p)].sum())
    np.testing.assert_array_equal(best_permutation(scores), best)


def test_a_silent_estimate_is_left_for_the_silent_reference():
    scores = np.array([[np.nan, -30.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(best_permutation(scores), [1, 0])


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_silent_signals_do_not_change_how_the_others_are_assigned(count):
    scores = np.random.default_rng(count).normal(-40, 30, (count, count))
    scores[0], scores[:, 1] = np.nan, np.nan
    rows, columns = np.arange(1, count), [0, *range(2, count)]
    inner = best_permutation(scores[np.ix_(rows, columns)])
    permutation = best_permutation(scores)
    assert permutation[0] == 1
    np.testing.assert_array_equal(permutation[1:], np.array(columns)[inner])


def test_no_score_is_so_high_that_a_missing_one_is_taken_for_it():
    scores = np.array([[np.nan, 0.0, 0.0], [0.0, 100.0, 0.0], [np.nan, 0.0, 100.0]])
    np.testing.assert_array_equal(best_permutation(scores), [1, 0, 2])


def test_infinite_and_missing_scores_give_a_permutation():
    assert sorted(best_permutation(np.full((3, 3), np.nan))) == [0, 1, 2]
    np.testing.assert_array_equal(best_permutation([[0.0, np.inf], [-np.inf, 1.0]]), [1, 0])


def test_only_square_matrices():
    with pytest.raises(ValueError, match="square"):
        best_permutation(np.zeros((2, 3)))

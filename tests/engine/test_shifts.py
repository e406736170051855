"""Several runs with other frames, averaged: property by property, with stand-in networks."""

import numpy as np
import pytest
import torch
from standins import RATE, TWO_RATES, Stand, copies, halves, swapping

from cplxsep.config import ModelConfig
from cplxsep.engine.separator import Separator
from cplxsep.engine.shifts import averaged
from cplxsep.errors import UsageError
from cplxsep.networks.model import SeparationModel

HOP = 8


def talk(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def uneven(mixture):
    """As a network whose error depends on where in a frame a sample lies; all errors sum to 0."""
    place = torch.arange(mixture.shape[-1]) % HOP
    return copies(mixture * (1 + 0.1 * (place - (HOP - 1) / 2)))


def test_once_is_the_network_itself():
    assert averaged(copies, 1, HOP) is copies


@pytest.mark.parametrize("shifts", [2, 3, 8])
def test_what_does_not_depend_on_frames_stays(shifts):
    mixture = talk(3, 100)
    torch.testing.assert_close(averaged(copies, shifts, HOP)(mixture), copies(mixture))


def test_errors_that_depend_on_frames_cancel():
    mixture = talk(2, 101)
    errors = [
        (averaged(uneven, shifts, HOP)(mixture) - copies(mixture)).square().mean()
        for shifts in (1, 2, 4, HOP)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-10 < 1e-3 < errors[0]


def test_all_runs_have_one_length():
    network = Stand(copies)
    averaged(network, 3, HOP)(talk(2, 50))
    assert network.shapes == [(2, 50 + HOP)] * 3


@pytest.mark.parametrize("count", [2, 3, 4])
def test_outputs_in_another_order_are_put_into_that_of_the_first(count):
    filters = talk(count, 1, 5, seed=1)

    def network(mixture):
        padded = torch.nn.functional.pad(mixture, (4, 0))
        return torch.nn.functional.conv1d(padded[:, None], filters)

    mixture = talk(4, 300)
    found = averaged(swapping(network), 5, HOP)(mixture)
    for own, wanted in zip(found, network(mixture), strict=True):
        matches = {
            int(np.argmin([(row - other).square().mean() for other in wanted])) for row in own
        }
        assert matches == set(range(count))
        ordered = own[:, None] - wanted[None]
        assert ordered.square().mean(-1).min(1).values.max() < 1e-10


def test_the_separator_takes_shifts(make_separator, talk):
    signal = talk(9.0)
    once, twice = make_separator(halves), Separator(Stand(halves), device="cpu", shifts=2)
    assert not np.array_equal(once(signal, RATE), twice(signal, RATE))
    assert np.abs(once(signal, RATE) - twice(signal, RATE)).max() < 0.1
    silence = np.zeros(RATE, np.float32)
    assert not twice(silence, RATE).any()


@pytest.mark.parametrize("shifts", [0, -1, 1.5, True, "2"])
def test_other_numbers_of_shifts_are_refused(shifts):
    with pytest.raises(UsageError, match="positive whole number"):
        Separator(Stand(copies), device="cpu", shifts=shifts)


def test_a_causal_model_goes_on_without():
    network = Stand(copies)
    network.causal = True
    with pytest.raises(UsageError, match="causal"):
        Separator(network, device="cpu", shifts=2)


def test_networks_tell_their_hop():
    assert SeparationModel(TWO_RATES).hop == TWO_RATES.hop
    assert SeparationModel(TWO_RATES).at(16000).hop == 2 * TWO_RATES.hop
    assert SeparationModel(ModelConfig(network="conv-tasnet")).hop == 8

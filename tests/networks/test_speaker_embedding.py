import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from cplxsep.networks.bands import BANDS
from cplxsep.networks.speaker_embedding import DIMENSIONS, SpeakerEmbedding


@pytest.fixture
def network():
    torch.manual_seed(0)
    found = SpeakerEmbedding().eval().requires_grad_(False)
    found.log_frame.normal_()
    found.log_session.normal_()
    return found


def powers(*shape):
    return torch.rand(*shape, BANDS, generator=torch.Generator().manual_seed(1)) ** 4


def test_levels_change_nothing(network):
    found = powers(2, 3, 40)
    reference = network(found, BANDS)
    assert reference.shape == (2, 3, 40, DIMENSIONS)
    for gain in (1e-8, 1e6):
        torch.testing.assert_close(network(gain * found, BANDS), reference, rtol=1e-4, atol=1e-5)
    assert network(0 * found, BANDS).isfinite().all()


def test_bands_that_are_not_there_change_nothing(network):
    found = powers(2, 30)
    other = found.clone()
    other[..., 29:] = 7.0
    assert torch.equal(network(found, 29), network(other, 29))
    assert not torch.allclose(network(found, BANDS), network(other, BANDS))


def test_a_frame_is_told_from_half_a_second(network):
    found = powers(1, 60)
    other = found.clone()
    other[:, 30] = 1.0
    changed = (network(found, BANDS) != network(other, BANDS)).any(-1)[0]
    assert changed.nonzero().flatten().tolist() == list(range(23, 38))


def test_log_ratio_is_that_of_the_joint_distributions(network):
    rng = np.random.default_rng(2)
    known, heard = rng.normal(size=(3, DIMENSIONS)), rng.normal(size=(2, DIMENSIONS))
    frames = np.array([8.0, 30.0, 500.0]), np.array([5.0, 60.0])
    given = [torch.from_numpy(x) for x in (known, frames[0], heard, frames[1])]
    found = network.double().log_ratio(*given).numpy()
    frame, session = (x.exp().numpy() for x in (network.log_frame, network.log_session))
    for i in range(3):
        for j in range(2):
            ratio = 0.0
            for d in range(DIMENSIONS):
                a, b = (1 + frame[d] / n + session[d] for n in (frames[0][i], frames[1][j]))
                both = [known[i, d], heard[j, d]]
                ratio += multivariate_normal([0, 0], [[a, 1], [1, b]]).logpdf(both)
                ratio -= multivariate_normal([0, 0], [[a, 0], [0, b]]).logpdf(both)
            np.testing.assert_allclose(found[i, j], ratio, rtol=1e-9)
    turned = network.log_ratio(*given[2:], *given[:2]).numpy()
    np.testing.assert_allclose(found, turned.T, rtol=1e-9)

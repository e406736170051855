"""Losses: against independent formulas, invariances, gradients, permutations."""

from itertools import permutations

import numpy as np
import pytest
import torch

from cplxsep import losses
from cplxsep.nn.stft import STFT


def random_audio(n=2, samples=400, batch=3):
    torch.manual_seed(0)
    return torch.randn(batch, n, samples).double(), torch.randn(batch, n, samples).double()


def random_spectra(n=2):
    torch.manual_seed(0)
    return torch.randn(3, n, 2, 5, 6).double(), torch.randn(3, n, 2, 5, 6).double()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_pit_finds_the_best_permutation_of_each_mixture(n):
    torch.manual_seed(0)
    table = torch.randn(6, n, n)
    best, order = losses.pit(table)
    for item in range(6):
        totals = [
            np.mean(
                [float(table[item, estimate, reference]) for reference, estimate in enumerate(p)]
            )
            for p in permutations(range(n))
        ]
        assert float(best[item]) == pytest.approx(min(totals), abs=1e-6)
        chosen = table[item, order[item], torch.arange(n)].mean()
        torch.testing.assert_close(chosen, best[item])


def test_pit_decides_for_each_mixture_alone():
    estimates, _ = random_audio()
    references = estimates.clone()
    references[1] = references[1].flip(0)
    best, order = losses.pit(losses.l2_pairs(estimates, references))
    assert not best.any()
    assert order.tolist() == [[0, 1], [1, 0], [0, 1]]


def test_pit_of_a_batch_gives_all_mixtures_the_order_that_is_cheapest_in_sum():
    torch.manual_seed(0)
    table = torch.randn(5, 3, 3)
    best, order = losses.pit(table, "batch")
    totals = {
        p: table[:, list(p), range(3)].mean(-1) for p in permutations(range(3))
    }  # p[reference] is the estimate
    cheapest = min(totals, key=lambda p: float(totals[p].sum()))
    assert order.tolist() == [list(cheapest)] * 5
    torch.testing.assert_close(best, totals[cheapest])
    assert best.sum() >= losses.pit(table)[0].sum()


def test_pit_of_a_batch_of_one_is_that_of_the_mixture():
    table = torch.randn(1, 2, 2)
    for ours, theirs in zip(losses.pit(table, "batch"), losses.pit(table), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def plain_code_inverse(spectrum):
    """SPEC section 5, literally, for one complex spectrum (F, T)."""
    bins, frames = spectrum.shape
    hop = bins - 1
    whole = np.concatenate([spectrum, spectrum[1:][::-1].conj()])
    pieces = np.fft.ifft(whole, axis=0, norm="ortho")
    total = np.zeros(hop * (frames - 1) + len(whole), complex)
    for frame in range(frames):
        total[hop * frame : hop * frame + len(whole)] += pieces[:, frame]
    return total[hop:-hop]


def test_inverse_stft_of_the_published_code():
    spectra, _ = random_spectra()
    ours = losses.code_inverse_stft(spectra)
    for b in range(3):
        for n in range(2):
            expected = plain_code_inverse(torch.complex(*spectra[b, n]).numpy())
            np.testing.assert_allclose(torch.complex(*ours[b, n]).numpy(), expected)


def test_inverse_stft_of_the_published_code_is_near_the_true_one_for_low_sounds_only():
    """SPEC 7.14: correlation .656 with white noise, .998 with low-passed noise."""
    torch.manual_seed(0)
    noise = torch.randn(1, 16000)
    low = torch.fft.irfft(torch.fft.rfft(noise) * (torch.arange(8001) < 400))
    stft = STFT()
    for audio, correlation in ((noise, 0.656), (low, 0.998)):
        found = losses.code_inverse_stft(stft(audio))[0, 0]
        size = min(len(found), audio.shape[1])
        cosine = torch.nn.functional.cosine_similarity(found[:size], audio[0, :size], dim=0)
        assert float(cosine) == pytest.approx(correlation, abs=0.03)


def test_time_losses_of_the_published_code():
    estimates, references = random_spectra()
    l2 = losses.l2_time_code_pairs(estimates, references)
    cosine = losses.cos_time_code_pairs(estimates, references).mean(dim=0)
    est, ref = losses.code_inverse_stft(estimates), losses.code_inverse_stft(references)
    for i in range(2):
        for j in range(2):
            torch.testing.assert_close(l2[1, i, j], (est[1, i] - ref[1, j]).square().mean())
            a, b = est[:, i].flatten(), ref[:, j].flatten()
            torch.testing.assert_close(cosine[i, j], -(a @ b) / (a.norm() * b.norm()))


def test_si_sdr_is_the_textbook_formula():
    estimates, references = random_audio()
    ours = -losses.si_sdr_pairs(estimates, references)
    for b in range(3):
        for i in range(2):
            for j in range(2):
                est = estimates[b, i].numpy() - estimates[b, i].numpy().mean()
                ref = references[b, j].numpy() - references[b, j].numpy().mean()
                target = np.dot(est, ref) / np.dot(ref, ref) * ref
                expected = 10 * np.log10(np.sum(target**2) / np.sum((est - target) ** 2))
                assert float(ours[b, i, j]) == pytest.approx(expected, abs=1e-5)


def test_csim_is_equation_7_on_native_complex_numbers():
    estimates, references = random_spectra()
    ours = losses.csim_pairs(estimates, references, 1.0, 50.0)
    est = torch.complex(estimates[:, :, 0], estimates[:, :, 1]).flatten(2)
    ref = torch.complex(references[:, :, 0], references[:, :, 1]).flatten(2)
    for i in range(2):
        for j in range(2):
            inner = torch.linalg.vecdot(est[:, i], ref[:, j])
            inner = inner / (est[:, i].norm(dim=1) * ref[:, j].norm(dim=1))
            torch.testing.assert_close(ours[:, i, j], -inner.real + 50 * inner.imag**2)


def test_csim_of_the_published_code_sums_squares_of_bins_under_batch_norms():
    estimates, references = random_spectra()
    ours = losses.csim_code_pairs(estimates, references, 1.0, 50.0).mean(dim=0)
    est = torch.complex(estimates[:, :, 0], estimates[:, :, 1])
    ref = torch.complex(references[:, :, 0], references[:, :, 1])
    for i in range(2):
        for j in range(2):
            p = est[:, i].conj() * ref[:, j] / (est[:, i].norm() * ref[:, j].norm())
            torch.testing.assert_close(ours[i, j], -p.real.sum() + 50 * (p.imag**2).sum())


@pytest.mark.parametrize("name", losses.SPECTRAL)
def test_spectral_losses_are_lowest_at_the_reference(name):
    estimates, references = random_spectra()
    pairs = losses.SPECTRAL[name]
    diagonal = torch.arange(2)
    at_reference = pairs(references, references)[:, diagonal, diagonal].mean()
    elsewhere = pairs(references + 0.3 * estimates, references)[:, diagonal, diagonal].mean()
    assert at_reference < elsewhere


@pytest.mark.parametrize("name", ["si-sdr", "cos-time"])
def test_scale_invariant_losses(name):
    estimates, references = random_audio()
    pairs = losses.WAVEFORM[name]
    scaled = pairs(7 * estimates, references)
    torch.testing.assert_close(scaled, pairs(estimates, references), atol=1e-4, rtol=0)


def test_csim_does_not_change_with_scale():
    estimates, references = random_spectra()
    torch.testing.assert_close(
        losses.csim_pairs(7 * estimates, 3 * references), losses.csim_pairs(estimates, references)
    )


@pytest.mark.parametrize("name", [*losses.SPECTRAL, *losses.WAVEFORM])
def test_gradients(name):
    torch.manual_seed(0)
    shape = (2, 2, 2, 3, 2) if name in losses.SPECTRAL else (2, 2, 8)
    estimates = torch.randn(shape).double().requires_grad_()
    references = torch.randn(shape).double()
    pairs = {**losses.SPECTRAL, **losses.WAVEFORM}[name]
    assert torch.autograd.gradcheck(lambda x: pairs(x, references), estimates)


@pytest.mark.parametrize("name", [*losses.SPECTRAL, *losses.WAVEFORM])
@pytest.mark.parametrize("silent", ["estimate", "reference"])
def test_silence_gives_finite_losses_and_gradients(name, silent):
    shape = (2, 2, 2, 3, 2) if name in losses.SPECTRAL else (2, 2, 8)
    estimates, references = torch.randn(shape), torch.randn(shape)
    (estimates if silent == "estimate" else references).zero_()
    estimates.requires_grad_()
    loss = {**losses.SPECTRAL, **losses.WAVEFORM}[name](estimates, references)
    loss.mean().backward()
    assert loss.isfinite().all()
    assert estimates.grad.isfinite().all()


def test_snr_is_the_textbook_formula_and_saturates():
    estimates, references = random_audio()
    mixtures = references.sum(1)
    ours = losses.snr_pairs(estimates, references, mixtures)
    error = estimates[0, 1] - references[0, 0]
    expected = 10 * torch.log10(error.square().sum() / references[0, 0].square().sum() + 1e-3)
    torch.testing.assert_close(ours[0, 1, 0], expected)
    exact = losses.snr_pairs(references, references, mixtures)
    torch.testing.assert_close(exact[:, 0, 0], torch.full((3,), -30.0).double())


def test_a_silent_reference_asks_for_silence():
    estimates, _ = random_audio(n=1)
    mixtures = estimates[:, 0]
    silence = torch.zeros_like(estimates)

    def loss(gain):
        return losses.snr_pairs(gain * estimates, silence, mixtures)[0, 0, 0]

    assert float(loss(1.0)) == pytest.approx(10 * np.log10(1.001), abs=1e-5)
    assert float(loss(0.1)) == pytest.approx(10 * np.log10(0.011), abs=1e-5)
    assert float(loss(0.0)) == pytest.approx(-30, abs=1e-5)
    scaled = (0.001 * estimates).requires_grad_(True)
    losses.snr_pairs(scaled, silence, mixtures).sum().backward()
    assert scaled.grad.isfinite().all()


def test_wsdr_is_minus_one_for_the_reference_and_weighs_by_energy():
    _, references = random_audio(n=1)
    noise = torch.randn(3, 400).double() * torch.tensor([[0.1], [1.0], [10.0]])
    mixtures = references[:, 0] + noise
    torch.testing.assert_close(
        losses.wsdr_pairs(references, references, mixtures)[:, 0, 0], -torch.ones(3).double()
    )
    # Giving the mixture back leaves no noise, whose cosine is then nothing.
    unchanged = losses.wsdr_pairs(mixtures.unsqueeze(1), references, mixtures)[:, 0, 0]
    for item in range(3):
        speech, heard = references[item, 0], mixtures[item]
        share = speech.square().sum() / (speech.square().sum() + noise[item].square().sum())
        expected = -share * (speech @ heard) / (speech.norm() * heard.norm())
        torch.testing.assert_close(unchanged[item], expected)


def test_magnitude_distance_hears_level_but_not_sign():
    estimates, references = random_audio(n=2, samples=4000)
    assert not losses.magnitude_distance(references, references).any()
    torch.testing.assert_close(
        losses.magnitude_distance(-estimates, references),
        losses.magnitude_distance(estimates, references),
    )
    nearer = losses.magnitude_distance(0.9 * references, references)
    further = losses.magnitude_distance(0.5 * references, references)
    assert (nearer < further).all()
    for signal in (torch.zeros_like(estimates), estimates):
        signal = signal.clone().requires_grad_(True)
        losses.magnitude_distance(signal, references).sum().backward()
        assert signal.grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(losses.MIXTURE_AWARE))
def test_gradients_of_losses_that_see_the_mixture(name):
    torch.manual_seed(0)
    estimates = torch.randn(2, 2, 20).double().requires_grad_(True)
    references = torch.randn(2, 2, 20).double()
    pairs = losses.MIXTURE_AWARE[name]
    assert torch.autograd.gradcheck(lambda e: pairs(e, references, references.sum(1)), (estimates,))


def test_floored_snr_is_its_formula():
    """TEMPORAL.md section 5, for sources of any level, silent ones too."""
    estimates, references = random_audio()
    references[1, 1] *= 1e-3
    references[2, 0] = 0
    mixtures = references.sum(1)
    ours = losses.floored_snr_pairs(estimates, references, mixtures)
    for b in range(3):
        floor = 1e-3 * float(mixtures[b].square().sum())
        for i in range(2):
            for j in range(2):
                error = float((estimates[b, i] - references[b, j]).square().sum()) + floor
                energy = float(references[b, j].square().sum()) + floor
                assert float(ours[b, i, j]) == pytest.approx(10 * np.log10(error / energy))


def test_floored_snr_of_a_faint_source_asks_for_no_more_than_that_of_a_silent_one():
    """Where the saturating SNR has its floor 30 dB under the source itself."""
    _, references = random_audio()
    references[:, 1] = 1e-4 * references[:, 1]
    mixtures, silent = references.sum(1), references * torch.tensor([[[1.0], [0.0]]])
    leak = 0.05 * mixtures.unsqueeze(1).expand_as(references)

    def difference(pairs):
        return (pairs(leak, references, mixtures) - pairs(leak, silent, mixtures))[:, 0, 1].abs()

    assert difference(losses.floored_snr_pairs).max() < 0.01
    assert difference(losses.snr_pairs).min() > 10


@pytest.mark.parametrize("name", sorted(losses.MIXTURE_AWARE))
def test_silence_gives_finite_losses_that_see_the_mixture(name):
    estimates = torch.randn(2, 2, 50, requires_grad=True)
    references = torch.randn(2, 2, 50)
    references[0, 0] = 0
    references[1] = 0
    loss = losses.MIXTURE_AWARE[name](estimates, references, references.sum(1))
    loss.mean().backward()
    assert loss.isfinite().all()
    assert estimates.grad.isfinite().all()


def brute_sa_sdr(estimates, references):
    """The lowest over all orders, each by the definition."""
    return min(
        -10
        * np.log10(
            float(references.square().sum())
            / float((estimates[list(order)] - references).square().sum())
        )
        for order in permutations(range(len(references)))
    )


@pytest.mark.parametrize("n", [2, 3])
def test_sa_sdr_is_the_definition_in_the_order_of_least_error(n):
    estimates, references = random_audio(n=n)
    references[0, 0] = 0  # a talker who says nothing
    errors, _ = losses.pit(losses.WAVEFORM["sa-sdr"](estimates, references))
    ours = losses.sa_sdr(errors, references)
    for item in range(3):
        expected = brute_sa_sdr(estimates[item], references[item])
        assert float(ours[item]) == pytest.approx(expected, abs=1e-6)


def test_sa_sdr_of_silence_alone_is_finite():
    references = torch.zeros(2, 2, 50)
    for gain in (0.0, 1.0):
        estimates = (gain * torch.ones_like(references)).requires_grad_()
        errors, _ = losses.pit(losses.WAVEFORM["sa-sdr"](estimates, references))
        loss = losses.sa_sdr(errors, references)
        loss.sum().backward()
        assert loss.isfinite().all()
        assert estimates.grad.isfinite().all()
    assert not losses.sa_sdr(torch.zeros(2), references).any()

"""Losses for separated sources, permutation-invariant for each mixture or for a batch.

A pair loss scores every estimate against every reference; `pit` then picks the cheapest
assignment. Spectra are (B, 2N, F, T) maps, audio (B, N, S). All losses are lower for better.
"""

from collections.abc import Callable
from functools import cache
from itertools import permutations

import torch
import torch.nn.functional as F
from torch import Tensor

from cplxsep.config.choices import Per

# Sums a tensor over the processes that share a batch, with its gradient; one process has all.
Total = Callable[[Tensor], Tensor]
EPS = 1e-8
SATURATED = 1e-3  # error over energy below which `snr_pairs` gains nothing more: 30 dB


def identity(tensor: Tensor) -> Tensor:
    """The `Total` of a process that has the whole batch."""
    return tensor


def pit(pairwise: Tensor, per: Per = "mixture", total: Total = identity) -> tuple[Tensor, Tensor]:
    """Cheapest assignment of a (B, N, N) matrix [estimate, reference].

    Returns the mean loss over sources (B,) and, for each reference, its estimate (B, N).
    All N! permutations are tried, on the device and without loops over B. Per "batch", all
    mixtures share the one that is cheapest for their sum, as in the published code (SPEC 7.3).
    """
    orders, places = _orders(pairwise.shape[-1], pairwise.device)
    scores = pairwise.flatten(1).index_select(1, places.flatten())
    totals = scores.unflatten(1, places.shape).mean(dim=-1)
    if per == "batch":
        best = total(totals.detach().sum(dim=0)).argmin().expand(len(totals))
    else:
        best = totals.argmin(dim=-1)
    return totals.gather(1, best[:, None]).squeeze(1), orders[best]


@cache
def _orders(n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """All orders of n (N!, N), and where their pairs lie in a flat matrix [estimate, reference].

    Kept: to bring them to a GPU its host would wait in each step.
    """
    with torch.inference_mode(False):
        orders = torch.tensor(list(permutations(range(n))))
        return orders.to(device), (n * orders + torch.arange(n)).to(device)


def si_sdr_pairs(estimates: Tensor, references: Tensor) -> Tensor:
    """Negative SI-SDR in dB (B, N, N) of audio (B, N, S) (Le Roux et al. 2019, eq. 5)."""
    estimates = estimates - estimates.mean(dim=-1, keepdim=True)
    references = references - references.mean(dim=-1, keepdim=True)
    dot = estimates @ references.mT
    est = estimates.square().sum(-1)[:, :, None]
    ref = references.square().sum(-1)[:, None, :]
    target = dot.square() / (ref + EPS)
    noise = (est - target).clamp_min(0)
    return -10 * torch.log10((target + EPS) / (noise + EPS))


def snr_pairs(estimates: Tensor, references: Tensor, mixtures: Tensor) -> Tensor:
    """Negative SNR in dB (B, N, N), level included, that saturates at 30 dB.

    For a silent reference it is how far the estimate lies under the mixture (B, S), down to
    30 dB (Wisdom et al. 2021, "What's all the fuss about free universal sound separation
    data?", eq. 4 and 5), so that noise without speech teaches silence.
    """
    error = (estimates.unsqueeze(2) - references.unsqueeze(1)).square().sum(-1)
    energy = references.square().sum(-1).unsqueeze(1)
    mixture = mixtures.square().sum(-1)[:, None, None]
    target = torch.where(energy > 0, energy, mixture) + EPS
    return 10 * torch.log10(error / target + SATURATED)


def floored_snr_pairs(estimates: Tensor, references: Tensor, mixtures: Tensor) -> Tensor:
    """Negative SNR in dB (B, N, N) with a floor 30 dB under the mixture (B, S) in error and source.

    10 log10((|s - e|^2 + m) / (|s|^2 + m)), m a thousandth of |mixture|^2 (TEMPORAL.md section 5).
    A silent reference is no special case, and a nearly silent one asks for no more: `snr_pairs`
    has its floor 30 dB under each source, however faint, and goes by the mixture only where a
    reference is zero throughout.
    """
    error = (estimates.unsqueeze(2) - references.unsqueeze(1)).square().sum(-1)
    energy = references.square().sum(-1).unsqueeze(1)
    floor = SATURATED * mixtures.square().sum(-1)[:, None, None] + EPS
    return 10 * torch.log10((error + floor) / (energy + floor))


def sa_sdr(errors: Tensor, references: Tensor) -> Tensor:
    """Negative source-aggregated SDR in dB (B,): one logarithm for all sources together.

    -10 log10(sum |s_n|^2 / sum |s_n - e_n|^2) (von Neumann et al. 2022, "SA-SDR: a novel loss
    function for separation of meeting style data"), so that a silent source needs no care.

    Args:
        errors: squared errors (B,) of the best assignment, means over sources and samples.
        references: (B, N, S).
    """
    return 10 * torch.log10((errors + EPS) / (references.square().flatten(1).mean(1) + EPS))


def wsdr_pairs(estimates: Tensor, references: Tensor, mixtures: Tensor) -> Tensor:
    """Weighted SDR loss (B, N, N), between -1 and 1 (Choi et al. 2019, DCUNet, section 3.3).

    The cosine of the source and that of what is left of the mixture (B, S), each weighted by its
    share of the references' energies.
    """
    mixtures = mixtures.unsqueeze(1)
    rest = references - mixtures
    own, other = references.square().sum(-1), rest.square().sum(-1)
    share = (own / (own + other).clamp_min(EPS)).unsqueeze(1)
    source = cosine_pairs(estimates, references)
    return share * source + (1 - share) * cosine_pairs(estimates - mixtures, rest)


def l2_pairs(estimates: Tensor, references: Tensor) -> Tensor:
    """Mean squared difference (B, N, N) of (B, N, ...) tensors, time or frequency."""
    difference = estimates.unsqueeze(2) - references.unsqueeze(1)
    return difference.square().flatten(3).mean(dim=-1)


def cosine_pairs(estimates: Tensor, references: Tensor) -> Tensor:
    """Minus the cosine of the angle between signals (B, N, S): (B, N, N) (paper eq. 5)."""
    dot = estimates @ references.mT
    norms = estimates.norm(dim=-1)[:, :, None] * references.norm(dim=-1)[:, None, :]
    return -dot / norms.clamp_min(EPS)


def csim_pairs(
    estimates: Tensor, references: Tensor, real_weight: float = 1.0, imag_weight: float = 1e4
) -> Tensor:
    """CSimLoss (B, N, N) of complex spectra as (B, N, 2, F, T) (paper section 4, eq. 7).

    -real_weight * Re<x|y>/(|x||y|) + imag_weight * (Im<x|y>/(|x||y|))^2 for each signal pair.
    """
    est, ref = estimates.flatten(3), references.flatten(3)
    real = torch.einsum("nick,njck->nij", est, ref)
    est_r, est_i = est.unbind(2)
    ref_r, ref_i = ref.unbind(2)
    imag = est_i @ ref_r.mT - est_r @ ref_i.mT
    norms = est.flatten(2).norm(dim=-1)[:, :, None] * ref.flatten(2).norm(dim=-1)[:, None, :]
    norms = norms.clamp_min(1e-4)
    return -real_weight * real / norms + imag_weight * (imag / norms).square()


def csim_code_pairs(
    estimates: Tensor,
    references: Tensor,
    real_weight: float = 1.0,
    imag_weight: float = 1e4,
    total: Total = identity,
) -> Tensor:
    """The published code's CSim: squares per bin before summing, norms over the whole batch.

    Differs from the paper's equation (SPEC section 7.2); (B, N, N) of (B, N, 2, F, T).
    """
    norms = _batch_norms(estimates, references, total).clamp_min(1e-4)
    est_r, est_i = estimates.flatten(3).unsqueeze(2).unbind(3)
    ref_r, ref_i = references.flatten(3).unsqueeze(1).unbind(3)
    real = (est_r * ref_r + est_i * ref_i).sum(-1) / norms
    imag = ((est_r * ref_i - est_i * ref_r) / norms[..., None]).square().sum(-1)
    return _batch_size(estimates, total) * (-real_weight * real + imag_weight * imag)


def code_inverse_stft(spectra: Tensor) -> Tensor:
    """The published code's inexact inverse STFT: (..., 2, F, T) to (..., 2, S), complex audio.

    Each frame's F bins and their conjugates in reverse but for the first make 2F - 1 (the last of
    F is there twice, SPEC section 5); these go through a unitary inverse DFT and are added up
    with a hop of F - 1, half a window, without window or division. F - 1 samples are cut off at
    each end.
    """
    bins, frames = spectra.shape[-2:]
    hop = bins - 1
    half = torch.complex(*spectra.movedim(-3, 0))
    whole = torch.cat([half, half[..., 1:, :].conj().flip(-2)], dim=-2)
    pieces = torch.fft.ifft(whole, dim=-2, norm="ortho").mT
    # The one sample by which a piece is longer than two hops reaches into the next but one.
    blocks = F.pad(pieces, (0, 3 * hop - pieces.shape[-1])).unflatten(-1, (3, hop))
    added = [F.pad(blocks[..., part, :], (0, 0, part, 2 - part)) for part in range(3)]
    audio = torch.view_as_real(sum(added[1:], added[0]).flatten(-2)).movedim(-1, -2)
    return audio[..., hop : hop * frames + 1]


def l2_time_code_pairs(estimates: Tensor, references: Tensor) -> Tensor:
    """The published code's L2time (B, N, N) of spectra (B, N, 2, F, T) (SPEC 7.14)."""
    return l2_pairs(code_inverse_stft(estimates), code_inverse_stft(references))


def cos_time_code_pairs(estimates: Tensor, references: Tensor, total: Total = identity) -> Tensor:
    """The published code's costime (B, N, N) of spectra (B, N, 2, F, T), with batch-wide norms."""
    est, ref = (code_inverse_stft(spectra).flatten(2) for spectra in (estimates, references))
    norms = _batch_norms(est, ref, total).clamp_min(EPS)
    return -_batch_size(est, total) * (est @ ref.mT) / norms


def _batch_norms(estimates: Tensor, references: Tensor, total: Total) -> Tensor:
    """Norms over the whole batch (B, N, ...) of each estimate times each reference (N, N)."""
    est, ref = (t.square().transpose(0, 1).flatten(1).sum(-1) for t in (estimates, references))
    est, ref = total(torch.stack([est, ref])).clamp_min(EPS**2).sqrt()  # slope at 0 is infinite
    return est[:, None] * ref[None, :]


def _batch_size(estimates: Tensor, total: Total) -> Tensor:
    """Mixtures of the whole batch: the factor from the code's sum over it to our mean."""
    return total(torch.full((), float(estimates.shape[0]), device=estimates.device))


def magnitude_distance(
    estimates: Tensor, references: Tensor, windows: tuple[int, ...] = (256, 512, 1024)
) -> Tensor:
    """Multi-resolution distance (B,) of compressed STFT magnitudes of audio (B, N, S).

    Mean squared difference of magnitudes to the power 0.3, over three window lengths in samples
    with a hop of a quarter: loud and faint parts count as a listener weighs them.
    """
    signals = torch.stack([estimates, references]).flatten(1, 2)
    total = estimates.new_zeros(estimates.shape[0])
    for length in windows:
        window = torch.hann_window(length, device=signals.device)
        spectra = torch.stft(
            signals.flatten(0, 1),
            length,
            length // 4,
            window=window / window.norm(),
            return_complex=True,
        )
        # The small constant bounds the root's slope at silence.
        power = spectra.real.square() + spectra.imag.square() + 1e-6
        compressed = (power**0.15).unflatten(0, (2, estimates.shape[0], -1))
        total = total + (compressed[0] - compressed[1]).square().flatten(1).mean(1)
    return total / len(windows)


SPECTRAL: dict[str, Callable[..., Tensor]] = {
    "l2-freq": l2_pairs,
    "csim": csim_pairs,
    "csim-code": csim_code_pairs,
    "l2-time-code": l2_time_code_pairs,
    "cos-time-code": cos_time_code_pairs,
}
WAVEFORM: dict[str, Callable[..., Tensor]] = {
    "si-sdr": si_sdr_pairs,
    "l2-time": l2_pairs,
    "cos-time": cosine_pairs,
    "sa-sdr": l2_pairs,
}
# These take a `Total`: they are of the batch as a whole.
BATCH_WIDE = {"csim-code", "cos-time-code"}
# These see the mixture too.
MIXTURE_AWARE: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "snr": snr_pairs,
    "floored-snr": floored_snr_pairs,
    "wsdr": wsdr_pairs,
}
# What makes the loss of a mixture of the mean of its sources' after their assignment.
TOGETHER: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"sa-sdr": sa_sdr}
# These leave the level of an estimate open.
LEVEL_FREE = {"si-sdr", "csim", "csim-code", "cos-time", "cos-time-code"}

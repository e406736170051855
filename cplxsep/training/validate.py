"""Quality on a fixed set of validation mixtures."""

import torch

from cplxsep.losses import pit, si_sdr_pairs
from cplxsep.networks.model import SeparationModel
from cplxsep.training.batches import Examples


@torch.inference_mode()
def si_sdr_improvement(
    model: SeparationModel,
    examples: Examples,
    count: int,
    batch: int,
    *,
    device: torch.device,
    autocast: torch.dtype | None,
) -> float:
    """Mean SI-SDR improvement in dB over `count` examples, best permutation of each."""
    model.eval()
    total = 0.0
    for first in range(0, count, batch):
        pairs = [examples.example(index) for index in range(first, min(first + batch, count))]
        mixtures = torch.stack([torch.from_numpy(mixture) for mixture, _ in pairs]).to(device)
        sources = torch.stack([torch.from_numpy(source) for _, source in pairs]).to(device)
        with torch.autocast(device.type, autocast, enabled=autocast is not None):
            spectra = model.spectra(mixtures)
        estimates = model.stft.inverse(spectra.float(), mixtures.shape[-1])
        after, _ = pit(si_sdr_pairs(estimates, sources))
        before, _ = pit(si_sdr_pairs(mixtures.unsqueeze(1).expand_as(sources), sources))
        total += float((before - after).sum())
    model.train()
    return total / count

"""Quality on a fixed set of validation mixtures."""

from collections.abc import Callable

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
    stop: Callable[[], bool] = lambda: False,
) -> float:
    """Mean SI-SDR improvement in dB over `count` examples, best permutation of each.

    `stop` is asked before each batch; when it says so, the mean is over what was done.
    """
    model.eval()
    total, done = 0.0, 0
    for first in range(0, count, batch):
        if done and stop():
            break
        pairs = [examples.example(index) for index in range(first, min(first + batch, count))]
        mixtures = torch.stack([torch.from_numpy(mixture) for mixture, _ in pairs]).to(device)
        sources = torch.stack([torch.from_numpy(source) for _, source in pairs]).to(device)
        with torch.autocast(device.type, autocast, enabled=autocast is not None):
            spectra = model.spectra(mixtures)
        estimates = model.stft.inverse(spectra.float(), mixtures.shape[-1])
        after, _ = pit(si_sdr_pairs(estimates, sources))
        before, _ = pit(si_sdr_pairs(mixtures.unsqueeze(1).expand_as(sources), sources))
        total += float((before - after).sum())
        done += len(pairs)
    model.train()
    return total / done

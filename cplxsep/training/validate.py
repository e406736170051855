"""Quality on a fixed set of validation mixtures."""

from collections.abc import Callable

import torch

from cplxsep.data.rounds import stack
from cplxsep.losses import pit, si_sdr_pairs
from cplxsep.networks.model import SeparationModel
from cplxsep.training.batches import Examples
from cplxsep.training.distributed import Ranks


@torch.inference_mode()
def si_sdr_improvement(
    model: SeparationModel,
    examples: Examples,
    count: int,
    batch: int,
    *,
    ranks: Ranks,
    autocast: torch.dtype | None,
    stop: Callable[[], bool],
) -> float | None:
    """Mean SI-SDR improvement in dB over `count` examples, best permutation of each.

    Several processes take every so manieth. None when `stop` came true before the end.
    """
    own = range(ranks.rank, count, ranks.count)
    total = 0.0
    for first in range(0, len(own), batch):
        # Several processes must all stop at the same place: after the next step.
        if ranks.count == 1 and stop():
            return None
        pairs = [examples.example(index) for index in own[first : first + batch]]
        mixtures, sources = (torch.from_numpy(part).to(ranks.device) for part in stack(pairs))
        with torch.autocast(ranks.device.type, autocast, enabled=autocast is not None):
            found = model.estimate(mixtures)
        estimates = found.as_audio()
        after, _ = pit(si_sdr_pairs(estimates, sources))
        before, _ = pit(si_sdr_pairs(mixtures.unsqueeze(1).expand_as(sources), sources))
        total += float((before - after).sum())
    return ranks.sum(total) / count

"""Quality on a fixed set of validation mixtures."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cplxsep.data.rounds import stack
from cplxsep.errors import InputError
from cplxsep.losses import pit, si_sdr_pairs
from cplxsep.metrics.assignment import closest
from cplxsep.metrics.isolation import isolation, talking
from cplxsep.networks.model import SeparationModel
from cplxsep.training.batches import Examples
from cplxsep.training.distributed import Ranks
from cplxsep.training.stop import Stopped

_LEAST_SECONDS = 0.5  # of several who talk, for a score of that part


@dataclass(frozen=True)
class Quality:
    """Means over the validation mixtures, in dB.

    `si_sdr_i` is the SI-SDR improvement; of conversations where several talk, one order of the
    outputs for the whole. `isolation` is how far a talker who speaks alone is down in the other
    outputs; None where nobody does.
    """

    si_sdr_i: float
    isolation: float | None = None


@torch.inference_mode()
def validate(
    model: SeparationModel,
    examples: Examples,
    count: int,
    batch: int,
    *,
    conversations: bool,
    ranks: Ranks,
    autocast: torch.dtype | None,
    stop: Callable[[], bool],
) -> Quality:
    """Quality over `count` examples, best permutation of each.

    A mixture in which a talker is silent is left out, for SI-SDR means nothing of silence. Several
    processes take every so manieth. Stopped: `stop` came true before the end. InputError: none of
    them can be scored.
    """
    own = range(ranks.rank, count, ranks.count)
    sums = np.zeros(4)  # improvement and isolation, each with what it is a sum of
    for first in range(0, len(own), batch):
        # Several processes must all stop at the same place: after the next step.
        if ranks.count == 1 and stop():
            raise Stopped
        pairs = [examples.example(index) for index in own[first : first + batch]]
        mixtures, sources = (torch.from_numpy(part).to(ranks.device) for part in stack(pairs))
        with torch.autocast(ranks.device.type, autocast, enabled=autocast is not None):
            found = model.estimate(mixtures)
        estimates = found.as_audio()
        if conversations:
            for parts in zip(mixtures, sources, estimates, strict=True):
                sums += _of_conversation(*parts, model.sample_rate)
        else:
            heard = sources.any(dim=-1).all(dim=-1)
            gains = _improvement(mixtures[heard], sources[heard], estimates[heard])
            sums += [float(gains.sum()), len(gains), 0.0, 0.0]
    gain, scored, apart, lone = (float(ranks.sum(float(value))) for value in sums)
    if not scored and not conversations:
        raise InputError(
            "in none of the mixtures for validation all talkers are heard: raise "
            "data.valid_seconds, or set data.mixtures to others"
        )
    if not scored:
        raise InputError(
            "in none of the conversations for validation several talk at once: raise "
            "conversation.overlap or data.valid_mixtures, or lower conversation.alone"
        )
    return Quality(gain / scored, apart / lone if lone else None)


def _improvement(mixtures: Tensor, sources: Tensor, estimates: Tensor) -> Tensor:
    """Mean SI-SDR improvement (B,) of (B, N, S) in the best order."""
    after, _ = pit(si_sdr_pairs(estimates, sources))
    before, _ = pit(si_sdr_pairs(mixtures.unsqueeze(1).expand_as(sources), sources))
    return before - after


def _of_conversation(
    mixture: Tensor, sources: Tensor, estimates: Tensor, sample_rate: int
) -> list[float]:
    """Sums and numbers as in `validate`, of one conversation: (S,), (N, S) and (N, S)."""
    references, found = sources.cpu().numpy(), estimates.float().cpu().numpy()
    ordered = found[closest(references, found)]
    apart = [value for value in isolation(references, ordered, sample_rate) if value is not None]
    who = talking(references, sample_rate)
    gain = []
    if who.together.sum() * who.frame >= _LEAST_SECONDS * sample_rate:
        heard_there = who.speaks[:, who.together].any(axis=1)
        parts = (mixture.cpu().numpy()[None], references[heard_there], ordered[heard_there])
        heard, said, separated = (torch.from_numpy(who.cut(part, who.together)) for part in parts)
        after = si_sdr_pairs(separated[None], said[None]).diagonal(dim1=1, dim2=2)
        before = si_sdr_pairs(heard.expand_as(said)[None], said[None]).diagonal(dim1=1, dim2=2)
        gain = [float((before - after).mean())]
    return [sum(gain), len(gain), sum(apart), len(apart)]

"""Pieces of recordings from a device's memory, at any speed, laid into rows of silence."""

import math

import torch
from torch import Tensor

from cplxsep.data.drawing.pieces import Pieces
from cplxsep.data.on_device.memory import on

# Samples on both sides that one between them is made of: 66 dB over the error up to 0.7 of the
# band, 44 dB up to 0.9.
_REACH = 12


def read(audio: Tensor, pieces: Pieces, rows: int, samples: int) -> Tensor:
    """Rows (rows, samples), float32, of the pieces of int16 audio (S,), which do not overlap."""
    device = audio.device
    laid = torch.zeros(rows * samples, device=device)
    total = int(pieces.numbers[1].sum())
    if total:
        numbers = on(device, pieces.numbers)
        counts = numbers[1]
        each = torch.arange(len(counts), device=device)
        own = torch.repeat_interleave(each, counts, output_size=total)
        place, count, origin, wide, first, fade, length = (row[own] for row in numbers)
        at = torch.arange(total, device=device) - (counts.cumsum(0) - counts)[own]
        value = on(device, pieces.gains)[own]
        if pieces.numbers[5].any():
            edge = torch.minimum(at, length - 1 - at).float() / fade.clamp(min=1)
            value *= torch.where(fade > 0, edge.clamp(max=1.0), 1.0)
        del count, fade, length
        if (pieces.speeds == 1.0).all():
            value *= audio[origin + first + at]
        else:
            speed = on(device, pieces.speeds)[own]
            value *= _between(audio, origin, wide, (first + at) * speed, speed.float())
        laid[place + at] = value
    return laid.view(rows, samples)


def _between(audio: Tensor, origin: Tensor, wide: Tensor, time: Tensor, speed: Tensor) -> Tensor:
    """Audio (K,) at times in samples after `origin`, with no more band than its speed leaves.

    By a windowed sinc; before and after the `wide` samples from there on the outermost one stays.
    """
    whole = time.floor()
    rest = (time - whole).float()
    at = whole.long()
    band = speed.reciprocal().clamp(max=1.0)
    total = torch.zeros_like(rest)
    last = wide - 1
    for offset in range(1 - _REACH, _REACH + 1):
        u = rest - offset
        weight = torch.sinc(u * band)
        weight *= torch.cos(u * (math.pi / (2 * _REACH + 0.5))).square_()
        near = (at + offset).clamp_(min=0).minimum(last)
        total += audio[near.add_(origin)] * weight
    return total * band

"""Decoded audio in a device's memory."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from cplxsep.audio.level import frame_of
from cplxsep.data.cache import SpeechCache
from cplxsep.data.drawing.sketch import Sketch
from cplxsep.data.noise_source import NoiseSource

_AT_ONCE = 1 << 24  # samples on their way


def speech_in(cache: SpeechCache, sample_rate: int, device: torch.device) -> tuple[Tensor, Sketch]:
    """All samples of a cache, int16 (S,), and how loud they are."""
    frame = frame_of(sample_rate)
    step = frame * max(_AT_ONCE // frame, 1)
    total = len(cache.samples)
    parts = (np.array(cache.samples[at : at + step]) for at in range(0, total, step))
    samples = _filled(parts, total, device)
    powers = [
        part[: len(part) // frame * frame].view(-1, frame).float().square().mean(1).cpu().numpy()
        for part in samples.split(step)
    ]
    found = np.concatenate(powers)
    if not found.size:  # less than a frame in all
        found = np.square(cache.levels[:1])
    return samples, Sketch(cache.starts, cache.levels, found, frame)


def noise_in(source: NoiseSource, device: torch.device) -> Tensor:
    """What sounds in all recordings of noise, end to end, int16 (S,)."""
    parts = (source.sounding(index) for index in range(len(source.lengths)))
    return _filled(parts, sum(source.lengths), device)


def _filled(parts: Iterable[np.ndarray], total: int, device: torch.device) -> Tensor:
    samples = torch.empty(total, dtype=torch.int16, device=device)
    at = 0
    for part in parts:
        samples[at : at + len(part)] = torch.from_numpy(part)
        at += len(part)
    return samples


def on(device: torch.device, values: np.ndarray) -> Tensor:
    """Values on the device, where the host need not wait for what the device still has to do."""
    tensor = torch.from_numpy(values)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)

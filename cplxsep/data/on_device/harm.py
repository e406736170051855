"""What channels and recorders do to examples, on a device: data/damage.py but for its coders."""

import numpy as np
import torch
from torch import Tensor

from cplxsep.data.drawing.harms import Harms
from cplxsep.data.on_device.levels import gain_of, ratio
from cplxsep.data.on_device.memory import on


def spoil(
    mixture: Tensor, references: Tensor, harms: Harms, sample_rate: int
) -> tuple[Tensor, Tensor]:
    """Mixtures (B, S) and references (B, N, S), in place, as Damage has them one by one."""
    device = mixture.device
    if len(harms.narrowed):
        rows = on(device, harms.narrowed)
        both = torch.cat([mixture[rows, None], references[rows]], 1)
        both = _narrow(both, sample_rate, on(device, harms.bands))
        mixture[rows], references[rows] = both[:, 0], both[:, 1:]
    if harms.offsets.any():
        mixture += (on(device, harms.offsets) * mixture.abs().amax(1))[:, None]
    if len(harms.hummed):
        rows = on(device, harms.hummed)
        own = mixture[rows]
        mixture[rows] = own + _hum(own, sample_rate, on(device, harms.hums))
    if np.isfinite(harms.clips).any():
        # Of silence the limit would be no number.
        limits = (on(device, harms.clips) * mixture.abs().amax(1)).nan_to_num()[:, None]
        mixture = mixture.clamp(-limits, limits)
    return mixture, references


def _narrow(signals: Tensor, sample_rate: int, bands: Tensor) -> Tensor:
    """As damage.narrow: signals (K, N, S) by bands (2, K)."""
    samples = signals.shape[-1]
    hertz = torch.fft.rfftfreq(samples, 1 / sample_rate, device=signals.device)
    low, high = bands[:, :, None]
    gain = ((1.1 * high - hertz) / (0.2 * high)).clamp(0, 1)
    floor = ((hertz - 0.8 * low) / (0.4 * low).clamp(min=1e-3)).clamp(0, 1)
    gain = gain * torch.where(low > 0, floor, 1.0)
    return torch.fft.irfft(torch.fft.rfft(signals).mul_(gain[:, None]), samples)


def _hum(mixtures: Tensor, sample_rate: int, hums: Tensor) -> Tensor:
    """As damage.sound_of: hum (K, S) for mixtures (K, S)."""
    base, decibels = hums[:2, :, None]
    amplitudes, phases = hums[2:].chunk(2)
    time = torch.arange(mixtures.shape[1], dtype=torch.float64, device=hums.device) / sample_rate
    sound = torch.zeros_like(mixtures)
    for order, (amplitude, phase) in enumerate(zip(amplitudes, phases, strict=True), 1):
        turns = base * order * time + phase[:, None] / (2 * torch.pi)
        tone = torch.cos(2 * torch.pi * (turns - turns.floor()).float())
        sound += amplitude[:, None].float() * tone
    level, own = (x.square().mean(1, keepdim=True).sqrt() for x in (mixtures, sound))
    return sound * ratio(level * gain_of(decibels.float()), own)

"""Room responses in a device's memory, and speech in them."""

from collections.abc import Sequence

import numpy as np
import scipy
import torch
from torch import Tensor

from cplxsep.config.data import Reference
from cplxsep.data.rooms import direct_of, early_samples


class Rooms:
    """Responses (R, L), filled up with zeros to the longest."""

    def __init__(
        self, responses: Sequence[np.ndarray], sample_rate: int, device: torch.device
    ) -> None:
        longest = max(map(len, responses))
        filled = np.zeros((len(responses), longest), np.float32)
        for row, response in zip(filled, responses, strict=True):
            row[: len(response)] = response
        lags, peaks = zip(*(direct_of(own, sample_rate) for own in responses), strict=True)
        self._responses = torch.from_numpy(filled).to(device)
        self._lags = torch.tensor(lags, device=device)
        self._peaks = torch.tensor(peaks, dtype=torch.float32, device=device)
        self._early = early_samples(sample_rate)

    def __call__(self, dry: Tensor, which: Tensor, reference: Reference) -> tuple[Tensor, Tensor]:
        """Speech (K, S) in rooms by their numbers (K,): as it arrives, and its reference."""
        samples = dry.shape[1]
        length = scipy.fft.next_fast_len(samples + self._responses.shape[1] - 1, real=True)
        spectra = torch.fft.rfft(dry, length)

        def through(responses: Tensor) -> Tensor:
            there = torch.fft.rfft(responses, length).mul_(spectra)
            return torch.fft.irfft(there, length)[:, :samples]

        responses = self._responses[which]
        wet = through(responses)
        if reference == "heard":
            return wet, wet
        if reference == "early":
            return wet, through(responses[:, : self._early])
        at = torch.arange(samples, device=dry.device) - self._lags[which][:, None]
        delayed = dry.gather(1, at.clamp(min=0)) * (at >= 0)
        return wet, delayed * self._peaks[which][:, None]

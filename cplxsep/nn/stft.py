"""Short-time Fourier transform of (B, S) audio to complex maps (B, 2, F, T) and back."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.nn.pairs import from_complex, to_complex

Edges = Literal["reflect", "zeros"]


class STFT(nn.Module):
    """Centred STFT with a periodic Hann window, unnormalised, and its exact inverse.

    Every sample is covered by two windows. The inverse divides by the summed squared windows: a
    true inverse to float precision.

    Args:
        window: window and FFT length in samples; F = window // 2 + 1 bins.
        hop: samples between frames; at most half the window.
        edges: what is beyond the audio. "reflect" follows SPEC section 2: one hop of zeros is
            appended, then half a window is mirrored at each end, so T = 1 + (S + hop) // hop.
            "zeros" (TEMPORAL.md section 2): zeros up to a multiple of the stride and half a window
            at each end, so T = 1 + steps * ceil(S / stride).
        steps: hops to a stride, with "zeros"; every so many frames are an STFT of that hop.
    """

    hann: Tensor

    def __init__(
        self, window: int = 256, hop: int = 128, edges: Edges = "reflect", steps: int = 1
    ) -> None:
        super().__init__()
        if not 0 < hop <= window // 2:
            raise ValueError(f"hop {hop} must be positive and at most half the window {window}")
        self.window = window
        self.hop = hop
        self.edges = edges
        self.steps = steps
        self.register_buffer("hann", torch.hann_window(window), persistent=False)

    @property
    def bins(self) -> int:
        """Number of frequency bins F."""
        return self.window // 2 + 1

    @property
    def stride(self) -> int:
        """Samples of all steps together."""
        return self.steps * self.hop

    def frames(self, samples: int) -> int:
        """Number of frames T of a signal of ``samples``."""
        if self.edges == "zeros":
            return 1 - self.steps * (-samples // self.stride)
        return 1 + (samples + self.hop) // self.hop

    def forward(self, audio: Tensor) -> Tensor:
        """Maps (B, 2, F, T) of audio (B, S)."""
        edge = self.window // 2
        if self.edges == "zeros":
            padded = F.pad(audio, (edge, edge - audio.shape[-1] % -self.stride))
        else:
            padded = F.pad(audio, (0, self.hop))
            # Reflection needs more samples than it mirrors; very short signals get zeros for the
            # rest.
            mirrored = min(edge, padded.shape[-1] - 1)
            padded = F.pad(padded.unsqueeze(1), (mirrored, mirrored), mode="reflect").squeeze(1)
            padded = F.pad(padded, (edge - mirrored, edge - mirrored))
        spectrum = torch.stft(
            padded, self.window, self.hop, window=self.hann, center=False, return_complex=True
        )
        return from_complex(spectrum.unsqueeze(1))

    def of_sources(self, audio: Tensor) -> Tensor:
        """Maps (B, 2N, F, T) of audio (B, N, S)."""
        maps = self(audio.flatten(0, 1)).unflatten(0, audio.shape[:2])
        return maps.transpose(1, 2).flatten(1, 2)

    def inverse(self, maps: Tensor, samples: int) -> Tensor:
        """Audio (B, C, S) of maps (B, 2C, F, T), cut to ``samples``."""
        spectrum = to_complex(
            maps.float() if maps.dtype in (torch.bfloat16, torch.float16) else maps
        )
        # torch.istft's own operators, without its look at the sums of windows: on a GPU the host
        # would wait there, and no graph could hold it.
        frames = torch.fft.irfft(spectrum.flatten(0, 1).mT, self.window) * self.hann
        windows = self._added(self.hann.square().expand(1, *frames.shape[1:]), samples)
        return (self._added(frames, samples) / windows).unflatten(0, spectrum.shape[:2])

    def _added(self, frames: Tensor, samples: int) -> Tensor:
        """Frames (B, T, window) laid over each other, a hop apart: (B, samples) from the middle of
        the first on.
        """
        parts, size = -(-self.window // self.hop), self.window + self.hop * (frames.shape[1] - 1)
        whole = F.pad(frames, (0, parts * self.hop - self.window)).unflatten(-1, (parts, -1))
        laid = [F.pad(whole[:, :, i], (0, 0, i, parts - 1 - i)) for i in range(parts)]
        return sum(laid[1:], laid[0]).flatten(1)[:, self.window // 2 : size][:, :samples]

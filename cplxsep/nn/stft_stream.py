"""The STFT and its inverse of a signal that comes in blocks."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cplxsep.nn.pairs import from_complex, to_complex
from cplxsep.nn.stft import STFT


class STFTStream:
    """Frames of `stft`, whose edges are zeros, as they become complete, and audio of frames.

    A frame is complete half a window behind its middle; a sample of audio is, when no later frame
    has a part in it: a window, at most, behind the input.
    """

    def __init__(self, stft: STFT) -> None:
        assert stft.edges == "zeros"
        self._stft = stft
        self._given = 0  # samples
        self._found = -(stft.window // 2)  # the first half window is of no audio
        self._held = stft.hann.new_zeros(1, stft.window // 2)
        self._sums: Tensor | None = None  # of frames' audio and of squared windows, not complete

    def frames(self, audio: Tensor, last: bool = False) -> Tensor:
        """Maps (B, 2, F, T) of the frames that audio (B, S) completes, all if it is the last."""
        stft = self._stft
        self._given += audio.shape[-1]
        if last:
            audio = F.pad(audio, (0, stft.window // 2 - self._given % -stft.hop))
        held = torch.cat([self._held.expand(len(audio), -1), audio], dim=-1)
        count = max((held.shape[-1] - stft.window) // stft.hop + 1, 0)
        self._held = held[:, count * stft.hop :]
        if not count:
            return held.new_zeros(len(held), 2, stft.bins, 0)
        spectrum = torch.stft(
            held[:, : (count - 1) * stft.hop + stft.window],
            stft.window,
            stft.hop,
            window=stft.hann,
            center=False,
            return_complex=True,
        )
        return from_complex(spectrum.unsqueeze(1))

    def audio(self, maps: Tensor, last: bool = False) -> Tensor:
        """Audio (B, C, S) that the next frames, maps (B, 2C, F, T), complete."""
        stft, frames = self._stft, maps.shape[-1]
        overlap = stft.window - stft.hop
        sums = maps.new_zeros(len(maps), maps.shape[1] // 2 + 1, frames * stft.hop + overlap)
        if self._sums is not None:
            sums[..., :overlap] = self._sums
        if frames:
            parts = torch.fft.irfft(to_complex(maps.float()), stft.window, dim=2)
            weights = stft.hann.square()[:, None].expand(len(maps), 1, -1, frames)
            windows = torch.cat([parts * stft.hann[:, None], weights], dim=1)
            folded = F.fold(
                windows.flatten(0, 1), (1, sums.shape[-1]), (1, stft.window), stride=(1, stft.hop)
            )
            sums += folded.view_as(sums)
        complete = sums.shape[-1] if last else frames * stft.hop
        self._sums = sums[..., complete:]
        return self._cut(sums[:, :-1, :complete] / sums[:, -1:, :complete].clamp_min(1e-11), last)

    def _cut(self, audio: Tensor, last: bool) -> Tensor:
        """Without what lies before the signal's beginning and, at the last, behind its end."""
        skipped = max(-self._found, 0)
        begin, self._found = self._found, self._found + audio.shape[-1]
        end = self._given - begin if last else audio.shape[-1]
        return audio[..., skipped:end]

"""The whole model, from waveform to waveforms: STFT, level, network, inverse STFT."""

import copy
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.config import ModelConfig
from cplxsep.networks.blocks import Algebra, ComplexAlgebra, RealAlgebra
from cplxsep.networks.dual_path import DualPathNetwork
from cplxsep.networks.heads import Extractor, MaskHead
from cplxsep.networks.tasnet import TasNet
from cplxsep.networks.unet import UNet
from cplxsep.nn.clipping import Clip
from cplxsep.nn.stft import STFT

RIDGE = 1e-3


@dataclass
class Estimates:
    """Sources as a model gives them, at the mixture's level; each form is made when asked for.

    Args:
        stft: between the two forms.
        samples: length of the audio.
        spectra, audio: (B, 2N, F, T) and (B, N, S), one of them.
    """

    stft: STFT
    samples: int
    spectra: Tensor | None = None
    audio: Tensor | None = None

    def as_spectra(self) -> Tensor:
        """Spectrograms (B, 2N, F, T)."""
        if self.spectra is None:
            assert self.audio is not None
            self.spectra = self.stft.of_sources(self.audio)
        return self.spectra

    def as_audio(self) -> Tensor:
        """Waveforms (B, N, S)."""
        if self.audio is None:
            assert self.spectra is not None
            self.audio = self.stft.inverse(self.spectra, self.samples)
        return self.audio


class SpectralNetwork(nn.Module):
    """Sources' spectrograms from the mixture's: U-Net, then mask head or extractor.

    A clipping `front` changes what the U-Net sees; the head's masks apply to the mixture itself.

    Input (B, 2, F, T), output (B, 2N, F, T), any F and T; padded with zeros at the high end to
    what the U-Net needs. The padding enters the norm's statistics (SPEC section 2).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        options = config.unet
        self.patch = options.patch
        self.drop_nyquist = options.drop_nyquist
        complex_maps = config.network == "complex"
        algebra: Algebra = ComplexAlgebra(options) if complex_maps else RealAlgebra(options)
        in_maps = options.patch**2 * (1 if complex_maps else 2)
        self.unet = UNet(algebra, in_maps, options)
        self.front = None if options.front == "none" else Clip(options.front)
        features = self.unet.out_maps // options.patch**2
        self.head: nn.Module
        if config.extractor.transformations:
            assert isinstance(algebra, ComplexAlgebra)
            self.head = Extractor(algebra, features, config.sources, config.extractor, options.mask)
        else:
            self.head = MaskHead(
                algebra, features, config.sources, options.residual_blocks, options.mask
            )

    def forward(self, mixture: Tensor) -> Tensor:
        bins, frames = mixture.shape[2:]
        kept = bins - 1 if self.drop_nyquist else bins
        factor = self.patch * self.unet.factor
        padded = F.pad(mixture[:, :, :kept], (0, -frames % factor, 0, -kept % factor))
        padded = padded.contiguous(memory_format=torch.channels_last)
        seen = padded if self.front is None else self.front(padded)
        if self.patch == 1:
            features = self.unet(seen)
        else:
            features = F.pixel_shuffle(self.unet(F.pixel_unshuffle(seen, self.patch)), self.patch)
        sources = self.head(features, padded)[:, :, :kept, :frames]
        return F.pad(sources, (0, 0, 0, bins - kept))


def fit_levels(sources: Tensor, mixture: Tensor) -> Tensor:
    """Scale each of (B, N, S) so that their sum comes closest to the mixture (B, S).

    Losses such as SI-SDR and CSim leave level, and sign, of an output open. Least squares on
    sources brought to unit norm; the small ridge shares the level where outputs are alike.
    """
    norms = sources.norm(dim=-1, keepdim=True)
    unit = sources / norms.clamp_min(torch.finfo(norms.dtype).tiny)
    # Sums of products, not matmul: their precision must not depend on global settings.
    gram = (unit.unsqueeze(2) * unit.unsqueeze(1)).sum(dim=-1)
    ridge = RIDGE * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    target = (unit * mixture.unsqueeze(1)).sum(dim=-1)
    # The ridge keeps it regular; `solve` would make the host wait for a GPU to be sure of that.
    return unit * torch.linalg.solve_ex(gram + ridge, target)[0].unsqueeze(-1)


class SeparationModel(nn.Module):
    """Separates (B, S) mixtures into (B, N, S) sources at `sample_rate` Hz.

    `rates` are all sample rates that it can be brought to, with `at`.

    The network sees each mixture at unit RMS and its output is scaled back, so that
    model(g * x) = g * model(x) for any gain g, and silence gives silence (DESIGN section 3). A
    `causal` one does so frame by frame, and may go on with `SignalStream`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.rates = config.all_rates
        self.sources = config.sources
        self.causal = config.causal
        self.stft = STFT(config.window, config.hop)
        self.network: nn.Module
        if config.network == "conv-tasnet":
            self.network = TasNet(config)
        elif config.network == "dual-path":
            steps = 2 if config.dual_path.half_hop else 1
            self.stft = STFT(config.window, config.hop // steps, "zeros", steps)
            self.network = DualPathNetwork(config)
        else:
            self.network = SpectralNetwork(config)

    @property
    def hop(self) -> int:
        """Samples between the network's frames: of the STFT, or of Conv-TasNet's own encoder."""
        if self.config.network == "conv-tasnet":
            return self.config.tasnet.kernel // 2
        return self.stft.stride

    def with_network(self, network: nn.Module) -> Self:
        """A copy of this model, which is left as it is, around another network."""
        other = copy.copy(self)
        other._modules = dict(self._modules)
        other.network = network
        return other

    def at(self, rate: int) -> Self:
        """This model at another of its `rates`, in Hz, on the same weights."""
        if rate not in self.rates:
            raise ValueError(f"the model runs at {self.rates} Hz, not at {rate}")
        other = self.with_network(self.network)
        other.sample_rate = rate
        stft = self.stft
        if rate != self.sample_rate:
            window, hop = (length * rate // self.sample_rate for length in (stft.window, stft.hop))
            other.stft = STFT(window, hop, stft.edges, stft.steps).to(stft.hann.device)
        return other

    def forward(self, mixture: Tensor) -> Tensor:
        """Sources (B, N, S) of mixtures (B, S)."""
        sources = self.estimate(mixture).as_audio()
        if self.config.level == "network":
            return sources
        with torch.autocast(mixture.device.type, enabled=False):
            return fit_levels(sources, mixture)

    def estimate(self, mixture: Tensor) -> Estimates:
        """Sources of mixtures (B, S) before their levels are fitted, as losses need them."""
        if self.causal:
            spectra = self.network(self.stft(mixture)).to(mixture.dtype)
            return Estimates(self.stft, mixture.shape[-1], spectra)
        level = _mean_power(mixture).sqrt()
        # A level below the smallest normal float has no usable inverse: treat it as silence.
        audible = level > torch.finfo(level.dtype).tiny * 1e4
        unit = mixture * torch.where(audible, 1 / level.where(audible, level.new_ones(())), 0)
        level = level.where(audible, level.new_zeros(()))
        found = Estimates(self.stft, mixture.shape[-1])
        if isinstance(self.network, TasNet):
            found.audio = self.network(unit).to(mixture.dtype) * level.unsqueeze(1)
        else:
            spectra = self.network(self.stft(unit)).to(mixture.dtype)
            found.spectra = spectra * level[:, :, None, None]
        return found


def _mean_power(signals: Tensor) -> Tensor:
    """Mean power (B, 1) of signals (B, S); that of one alone is what it is among others.

    A single sum would be taken in as many parts as there are threads.
    """
    rows = signals.expand(2, -1) if len(signals) == 1 else signals
    return rows.square().mean(dim=-1, keepdim=True)[: len(signals)]

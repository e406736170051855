"""Stand-in networks: the engine's properties must hold for any network."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cplxsep.config import Config, DualPathConfig, ModelConfig, to_toml
from cplxsep.engine import offset
from cplxsep.model_folder.publish import weights_bytes
from cplxsep.networks.model import SeparationModel

RATE = 8000


class Stand(nn.Module):
    """A network made of a function (B, S) -> (B, N, S); remembers the shapes it was given."""

    def __init__(self, function: Callable[[Tensor], Tensor], sources: int = 2) -> None:
        super().__init__()
        self.sample_rate = RATE
        self.sources = sources
        self.function = function
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, mixture: Tensor) -> Tensor:
        self.shapes.append(tuple(mixture.shape))
        return self.function(mixture)


def without_offset(signal: np.ndarray, rate: int) -> np.ndarray:
    """What the engine lets a network hear of a signal (S,)."""
    return offset.without_offset(torch.from_numpy(signal.astype(np.float32))[None], rate)[0].numpy()


def copies(mixture: Tensor) -> Tensor:
    """Two sources that both are the mixture."""
    return torch.stack([mixture, mixture], dim=1)


def halves(mixture: Tensor) -> Tensor:
    """Low and high half of the band of each chunk: linear, and dependent on the whole chunk."""
    spectrum = torch.fft.rfft(mixture)
    low = spectrum.clone()
    low[..., low.shape[-1] // 8 :] = 0
    parts = torch.stack([low, spectrum - low], dim=1)
    return torch.fft.irfft(parts, n=mixture.shape[-1])


def swapping(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The function, with the sources of every second chunk in another order."""
    calls = iter(range(10**6))

    def swapped(mixture: Tensor) -> Tensor:
        sources = function(mixture)
        return torch.stack([s.roll(next(calls) % s.shape[0], dims=0) for s in sources])

    return swapped


# A small network for two rates.
TWO_RATES = ModelConfig(
    network="dual-path",
    level="network",
    rates=(8000, 16000),
    dual_path=DualPathConfig(outer=8, channels=(16,), blocks=(1,), states=8),
)


def tiny_model(folder: Path, sources: int = 2, **facts: object) -> Path:
    """A checkpoint folder with a small untrained network and a metrics.json with `facts`."""
    network = ModelConfig(start_maps=4, residual_blocks=0, levels=1, sources=sources)
    return checkpoint(folder, network, **facts)


def checkpoint(folder: Path, network: ModelConfig, **facts: object) -> Path:
    """A checkpoint folder with an untrained network and a metrics.json with `facts`."""
    config = Config(model=network)
    torch.manual_seed(0)
    weights = weights_bytes(SeparationModel(config.model))
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.toml").write_text(to_toml(config))
    (folder / "README.md").write_text("# A tiny model\n")
    known = {"sha256": hashlib.sha256(weights).hexdigest(), **facts}
    (folder / "metrics.json").write_text(json.dumps(known))
    return folder

"""The forms in which a network is run: our engine in each precision, and its peers.

    python benchmarks/forms.py NETWORK FORM [--seconds 32] [--device cpu] [--batch auto]

runs one form once and prints the GPU memory that it took, in MiB. `benchmarks/engine.py` runs it
so, each form in a process of its own, to see how much memory it needs.
"""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from conv_tasnet import ConvTasNet, in_this_process
from native_complex import native
from torch import Tensor, nn
from workload import recording

from cplxsep import Separator
from cplxsep.config import ModelConfig
from cplxsep.errors import DeviceError, UsageError
from cplxsep.model_folder.catalogue import resolve
from cplxsep.model_folder.load import load_model
from cplxsep.networks.model import SeparationModel
from cplxsep.nn.device import multiplies_bf16_cpu

RATE = 8000
LARGE = ModelConfig(  # 14.04 M
    unet={"start_maps": 44, "residual_blocks": 2}, extractor={"transformations": 10}
)
SEPARATOR = "dce-2spk"  # others of its shape run as fast
NETWORKS = (SEPARATOR, "large")
NATIVE = "native complex64"
CONV_TASNET, CONV_TASNET_BF16 = "conv-tasnet", "conv-tasnet bf16"
CONV_TASNET_HERE = "conv-tasnet here"  # in our process
ALL_PEERS = (CONV_TASNET_HERE, CONV_TASNET, CONV_TASNET_BF16, NATIVE)
Work = Callable[[np.ndarray], object]


@functools.cache
def network(name: str) -> SeparationModel:
    """A shipped model, a checkpoint folder, or the paper's largest with random weights."""
    if name != "large":
        return load_model(resolve(name))
    torch.manual_seed(0)
    return SeparationModel(LARGE).eval()


def precisions(name: str, device: str) -> tuple[str, ...]:
    """Those of our engine for a network on a device."""
    if torch.device(device).type == "cuda":
        return "fp32", "bf16", "fp16"
    known = ("fp32", "bf16") if multiplies_bf16_cpu() else ("fp32",)
    try:
        Separator(network(name), device=device, precision="int8")
    except (UsageError, DeviceError):
        return known
    return *known, "int8"


def peers(name: str, device: str) -> tuple[str, ...]:
    """What a network is held against on a device."""
    if name == "large":
        return (NATIVE,)
    found = (CONV_TASNET_HERE, CONV_TASNET)
    return (*found, CONV_TASNET_BF16) if "bf16" in precisions(name, device) else found


def work(name: str, form: str, device: str, batch: str = "auto") -> Work:
    """A function that makes (N, S) of (S,) at 8 kHz.

    The native form gets the same chunks from our engine: what differs is the network's operators
    alone. Conv-TasNet gets the whole recording, as its users run it.
    """
    if form in (CONV_TASNET, CONV_TASNET_BF16):
        return ConvTasNet(device, "bf16" if form == CONV_TASNET_BF16 else "fp32")
    if form == CONV_TASNET_HERE:
        return in_this_process(device, "fp32")
    model: nn.Module = network(name)
    precision = form
    if form == NATIVE:
        model, precision = Plain(native(network(name))), "fp32"
    separator = Separator(model, device=device, precision=precision, batch=batch)
    return lambda audio: separator(audio, RATE)


class Plain(nn.Module):
    """A model that the engine knows nothing of, and runs as it stands."""

    def __init__(self, model: SeparationModel) -> None:
        super().__init__()
        self.model, self.sample_rate, self.sources = model, model.sample_rate, model.sources

    def forward(self, mixture: Tensor) -> Tensor:
        return self.model(mixture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", help=f"{', '.join(NETWORKS)} or a checkpoint folder")
    parser.add_argument("form")
    parser.add_argument("--seconds", type=float, default=32.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", default="auto")
    parser.add_argument("--speech", type=Path)
    options = parser.parse_args()
    audio = recording(options.seconds, RATE, options.speech)
    work(options.network, options.form, options.device, options.batch)(audio)
    on_gpu = torch.device(options.device).type == "cuda"
    print(torch.cuda.max_memory_allocated(options.device) / 2**20 if on_gpu else 0.0)


if __name__ == "__main__":
    main()

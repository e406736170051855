"""Options that change nothing in a network are known, and are those that change nothing."""

import pytest
import torch

from cplxsep.config import ModelConfig
from cplxsep.config.model import place
from cplxsep.networks.model import SeparationModel

BASE = {"start_maps": 8, "levels": 2, "residual_blocks": 0, "tasnet_filters": 16}
BASE |= {"tasnet_bottleneck": 8, "tasnet_hidden": 8, "tasnet_layers": 2, "tasnet_stacks": 1}
CHANGES = {
    **{"start_maps": 12, "residual_blocks": 2, "levels": 1, "patch": 2, "drop_nyquist": True},
    **{"mask": "polar", "down": "max", "order": "downsample-first", "front": "clip-modulus"},
    **{"norm": "layer", "real_norm": "layer", "init": "unitary", "criterion": "glorot"},
    **{"dropout": 0.9, "dropout_of": "mask", "film_offset": "0", "combine": "learned"},
    **{"head_init": "rayleigh", "head_init_of": "all", "head_gain": 0.1, "level": "network"},
    **{"tasnet_filters": 12, "tasnet_kernel": 8, "tasnet_bottleneck": 4, "tasnet_hidden": 4},
    **{"tasnet_layers": 1, "tasnet_stacks": 2, "mixture_candidate": False},
}
NETWORKS = [
    {"network": "complex", "transformations": 2},
    {"network": "complex"},
    {"network": "real"},
    {"network": "conv-tasnet"},
]
# These mean something only beside others, which is not asked here.
TOGETHER = {"dropout_of", "mixture_candidate"}


def output(config):
    torch.manual_seed(0)
    model = SeparationModel(config).train()
    torch.manual_seed(1)
    mixture = torch.randn(2, 800)
    return model(mixture)


@pytest.mark.parametrize(
    "network", NETWORKS, ids=lambda network: "-".join(map(str, network.values()))
)
def test_unused_options_and_no_others_change_nothing(network):
    plain = output(ModelConfig(**BASE, **network))
    for key in sorted(CHANGES.keys() - TOGETHER):
        config = ModelConfig(**{**BASE, **network, key: CHANGES[key]})
        changed = not torch.equal(output(config), plain)
        name = ".".join(place(f"model.{key}")[1:])
        assert changed == (name not in config.unused()), key

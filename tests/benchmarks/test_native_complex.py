"""The native complex form is the same network: an oracle for ours, and a fair peer in speed."""

import pytest
import torch
from native_complex import native

from cplxsep.config import Config, ModelConfig
from cplxsep.networks.model import SeparationModel
from cplxsep.training.objective import Objective

SMALL = {"start_maps": 8, "levels": 2, "residual_blocks": 0}
CONFIGS = {
    "mask head": SMALL,
    "extractor": {**SMALL, "transformations": 2, "dropout": 0.2},
    "deep": {"start_maps": 8, "levels": 4, "residual_blocks": 0},
    "residual blocks": {**SMALL, "residual_blocks": 2, "transformations": 1},
    "patches": {**SMALL, "patch": 2, "drop_nyquist": True, "transformations": 1},
    "one source, polar": {**SMALL, "sources": 1, "mask": "polar", "level": "network"},
    "polar extractor": {**SMALL, "transformations": 1, "mask": "polar", "level": "network"},
    "layer norm": {**SMALL, "norm": "layer"},
    "the paper's wording": {
        **SMALL,
        "transformations": 1,
        "film_offset": "0",
        "order": "downsample-first",
    },
}


def pair(values: dict, dtype: torch.dtype = torch.float32):
    torch.manual_seed(0)
    model = SeparationModel(ModelConfig(**values)).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():  # what starts at 0 or 1 must matter as well
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model, native(model)


def difference(model, plain, audio) -> float:
    with torch.inference_mode():
        ours, theirs = model.eval()(audio), plain.eval()(audio)
    assert theirs.shape == ours.shape
    return ((theirs - ours).norm() / ours.norm()).item()


@pytest.mark.parametrize("name", CONFIGS)
def test_equal_outputs_under_shared_weights(name):
    exact = pair(CONFIGS[name], torch.float64)
    assert difference(*exact, torch.randn(2, 12000, dtype=torch.float64)) < 1e-10
    if name != "residual blocks":  # untrained, they magnify any rounding a thousandfold
        assert difference(*pair(CONFIGS[name]), torch.randn(2, 12000)) < 1e-4


def test_equal_gradients():
    model, plain = pair(CONFIGS["patches"])
    mixture, sources = torch.randn(2, 3000), torch.randn(2, 2, 3000)
    objective = Objective(Config().train)
    for one in (model, plain):
        objective(one, mixture, sources, None).backward()
    ours, theirs = model.network.unet.stem[0][1], plain.network.unet.stem[0][1]
    expected = torch.complex(ours.weight_real.grad, ours.weight_imag.grad)
    assert (theirs.weight.grad - expected).norm() / expected.norm() < 1e-3


def test_an_optimiser_trains_the_native_form():
    _, plain = pair(CONFIGS["extractor"])
    optimizer = torch.optim.AdamW(plain.train().parameters(), 1e-3)
    mixture, sources = torch.randn(2, 3000), torch.randn(2, 2, 3000)
    objective = Objective(Config().train)
    losses = []
    for _ in range(6):
        losses.append(objective(plain, mixture, sources, None))
        optimizer.zero_grad()
        losses[-1].backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("option", [{"network": "real"}, {"norm": "batch"}, {"down": "max"}])
def test_other_networks_are_refused_not_mistaken(option):
    model = SeparationModel(ModelConfig(**option, start_maps=4, levels=1))
    with pytest.raises(ValueError, match="no native complex form"):
        native(model)

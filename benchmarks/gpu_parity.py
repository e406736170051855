"""Each form of an operator or a network on a device beside its oracle on the CPU.

    python benchmarks/gpu_parity.py parity [--device cuda] [--quick]

A line of JSON for each: what differs at most in its values and in its gradients, as a fraction of
the largest, and whether that is within what its type allows. Oracles are the statements, in
float64 on the CPU, of the same inputs; networks beside the same network in float64 on the CPU.
"""

import argparse
import copy
import json
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cplxsep.config import DualPathConfig, ModelConfig
from cplxsep.engine.fused.form import Form
from cplxsep.model_folder.catalogue import resolve
from cplxsep.model_folder.load import load_model
from cplxsep.networks.model import SeparationModel
from cplxsep.nn import backends
from cplxsep.nn.between_convolutions import BETWEEN, Between, NormWeights
from cplxsep.nn.complex_norm import normalise
from cplxsep.nn.position_norm import residual_norm
from cplxsep.nn.position_norm.statement import statement as norm_statement
from cplxsep.nn.recurrence import recurrence
from cplxsep.nn.recurrence.statement import loop

# Of the largest value; of a whole network's gradients, of their norm.
WITHIN = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 1e-2}
NETWORKS = {
    "dual-path": ModelConfig(
        network="dual-path",
        level="network",
        dual_path=DualPathConfig(outer=16, channels=(32,), blocks=(2,), states=16),
    ),
    "half hop": ModelConfig(
        network="dual-path",
        level="network",
        dual_path=DualPathConfig(outer=16, channels=(32,), blocks=(2,), states=16, half_hop=True),
    ),
    "u-net": ModelConfig(start_maps=8, levels=2, transformations=2),
    "conv-tasnet": ModelConfig(
        network="conv-tasnet",
        tasnet={"filters": 64, "bottleneck": 32, "hidden": 64, "layers": 3, "stacks": 1},
    ),
}
Row = dict[str, Any]
Work = tuple[str, Callable[[], Row]]  # and its name


def difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest, of each as a fraction of its largest value."""
    worst = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        apart = (ours.detach().double().cpu() - theirs.detach().double().cpu()).abs().max()
        worst = max(worst, float(apart / theirs.detach().abs().max().clamp_min(1e-30)))
    return worst


def of_operator(
    name: str,
    form: Callable[..., Any],
    oracle: Callable[..., Any],
    given: Sequence[Tensor],
    device: str,
    dtype: torch.dtype,
) -> Row:
    """Values, and the gradients of one random weighting; the first of `given` is of the type."""
    narrow = [given[0].to(dtype), *given[1:]]
    there = [part.detach().to(device).requires_grad_() for part in narrow]
    here = [part.detach().double().requires_grad_() for part in narrow]
    found, expected = (_tuple(f(*parts)) for f, parts in ((form, there), (oracle, here)))
    weights = [torch.randn_like(part) for part in expected]
    gradients = [
        torch.autograd.grad(
            outputs, parts, [w.to(o) for w, o in zip(weights, outputs, strict=True)]
        )
        for outputs, parts in ((found, there), (expected, here))
    ]
    return _row(name, dtype, difference(found, expected), difference(*gradients))


def _tuple(found: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (found,) if isinstance(found, Tensor) else tuple(found)


def _row(name: str, dtype: torch.dtype, values: float, gradients: float | None) -> Row:
    within = max(values, gradients or 0.0) <= WITHIN[dtype]
    row = {"form": name, "type": str(dtype).removeprefix("torch."), "values": values}
    return row | {"gradients": gradients, "outcome": "within" if within else "APART"}


def operators(device: str, quick: bool) -> Iterator[Work]:
    """Recurrence, norm of a position, complex norm: in several shapes and types."""
    torch.manual_seed(0)
    shapes = [(1, 3, 5, 8)] if quick else [(2, 32, 63, 64), (1, 16, 251, 20), (3, 1, 1, 3)]
    types = (torch.float32, torch.bfloat16)
    for *positions, width in shapes:
        size = "x".join(map(str, (*positions, width)))
        for dtype in types:
            for along in ("bands", "frames", "past frames"):
                maps = torch.randn(*positions, 6 * width)
                given = (maps, torch.randn(6 * width), torch.randn(2, width))

                def ours(*parts: Tensor, along: Any = along) -> Tensor:
                    return recurrence(*parts, along)

                def theirs(*parts: Tensor, along: Any = along) -> Tensor:
                    return loop(*parts, along)

                name = f"recurrence along {along} {size}"
                yield _later(of_operator, name, ours, theirs, given, device, dtype)
            maps = 3 * torch.randn(*positions, width) + 1
            given = (maps, torch.randn(width), torch.randn(width))
            name = f"norm of a position {size}"
            yield _later(of_operator, name, residual_norm, norm_statement, given, device, dtype)
            rows = torch.randn(2, max(positions[1] * positions[2], 4), 2 * width)
            given = (rows, torch.randn(3, width), torch.randn(2, width))

            def whitened(*parts: Tensor) -> Tensor:
                return normalise(*parts, "channel", False)

            name = f"complex norm {size}"
            yield _later(of_operator, name, whitened, whitened, given, device, dtype)


def between(device: str, quick: bool) -> Iterator[Work]:
    """What the inference form of the U-Net does between its convolutions; values alone."""
    torch.manual_seed(0)
    shape = (1, 4, 6, 8) if quick else (2, 32, 126, 64)
    maps, skip = torch.randn(shape), torch.randn(shape[0], 2 * shape[1], 2 * shape[2], shape[3])
    complex_maps = shape[3] // 2
    gain, bias = torch.randn(3, complex_maps), torch.randn(2, complex_maps)
    both = torch.randn(3, 2 * complex_maps), torch.randn(2, 2 * complex_maps)

    def run(form: Between, maps: Tensor, skip: Tensor, *weights: Tensor) -> list[Tensor]:
        norm, joint = NormWeights(*weights[:2], False), NormWeights(*weights[2:], False)
        stats = form.statistics(maps)
        upsampled = (form.statistics(skip), form.upsampled_statistics(maps))
        found = [stats, form.normalise(maps, stats, norm, 1, False)]
        found.append(form.normalise(maps, stats, norm, 2, False))
        found.append(form.normalise_joined(skip, maps, upsampled, joint, False))
        return [*found, form.shuffle(maps, 2), form.add(maps.clone(), maps)]

    for dtype in (torch.float32, torch.bfloat16):

        def row(dtype: torch.dtype = dtype) -> Row:
            narrow = [maps.to(dtype), skip.to(dtype), gain, bias, *both]
            form = BETWEEN.on(torch.device(device), dtype)
            found = run(form, *(part.to(device) for part in narrow))
            expected = run(BETWEEN.statement, *(part.double() for part in narrow))
            return _row("between convolutions", dtype, difference(found, expected), None)

        yield "between convolutions", row


def networks(device: str, quick: bool) -> Iterator[Work]:
    """Whole networks: the audio, and the gradients of a loss, as one vector."""
    for name, config in NETWORKS.items():
        for dtype in (torch.float32, torch.bfloat16):
            yield _later(_of_network, name, config, device, dtype, 2000 if quick else 8000)


def _of_network(
    name: str, config: ModelConfig, device: str, dtype: torch.dtype, samples: int
) -> Row:
    torch.manual_seed(0)
    here = SeparationModel(config).double()
    there = copy.deepcopy(here).float().to(device)
    mixture, weight = torch.randn(2, samples), torch.randn(2, config.sources, samples)
    low = dtype != torch.float32
    with torch.autocast(device, dtype, enabled=low):
        found = there(mixture.to(device))
    expected = here(mixture.double())
    vectors = []
    for audio, model in ((found, there), (expected, here)):
        loss = (audio * weight.to(audio)).mean()
        gradients = torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)
        vectors.append(torch.cat([part.flatten().double().cpu() for part in gradients]))
    apart = float((vectors[0] - vectors[1]).norm() / vectors[1].norm())
    values = (found.detach().double().cpu() - expected.detach()).norm() / expected.detach().norm()
    row = _row(f"network {name}, training", dtype, float(values), apart)
    # Norms over few values of a small network with random weights magnify what rounding does.
    fits = float(values) < (0.2 if low else 1e-4) and apart < (1.0 if low else 0.02)
    return row | {"outcome": "within" if fits else "APART"}


def inference(device: str, quick: bool) -> Iterator[Work]:
    """Shipped models in their inference form, by eager runs, by a graph, and in other batches."""
    place = torch.device(device)
    types = (None, torch.bfloat16) if place.type == "cpu" else (None, torch.bfloat16, torch.float16)
    for name in ("dce-2spk",) if quick else ("dce-2spk", "dce-talk", "dce-denoise"):
        for dtype in types:
            yield _later(_of_form, name, place, dtype, 2000 if quick else 16000)


@torch.inference_mode()
def _of_form(name: str, place: torch.device, dtype: torch.dtype | None, samples: int) -> Row:
    model = load_model(resolve(name)).eval()
    torch.manual_seed(0)
    mixture = 0.1 * torch.randn(3, samples)
    expected = copy.deepcopy(model)(mixture)
    form = Form(model.to(place), place, dtype)
    found = [torch.from_numpy(form(mixture.numpy())) for _ in range(4)]
    found.append(torch.cat([torch.from_numpy(form(one[None].numpy())) for one in mixture]))
    values = max(float((one - expected).norm() / expected.norm()) for one in found)
    row = _row(f"{name}, inference", dtype or torch.float32, values, None)
    return row | {"repeats equal": bool(torch.equal(found[2], found[3]))}


def _later(function: Callable[..., Row], name: str, *args: Any) -> Work:
    return name, lambda: function(name, *args)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=["parity"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    kind = torch.device(options.device).type
    # What takes longest to compile comes last.
    for group in (inference, between, networks, operators):
        if group is networks:
            why = backends.enable(kind)
            row = {"form": "what takes seconds to make", "outcome": why or "within"}
            print(json.dumps(row), flush=True)
        for name, work in group(options.device, options.quick):
            try:
                row = work()
            except Exception as error:
                traceback.print_exc()
                why = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
                row = {"form": name, "outcome": "failed", "error": why[:200]}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()

"""Does training see a complex network and its real twin as different? Their tangent kernels.

Gradient descent moves a network's outputs by its tangent kernel K(x, x') = J(x) J(x')^T, J the
derivative of the outputs (real and imaginary part) by all real parameters: what back-propagation
in PyTorch uses. Tan, Xie, Jiang and Zhou (NeurIPS 2022) show that for most activations infinitely
wide complex networks trained so behave like real ones. This measures how much of that holds at
finite width: the kernels of small complex networks and of real twins with as many parameters, on
patches of a real STFT. Figures are means over pairs of random starts. The twin always has ReLU:
with an activation other than CReLU, a difference is that of complex numbers and of the activation
together, and it contradicts no theorem about one activation on both sides.

    python benchmarks/tangent_kernel.py [--widths 4,8,16,32] [--json FILE]
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
import torch
from machine import in_words, machine
from torch import Tensor, nn

from cplxsep.nn.activation import ACTIVATIONS
from cplxsep.nn.conv import ComplexConv2d, RealConv2d
from cplxsep.nn.stft import STFT

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LAYERS = 4  # convolutions 3x3, so that an output depends on 9x9 positions
PATCH = 2 * LAYERS + 3
RIDGE = 1e-3  # of the mean of the kernel's diagonal


@dataclass
class Result:
    """Alignments (CKA, 1 = same kernel up to scale) and how alike predictions are (cosine)."""

    activation: str
    width: int
    real_width: int
    parameters: int
    real_parameters: int
    complex_real: float
    complex_complex: float
    real_real: float
    same_prediction: float
    same_prediction_complex: float
    error_complex: float
    error_real: float


def patches(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """STFT patches (P, 2, PATCH, PATCH) of the example mixture, and one talker at their centres."""
    talkers = [soundfile.read(EXAMPLES / f"two_talkers_s{n}.wav")[0] for n in (1, 2)]
    audio = torch.from_numpy(np.stack([sum(talkers), talkers[0]]))
    mixture, talker = STFT().double()(audio / audio[0].square().mean().sqrt())
    windows = mixture.unfold(1, PATCH, 1).unfold(2, PATCH, 1)  # (2, F', T', PATCH, PATCH)
    half = PATCH // 2
    centres = talker[:, half:-half, half:-half]
    power = windows.square().mean(dim=(0, 3, 4)).flatten()
    # Patches of speech: those above the median of power.
    loud = torch.nonzero(power > power.median()).flatten()
    generator = torch.Generator().manual_seed(seed)
    picked = loud[torch.randperm(len(loud), generator=generator)[:count]]
    inputs = windows.flatten(1, 2)[:, picked].transpose(0, 1)
    # Alike loud: else the loudest patches are all that the kernel shows.
    level = inputs.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return inputs / level, centres.flatten(1)[:, picked].T / level.flatten()[:, None]


def network(width: int, activation: str | None) -> nn.Sequential:
    """LAYERS convolutions with an activation between; None: the real twin, with ReLU."""
    ends = 1 if activation else 2
    sizes = [ends, *[width] * (LAYERS - 1), ends]
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(sizes):
        if activation:
            layers += [ComplexConv2d(narrow, wide, 3), ACTIVATIONS[activation](wide)]
        else:
            layers += [RealConv2d(narrow, wide, 3), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double()


def size(model: nn.Module) -> int:
    """Real parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def twin_width(width: int, activation: str) -> int:
    """The real twin's width with which it has most nearly as many parameters."""
    wanted = size(network(width, activation))
    return min(range(1, 2 * width + 2), key=lambda w: abs(size(network(w, None)) - wanted))


def kernel(model: nn.Module, inputs: Tensor) -> Tensor:
    """Tangent kernel (2P, 2P) of both parts of the centre output for patches (P, 2, ...)."""
    parameters = list(model.parameters())
    rows = []
    for patch in inputs:
        out = model(patch[None])[0, :, PATCH // 2, PATCH // 2]
        for part in out:
            grads = torch.autograd.grad(part, parameters, retain_graph=True)
            rows.append(torch.cat([grad.flatten() for grad in grads]))
    jacobian = torch.stack(rows)
    return jacobian @ jacobian.T


def alignment(a: Tensor, b: Tensor) -> float:
    """Centred kernel alignment (Cortes et al. 2012): 1 for kernels that are equal up to scale."""
    centre = torch.eye(len(a), dtype=a.dtype) - 1 / len(a)
    a, b = centre @ a @ centre, centre @ b @ centre
    return float((a * b).sum() / (a.norm() * b.norm()))


def prediction(gram: Tensor, targets: Tensor) -> Tensor:
    """What training by this kernel from half of the patches says of the other half, flat."""
    half = len(gram) // 2
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(half, dtype=gram.dtype)
    weights = torch.linalg.solve(gram[:half, :half] + ridge, targets.flatten()[:half])
    return gram[half:, :half] @ weights


def compare(activation: str, width: int, inputs: Tensor, targets: Tensor, starts: int) -> Result:
    """Alignments between kernels of complex networks, of real twins, and across."""
    twin = twin_width(width, activation)
    kernels: dict[bool, list[Tensor]] = {True: [], False: []}
    for start in range(starts):
        for is_complex in (True, False):
            torch.manual_seed(1000 * start + is_complex)
            model = network(width, activation) if is_complex else network(twin, None)
            kernels[is_complex].append(kernel(model, inputs))
    said = {kind: [prediction(gram, targets) for gram in grams] for kind, grams in kernels.items()}
    truth = targets.flatten()[len(targets) :]

    def cosine(a: Tensor, b: Tensor) -> float:
        return float(a @ b / (a.norm() * b.norm()))

    def mean(pairs: list[tuple], measure: Callable[..., float]) -> float:
        return float(np.mean([measure(*pair) for pair in pairs]))

    def between(items: dict[bool, list], first: bool, second: bool) -> list[tuple]:
        """Pairs of different starts."""
        return [
            (items[first][i], items[second][j])
            for i in range(starts)
            for j in range(starts)
            if (i < j if first == second else i != j)
        ]

    def error(kind: bool) -> float:
        """Energy of the error over that of the talker."""
        off = [(truth - guess).square().sum() for guess in said[kind]]
        return float(np.mean(off) / truth.square().sum())

    return Result(
        activation=activation,
        width=width,
        real_width=twin,
        parameters=size(network(width, activation)),
        real_parameters=size(network(twin, None)),
        complex_real=mean(between(kernels, True, False), alignment),
        complex_complex=mean(between(kernels, True, True), alignment),
        real_real=mean(between(kernels, False, False), alignment),
        same_prediction=mean(between(said, True, False), cosine),
        same_prediction_complex=mean(between(said, True, True), cosine),
        error_complex=error(True),
        error_real=error(False),
    )


def table(results: list[Result]) -> str:
    """Results line by line, and how to read them."""
    lines = [
        "                               alignment of kernels           same          error",
        "activation      width  params  c-real  c-c    real-real   c-real  c-c   c     real",
    ]
    for r in results:
        lines.append(
            f"{r.activation:14} {r.width:3}/{r.real_width:<3} {r.parameters:6}  "
            f"{r.complex_real:.3f}  {r.complex_complex:.3f}  {r.real_real:.3f}       "
            f"{r.same_prediction:.3f}  {r.same_prediction_complex:.3f}  "
            f"{r.error_complex:.2f}  {r.error_real:.2f}"
        )
    return "\n".join(lines)


def verdict(results: list[Result]) -> str:
    """What the widest networks show, in one sentence each."""
    widest = max(result.width for result in results)
    lines = []
    for r in (r for r in results if r.width == widest):
        # How far the two kinds differ beyond what two starts of one kind do.
        beyond = min(r.complex_complex, r.real_real) - r.complex_real
        lines.append(
            f"{r.activation}: at width {r.width} a complex and a real network align by "
            f"{r.complex_real:.2f}, two starts of one kind by at least "
            f"{min(r.complex_complex, r.real_real):.2f}: "
            + (
                "training sees them as different."
                if beyond > 0.05
                else "no more different than two starts."
            )
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--widths", default="4,8,16,32", help="complex maps, with commas between")
    parser.add_argument("--activations", default="crelu,zrelu,modrelu,cardioid")
    parser.add_argument("--patches", type=int, default=80)
    parser.add_argument("--starts", type=int, default=3, help="random starts of each network")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    if options.starts < 2:
        parser.error("--starts must be at least 2: figures are of pairs of starts")
    if unknown := set(options.activations.split(",")) - set(ACTIVATIONS):
        parser.error(
            f"no activation {', '.join(sorted(unknown))}: choose of {', '.join(ACTIVATIONS)}"
        )
    inputs, targets = patches(options.patches)
    results = [
        compare(activation, int(width), inputs, targets, options.starts)
        for activation in options.activations.split(",")
        for width in options.widths.split(",")
    ]
    facts = machine()
    print(in_words(facts), table(results), verdict(results), sep="\n\n")
    if options.json:
        figures = {"machine": facts, "options": vars(options) | {"json": None}}
        figures["results"] = [asdict(result) for result in results]
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

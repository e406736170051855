"""By which norm to clip gradients: how far two halves of many mixtures agree on where to go.

    python benchmarks/gradient_clipping.py --speech ../shared/data/speech.csv [--model dce-2spk]
        [--steps 100] [--seed 0] [--json FILE]

Gradients of `steps` batches of 4 mixtures of 8 s, of the train and extra splits, at the weights of
a model. Those of Muon's matrices are summed over each of two random halves of the batches, scaled
by each way of clipping, and the two sums compared: the mean, over 200 divisions and all matrices,
of the cosine between them. The more of what is summed is noise, the smaller it is: N batches of
signal S and noise V give NS / (NS + V), so that cosine / (1 - cosine) is in proportion to how many
batches count.

    all        each batch by the norm of all its gradients
    matrices   by that of the matrices alone
    none       as they come
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from machine import in_words, machine
from torch import Tensor

from cplxsep.config import Config, read_config
from cplxsep.model_folder import catalogue
from cplxsep.model_folder.load import load_model
from cplxsep.nn import backends
from cplxsep.report import table
from cplxsep.training.examples import load_examples
from cplxsep.training.matrices import matrices
from cplxsep.training.objective import Objective

BATCH, TOGETHER = 4, 2  # mixtures of a step, and of a pass
SECONDS = 8.0
DIVISIONS = 200


def gradients(
    options: argparse.Namespace, cache: Path
) -> tuple[list[Tensor], dict[str, np.ndarray]]:
    """Of each matrix those of all batches (steps, values), and what each way scales batches by."""
    folder = catalogue.find(options.model)
    base = read_config(str(folder / "config.toml"))
    data = {"speech": str(options.speech), "train_split": "train,extra", "seconds": SECONDS}
    data |= {"snr": base.data.snr, "speed": base.data.speed, "pauses": base.data.pauses}
    config = Config(data=data, model=base.model.model_dump(), train={"loss": base.train.loss})
    (examples, *_), _ = load_examples(config, cache, print)
    model = load_model(folder).float().requires_grad_(True).train()
    objective, (kernels, _) = Objective(config.train), matrices(model.named_parameters())
    every = list(model.parameters())
    found: list[list[Tensor]] = []
    norms = np.zeros((options.steps, 2))
    for step in range(options.steps):
        model.zero_grad()
        first = (options.seed * options.steps + step) * BATCH
        pairs = [examples.example(first + item) for item in range(BATCH)]
        mixtures, sources = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
        for some, theirs in zip(mixtures.split(TOGETHER), sources.split(TOGETHER), strict=True):
            objective(model, some, theirs, None).backward()
        norms[step] = norm_of(every), norm_of(kernels)
        found.append([kernel.grad.flatten().clone() for kernel in kernels])
    stacked = [torch.stack(parts) for parts in zip(*found, strict=True)]
    scales = {"all": 1 / norms[:, 0], "matrices": 1 / norms[:, 1], "none": np.ones(options.steps)}
    return stacked, scales


def norm_of(parameters: list[torch.nn.Parameter]) -> float:
    return float(torch.stack([parameter.grad.norm() for parameter in parameters]).norm())


def agreement(products: list[np.ndarray], scales: np.ndarray, seed: int) -> float:
    """Mean cosine of the two halves' sums, of scaled vectors whose products are given by matrix."""
    generator, count = np.random.default_rng(seed), len(scales)
    cosines = []
    for _ in range(DIVISIONS):
        first = generator.permutation(count) < count // 2
        halves = scales * first, scales * ~first
        for gram in products:
            (own, across), (_, other) = ([one @ gram @ two for two in halves] for one in halves)
            cosines.append(across / np.sqrt(own * other))
    return float(np.mean(cosines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--model", default="dce-2spk")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="decoded speech")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    backends.enable("cpu")
    found, scales = gradients(options, options.cache)
    products = [(values @ values.T).double().numpy() for values in found]
    cosines = {name: agreement(products, scale, options.seed) for name, scale in scales.items()}
    counting = {name: cosine / (1 - cosine) for name, cosine in cosines.items()}
    facts = machine("cpu")
    print(in_words(facts))
    rows = [[name, cosines[name], counting[name] / counting["all"]] for name in cosines]
    print(table(["clipped by the norm of", "cosine of halves", "batches that count"], rows))
    if options.json:
        setup = {"model": options.model, "steps": options.steps, "batch": BATCH, "seconds": SECONDS}
        report = {"machine": facts, "setup": setup | {"seed": options.seed}, "cosines": cosines}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

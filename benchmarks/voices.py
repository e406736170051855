"""Train and score the voices (`cplxsep.networks.speaker_embedding`) that keep talkers apart.

    python benchmarks/voices.py train --speech ../shared/data/speech.csv \
        --noise ../shared/data/noise.csv [--steps 6000] [--seed 0]
    python benchmarks/voices.py score --speech ../shared/data/speech.csv [--split test]

`train` writes models/voices. Its material (benchmarks/voice_material.py) is kept in runs/voices.

`score`: two talkers of one corpus, of whom so many seconds are known, each from other utterances
than the one that is heard: how often is the right one of them found?
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from card import cell, markdown, publish
from machine import in_words, machine
from safetensors.torch import save_file
from torch import Tensor, nn
from voice_examples import Pairs, draw, power
from voice_material import RATE, Material, as_recorded, bands_of

from cplxsep.audio.level import FRAME_SECONDS
from cplxsep.data.cache import open_cache
from cplxsep.data.manifest import read_manifest
from cplxsep.data.noise import load_noise
from cplxsep.metrics.statistics import describe
from cplxsep.model_folder.contents import WEIGHTS
from cplxsep.model_folder.voices import load_voices
from cplxsep.networks.bands import bands_within
from cplxsep.networks.speaker_embedding import SpeakerEmbedding
from cplxsep.nn.device import fast_bf16_cpu

RUNS, MODEL = Path("runs/voices"), Path("models/voices")
TRAIN = ("train", "extra")
RATE_OF_LEARNING, WARM_UP, DECAY, WEIGHT_DECAY, CLIP = 2e-3, 200, 0.5, 1e-2, 5.0
AMONG = 0.3  # weight of finding the talker among all
TOLD_EVERY, VALID_BATCHES = 250, 40
TRIALS, SECONDS = 2000, ((1, 1), (1, 2), (3, 1), (3, 2), (12, 2))  # known, heard


def train(options: argparse.Namespace) -> None:
    """Write the weights, at the end of all steps, and how they were made."""
    cache = RUNS / "cache"
    speech = [item for item in read_manifest(options.speech) if item.split in TRAIN]
    noises = [item for item in load_noise(options.noise) if item.split == "train"]
    material = Material.kept_in(RUNS / "train.npz", lambda: as_recorded(speech, cache))
    held = [item for item in read_manifest(options.speech) if item.split == "valid"]
    valid = Material.kept_in(RUNS / "valid.npz", lambda: as_recorded(held, cache, (1.0,)))
    hiss = open_cache(noises, RATE, cache)
    noise = bands_of(hiss.samples.astype(np.float32) / 32768)
    rng = np.random.default_rng(1)
    kinds = list(valid.of_kind)
    checks = [draw(valid, noise, rng, kind) for kind in kinds * (VALID_BATCHES // len(kinds))]

    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    network = SpeakerEmbedding()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    began, told = time.monotonic(), []
    for step in range(options.steps):
        warm, left = (step + 1) / WARM_UP, (options.steps - step) / (DECAY * options.steps)
        for group in optimizer.param_groups:
            group["lr"] = RATE_OF_LEARNING * min(1.0, warm, left)
        among, apart = losses(network, draw(material, noise, rng))
        optimizer.zero_grad()
        (AMONG * among + apart).backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        told.append((float(among.detach()), float(apart.detach())))
        if (step + 1) % TOLD_EVERY == 0 or step + 1 == options.steps:
            score = validate(network, checks)
            seconds = time.monotonic() - began
            print(step + 1, f"{seconds:.0f} s", np.mean(told, axis=0), score, flush=True)
            told.clear()
    MODEL.mkdir(exist_ok=True)
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    save_file(weights, MODEL / WEIGHTS)


def losses(network: SpeakerEmbedding, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Cross entropy of finding each talker among all, and of telling whether two are one, nats."""
    sides = [
        _means(network, side.powers, side.own, pairs.bands) for side in (pairs.known, pairs.heard)
    ]
    there = (sides[0][1] > 0) & (sides[1][1] > 0)
    (known, known_frames), (heard, heard_frames) = (
        (mean[there], frames[there]) for mean, frames in sides
    )
    ratios = network.log_ratio(known, known_frames, heard, heard_frames)
    who, same = torch.arange(len(ratios)), torch.eye(len(ratios), dtype=torch.bool)
    among = F.cross_entropy(ratios, who) + F.cross_entropy(ratios.T, who)
    return among, F.softplus(-ratios[same]).mean() + F.softplus(ratios[~same]).mean()


def _means(
    network: SpeakerEmbedding, powers: Tensor, own: Tensor, bands: int
) -> tuple[Tensor, Tensor]:
    """Mean embeddings (K, D) over a talker's own frames, and how many there are (K,)."""
    with torch.autocast("cpu", torch.bfloat16, enabled=fast_bf16_cpu()):
        embedded = network(powers, bands)
    frames = own.sum(1)
    total = (embedded.float() * own[..., None]).sum(1)
    return total / frames.clamp(min=1)[:, None], frames.float()


def validate(network: SpeakerEmbedding, checks: list[Pairs]) -> np.ndarray:
    """Both losses, means over all."""
    network.eval()
    with torch.no_grad():
        found = [[float(loss) for loss in losses(network, pairs)] for pairs in checks]
    network.train()
    return np.mean(found, axis=0)


def score(options: argparse.Namespace) -> None:
    """Print the share found, and with --write put it into the model's card."""
    network = load_voices(torch.device("cpu"))
    utterances = [item for item in read_manifest(options.speech) if item.split == options.split]
    speech = Material.of(as_recorded(utterances, None, speeds=(1.0,)))
    talkers = {kind: _utterances(speech, kind) for kind in speech.of_kind}
    rows = []
    for rate, (known, heard) in itertools.product((8000, 16000), SECONDS):
        embedded = {
            kind: [[_embedded(network, part, rate) for part in parts] for parts in found]
            for kind, found in talkers.items()
            if len(found) > 1
        }
        rng = np.random.default_rng(options.seed)
        right = [_trial(network, embedded, known, heard, rng) for _ in range(TRIALS)]
        found = describe([100.0 * share for share in right])
        rows.append({"sample_rate": rate, "known": known, "heard": heard, "right": found})
    facts = machine()
    texts = [
        (str(row["sample_rate"]), f"{row['known']:g}", f"{row['heard']:g}", cell(row["right"], 1))
        for row in rows
    ]
    columns = ("rate Hz", "known s", "heard s", "right %")
    print(markdown(columns, texts))
    if options.write:
        figures = {"split": options.split, "seed": options.seed, "trials": TRIALS, "rows": rows}
        about = f"{options.split} split, {TRIALS} trials a row, seed {options.seed}, "
        publish(
            MODEL,
            {"voices": figures | {"machine": facts}},
            columns,
            texts,
            after=f"{about}{in_words(facts)}.",
        )


def _utterances(speech: Material, kind: str) -> list[list[np.ndarray]]:
    """Of each talker who has several, the bands of utterances at whole frames, where speech is."""
    found = []
    for talker in speech.of_kind[kind]:
        own = []
        for index in speech.of_talker[talker]:
            part = slice(speech.firsts[index], speech.firsts[index] + speech.frames[index])
            own.append((speech.bands[part][::2], speech.speech[part][::2]))
        if len(own) > 1:
            found.append(own)
    return found


def _embedded(network: SpeakerEmbedding, part: tuple[np.ndarray, np.ndarray], rate: int) -> Tensor:
    """Embeddings of an utterance's spoken frames (T, D) at a rate."""
    bands, spoken = part
    powers = torch.from_numpy(power(bands.astype(np.float32)))
    return network(powers[None], bands_within(rate))[0, torch.from_numpy(spoken)]


def _trial(
    network: SpeakerEmbedding,
    talkers: dict[str, list[list[Tensor]]],
    known: float,
    heard: float,
    rng: np.random.Generator,
) -> bool:
    """Whether the right one of two talkers of one kind is found."""
    among = list(talkers.values())[rng.integers(len(talkers))]
    pair = [among[index] for index in rng.choice(len(among), 2, replace=False)]
    first, *others = rng.permutation(len(pair[0])).tolist()
    said = pair[0][first][: round(heard / FRAME_SECONDS)]
    voices = [
        torch.cat([parts[index] for index in order])[: round(known / FRAME_SECONDS)]
        for parts, order in zip(pair, (others, rng.permutation(len(pair[1])).tolist()), strict=True)
    ]
    counts = [torch.tensor([float(len(frames)) for frames in side]) for side in (voices, [said])]
    means = [torch.stack([frames.mean(0) for frames in side]) for side in (voices, [said])]
    ratios = network.log_ratio(means[0], counts[0], means[1], counts[1])[:, 0]
    return bool(ratios[0] > ratios[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train")
    training.set_defaults(run=train)
    training.add_argument("--noise", type=Path, required=True, help="manifest CSV")
    training.add_argument("--steps", type=int, default=6000)
    scoring = commands.add_parser("score")
    scoring.set_defaults(run=score)
    scoring.add_argument("--split", default="test")
    scoring.add_argument("--write", action="store_true", help="into the model's card")
    for command in (training, scoring):
        command.add_argument("--speech", type=Path, required=True, help="manifest CSV")
        command.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()

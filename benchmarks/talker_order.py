"""Whether talkers keep their output over long recordings with pauses.

    python benchmarks/talker_order.py --speech ../shared/data/speech.csv [--model dce-2spk]
        [--split test] [--minutes 120] [--seed 0] [--chunk 8 16 30] [--json FILE]

Conversations of two talkers of the split, five minutes each, the same two throughout: passages in
which one speaks or both do, with pauses of 0.5 to 10 s between, over faint noise. One pair of
talkers differs from another by many decibels, so that half an hour, six pairs, tells of no change
of half a decibel. Two figures:

leaky oracle: the true sources with 15 dB of cross-talk, shuffled at random in each chunk; how
many of the chunks with a word in them come out in the order that most of their conversation has.

checkpoint: SI-SDR of a model's outputs over each whole conversation with one order, beside that of
what it gives of each chunk alone, in the best order for each. Swaps inside a chunk, the network's
own, are in the second; where both voices are known they are undone, behind pauses and amid speech,
so that the first may be the better one. And how often what comes behind a joint is in the order of
most of the conversation, by the confidence that was told of it.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from card import cell
from machine import in_words, machine

from cplxsep.audio import io
from cplxsep.audio.atomic import write_text
from cplxsep.audio.level import active_rms, from_db
from cplxsep.audio.resample import resample
from cplxsep.data.manifest import Utterance, by_speaker, read_manifest
from cplxsep.engine.chunks import ChunkPlan, Cutter, Joiner
from cplxsep.engine.separator import Separator
from cplxsep.engine.talker_order import WEAK, Seam, TalkerOrder
from cplxsep.metrics.assignment import closest
from cplxsep.metrics.sisdr import si_sdr_matrix
from cplxsep.metrics.statistics import describe
from cplxsep.report import to_json

RATE = 8000
CONVERSATION = 300.0  # seconds
LEAST_SPEECH = 50.0  # seconds that a talker must have
PAUSES = (0.5, 10.0)  # seconds
LEVEL, NOISE = -26.0, -76.0  # dB re full scale
LEAST_WORD, FRAME = 0.2, 256  # seconds, samples
LEAK = from_db(-15.0)
SCORES = ("si_sdr", "si_sdr_best_order", "si_sdr_as_given")
SEAM_METHODS = ("overlap", "voice", "kept", "silence")
CONFIDENCES = (0.0, WEAK, 0.6, 0.9)  # from which on joints are counted together


@dataclass
class Conversation:
    """True sources (2, S) without noise, and noise (2, S) of which one part goes with each."""

    talkers: tuple[str, str]
    sources: np.ndarray
    noise: np.ndarray


def conversations(speech: Path, split: str, minutes: float, seed: int) -> Iterator[Conversation]:
    """Conversations of 5 minutes of pairs of talkers, drawn anew when all have had their turn."""
    rng = np.random.default_rng(seed)
    talkers = {
        name: items
        for name, items in by_speaker(u for u in read_manifest(speech) if u.split == split).items()
        if sum(item.seconds for item in items) >= LEAST_SPEECH
    }
    waiting: list[str] = []
    for _ in range(round(minutes * 60 / CONVERSATION)):
        if len(waiting) < 2:
            waiting = [str(name) for name in rng.permutation(sorted(talkers))]
        pair = (waiting.pop(), waiting.pop())
        sources = _talk([Speech(talkers[name], rng) for name in pair], rng)
        noise = from_db(NOISE) / np.sqrt(2) * rng.standard_normal(sources.shape)
        yield Conversation(pair, sources, noise.astype(np.float32))


class Speech:
    """Utterances of one talker at one active level, in random order, again when used up."""

    def __init__(self, utterances: list[Utterance], rng: np.random.Generator) -> None:
        self._utterances, self._rng = utterances, rng
        self._waiting: list[int] = []
        self._level = from_db(LEVEL + rng.uniform(-2.5, 2.5))

    def take(self) -> np.ndarray:
        """The next utterance (S,)."""
        if not self._waiting:
            self._waiting = list(self._rng.permutation(len(self._utterances)))
        utterance = self._utterances[self._waiting.pop()]
        audio = resample(io.read(utterance.path)[0][0], utterance.sample_rate, RATE)
        return audio * np.float32(self._level / active_rms(audio, RATE))


def _talk(speeches: list[Speech], rng: np.random.Generator) -> np.ndarray:
    """Passages of one talker or both, 1 to 3 utterances each, and pauses: (2, S)."""
    samples = round(CONVERSATION * RATE)
    sources, position = np.zeros((2, samples), np.float32), 0
    while position < samples:
        end = position
        for talker in ((0, 1), (0, 1), (0,), (1,))[rng.integers(4)]:
            begin = position + round(rng.uniform(0, 1) * RATE)
            for _ in range(rng.integers(1, 4)):
                audio = speeches[talker].take()[: max(samples - begin, 0)]
                sources[talker, begin : begin + audio.size] = audio
                begin += audio.size
            end = max(end, begin)
        position = end + round(rng.uniform(*PAUSES) * RATE)
    return sources


Chunks = list[tuple[int, np.ndarray]]
Joints = list[tuple[float, bool]]  # of each its confidence, and whether it is right


def follow(chunks: Chunks) -> tuple[Chunks, list[Seam]]:
    """The chunks as `TalkerOrder` arranges them, and its seams."""
    order = TalkerOrder(2, RATE)
    pushed = [found for start, sources in chunks for found in order.push(start, sources)]
    arranged = [*pushed, *order.finish()]
    seams = [seam for found in arranged for seam in found.seams]
    return [(found.start, found.sources) for found in arranged], seams


def oracle(talk: Conversation, plan: ChunkPlan, rng: np.random.Generator) -> dict:
    """How the leaky true sources come out of random orders."""
    leaky = talk.sources + np.float32(LEAK) * talk.sources[::-1] + talk.noise
    pieces, chunks = [], []
    for start, samples in cut(np.arange(leaky.shape[1]), plan):
        pieces.append(leaky[:, samples])
        chunks.append((start, pieces[-1][::-1] if rng.integers(2) else pieces[-1]))
    arranged, seams = follow(chunks)
    pairs = [
        (piece, found)
        for piece, (start, found) in zip(pieces, arranged, strict=True)
        if _speaks(talk.sources[:, start : start + piece.shape[1]])
    ]
    right = max(
        sum(np.array_equal(piece[::step], found) for piece, found in pairs) for step in (1, -1)
    )
    return {"chunks": len(pairs), "right": right, "seams": count(seams)}


def _speaks(sources: np.ndarray) -> bool:
    """Whether a talker says as much as a word; the edge of an utterance is not worth an order."""
    frames = sources[:, : sources.shape[1] // FRAME * FRAME].reshape(len(sources), -1, FRAME)
    powers = np.square(frames, dtype=np.float64).mean(axis=2)
    return bool(
        ((powers > from_db(LEVEL - 25) ** 2).sum(axis=1) * FRAME >= LEAST_WORD * RATE).any()
    )


def checkpoint(talk: Conversation, plan: ChunkPlan, separator: Separator) -> tuple[dict, Joints]:
    """A model's scores, and its `joints`.

    Scores: SI-SDR (dB, mean of both talkers) of its outputs, one order against the best.
    """
    mixture = (talk.sources + talk.noise).sum(axis=0)
    seams: list[Seam] = []
    whole = separator(mixture, RATE, seams=seams)
    chunks = [(start, separator(samples, RATE)) for start, samples in cut(mixture, plan)]
    best = [
        (start, sources[closest(talk.sources[:, start : start + sources.shape[1]], sources)])
        for start, sources in chunks
    ]
    scores = {
        "si_sdr": mean_si_sdr(talk.sources, whole),
        "si_sdr_best_order": mean_si_sdr(talk.sources, join(best, plan)),
        "si_sdr_as_given": mean_si_sdr(talk.sources, join(chunks, plan)),
        "seams": count(seams),
    }
    return scores, joints(talk.sources, whole, seams)


def joints(truth: np.ndarray, estimate: np.ndarray, seams: list[Seam]) -> Joints:
    """Of each joint with a word behind it, its confidence, and whether that has the usual order.

    The one of the whole: an estimate (2, S) is of the truth (2, S), up to its order.
    """
    usual = closest(truth, estimate)
    begins = [round(seam.seconds * RATE) for seam in seams]
    found = []
    for seam, begin, end in zip(seams, begins, [*begins[1:], truth.shape[1]], strict=True):
        if _speaks(truth[:, begin:end]):
            order = closest(truth[:, begin:end], estimate[:, begin:end])
            found.append((seam.confidence, np.array_equal(order, usual)))
    return found


def by_confidence(found: Joints) -> list[dict]:
    """Joints, their mean confidence, and the share that is right, from each of CONFIDENCES on."""
    rows = []
    for low, high in pairwise((*CONFIDENCES, np.inf)):
        those = [each for each in found if low <= each[0] < high]
        if those:
            confidence, right = np.mean(those, axis=0).tolist()
            rows.append({"from": low, "joints": len(those), "mean": confidence, "right": right})
    return rows


def cut(signal: np.ndarray, plan: ChunkPlan) -> Iterator[tuple[int, np.ndarray]]:
    cutter = Cutter(plan)
    yield from cutter.push(signal)
    yield from cutter.finish()


def join(chunks: Chunks, plan: ChunkPlan) -> np.ndarray:
    joiner = Joiner(plan)
    parts = [joiner.add(start, sources) for start, sources in chunks]
    return np.concatenate([*parts, joiner.finish()], axis=1)


def mean_si_sdr(truth: np.ndarray, estimate: np.ndarray) -> float:
    matrix = si_sdr_matrix(truth, estimate)
    return float(max(np.diag(matrix).mean(), np.diag(matrix[:, ::-1]).mean()))


def count(seams: list[Seam]) -> dict[str, int]:
    return {method: sum(seam.method == method for seam in seams) for method in SEAM_METHODS}


def measure(options: argparse.Namespace, chunk: float) -> dict:
    """Both figures over all conversations."""
    separator = Separator.load(options.model, device=options.device, chunk=chunk)
    if RATE not in separator.rates or separator.sources != 2:
        raise SystemExit(f"{options.model} is no model of 2 talkers at {RATE} Hz")
    plan = separator.at(RATE).plan
    rng, rows = np.random.default_rng(options.seed), []
    every_joint: Joints = []
    for talk in conversations(options.speech, options.split, options.minutes, options.seed):
        leaky = oracle(talk, plan, rng)
        found, its_joints = checkpoint(talk, plan, separator)
        every_joint += its_joints
        rows.append({"talkers": talk.talkers, "oracle": leaky, "checkpoint": found})
        print(f"{len(rows)}: {', '.join(talk.talkers)}", file=sys.stderr)
    chunks = sum(row["oracle"]["chunks"] for row in rows)
    right = sum(row["oracle"]["right"] for row in rows)
    return {
        "split": options.split,
        "seed": options.seed,
        "minutes": options.minutes,
        "conversations": len(rows),
        "model": str(options.model),
        "chunk": chunk,
        "precision": separator.precision,
        "machine": in_words(machine(separator.device)),
        "oracle": {"chunks": chunks, "right": right, "share": right / chunks},
        "checkpoint": summary([row["checkpoint"] for row in rows]),
        "joints": by_confidence(every_joint),
        "rows": rows,
    }


def summary(found: list[dict]) -> dict[str, dict]:
    """Statistics of each score (dB) over conversations, and of what one order loses in each."""
    scores = {key: [each[key] for each in found] for key in SCORES}
    loss = np.subtract(scores["si_sdr_best_order"], scores["si_sdr"])
    return {key: describe(values) for key, values in (*scores.items(), ("loss", loss))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speech", type=Path, required=True, help="manifest CSV")
    parser.add_argument("--model", default="dce-2spk")
    parser.add_argument("--split", default="test")
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--chunk", type=float, nargs="+", default=[8.0], help="seconds")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    results = [measure(options, chunk) for chunk in options.chunk]
    for result in results:
        tell(result)
    if options.json:
        write_text(options.json, to_json(results[0] if len(results) == 1 else results) + "\n")


def tell(result: dict) -> None:
    """Print both figures."""
    leaky, talks = result["oracle"], result["conversations"]
    told = {key: cell(figure) for key, figure in result["checkpoint"].items()}
    print(f"chunks of {result['chunk']:g} s")
    print(f"leaky oracle: {leaky['right']} of {leaky['chunks']} chunks right, {leaky['share']:.2%}")
    print(
        f"{result['model']}, {talks} conversations: SI-SDR {told['si_sdr']} dB in one order, "
        f"{told['si_sdr_best_order']} in the best for each chunk, {told['loss']} more; "
        f"{told['si_sdr_as_given']} as the network has them"
    )
    for row in result["joints"]:
        print(f"joints of confidence {row['mean']:.2f}: {row['joints']}, {row['right']:.1%} right")


if __name__ == "__main__":
    main()

"""Which recordings of noise there are, and the parts of them in which something sounds."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cplxsep.audio.level import frame_of
from cplxsep.data.manifest import Utterance, probed, read_manifest
from cplxsep.errors import InputError

_LONGEST_WEIGHT = 20.0  # seconds
# Lossy coding turns digital silence into values of a few steps of 16 bits.
_SILENT = 1e-4


def load_noise(source: Path, report: Callable[[InputError], None] | None = None) -> list[Utterance]:
    """Recordings of a manifest CSV, which needs no column speaker, or of a folder at any depth.

    Each recording counts as a speaker of its own, so that splits keep it whole; in a folder its
    split is "". Files that are no readable audio, and closed folders, are told to `report`.
    InputError: missing, or nothing usable in it.
    """
    if not source.is_dir():
        return read_manifest(source, recordings=True)
    root = source.absolute()
    found = [
        Utterance(
            *(path, root.name, path.relative_to(root).as_posix(), ""),
            *(info.sample_rate, info.seconds),
        )
        for path, info in probed(root, report)
    ]
    if not found:
        raise InputError(f"{source} holds no audio")
    return found


def active_runs(audio: np.ndarray, sample_rate: int) -> list[tuple[int, int]]:
    """Stretches (start, end) of (S,) without digital silence, in samples; frames of 32 ms."""
    frame = frame_of(sample_rate)
    count = -(-len(audio) // frame)
    padded = np.zeros(count * frame, np.float32)
    padded[: len(audio)] = audio
    sounds = np.abs(padded.reshape(count, frame)).max(axis=1) > _SILENT * np.abs(audio).max()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sounds, [False]]).astype(np.int8)))
    runs = edges.reshape(-1, 2) * frame
    return [(int(start), min(int(end), len(audio))) for start, end in runs]


def active_parts(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """The audio (S,) with its digital silence taken out."""
    runs = active_runs(audio, sample_rate)
    return np.concatenate([audio[:0], *(audio[start:end] for start, end in runs)])


def stretch(audio: np.ndarray, samples: int, fade: int) -> np.ndarray:
    """Audio (S,) repeated to at least `samples`, each joint cross-faded over `fade` samples."""
    fade = min(fade, len(audio) // 2)
    if len(audio) >= samples or len(audio) == fade:
        return audio
    ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    # Equal power: the two ends of a noise are not alike.
    joint = audio[:fade] * np.sqrt(ramp) + audio[len(audio) - fade :] * np.sqrt(1 - ramp)
    turn = np.concatenate([joint, audio[fade : len(audio) - fade]])
    turns = -(-samples // len(turn)) + 1
    looped = np.tile(turn, turns)
    return np.concatenate([audio[:fade], looped[fade:]]).astype(np.float32)


def odds(seconds: Sequence[float]) -> np.ndarray:
    """How likely each recording of noise is drawn: by its length, but long ambiences no more."""
    weights = np.minimum(seconds, _LONGEST_WEIGHT)
    return weights / weights.sum()

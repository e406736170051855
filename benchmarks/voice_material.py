"""What voices are learnt from: frames of talkers, as they were recorded, at three speeds."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from cplxsep.audio.atomic import replacing
from cplxsep.audio.level import frame_of
from cplxsep.audio.resample import change_speed
from cplxsep.data.cache import open_cache
from cplxsep.data.manifest import Utterance
from cplxsep.networks.bands import band_powers

RATE = 16000
FRAME = frame_of(RATE)
SPEEDS = (1.0, 0.9, 1.1)  # each makes another talker of one
LOUD, RANGE = 0.95, 25.0  # quantile of the levels, and dB below it that speech is
LEAST_FRAMES = 80  # of speech, 1.3 s


@dataclass(frozen=True)
class Heard:
    """A talker in one recording: bands (T, BANDS) in dB every half frame; where speech is (T,).

    kind: recordings of one kind sound alike but for who speaks.
    """

    talker: str
    kind: str
    bands: np.ndarray
    speech: np.ndarray


def bands_of(audio: np.ndarray) -> np.ndarray:
    """Powers in bands (..., T, BANDS) every half frame of (..., S), in dB, float16."""
    frames = torch.from_numpy(np.ascontiguousarray(audio, np.float32)).unfold(-1, FRAME, FRAME // 2)
    return (10 * torch.log10(band_powers(frames, RATE) + 1e-9)).half().numpy()


def as_recorded(
    utterances: Sequence[Utterance], cache: Path | None, speeds: Sequence[float] = SPEEDS
) -> Iterator[Heard]:
    """Each utterance at each of the speeds."""
    speech = open_cache(utterances, RATE, cache)
    for speed in speeds:
        for index, position in enumerate(speech.kept):
            utterance = utterances[int(position)]
            audio = speech.audio(index).astype(np.float32) / 32768
            bands = bands_of(audio if speed == 1 else change_speed(audio, speed))
            levels = bands.max(axis=1).astype(np.float32)
            if not len(levels):
                continue
            spoken = levels > np.quantile(levels, LOUD) - RANGE
            name = f"at {speed}"
            yield Heard(f"{utterance.talker} {name}", f"{_kind(utterance)} {name}", bands, spoken)


def _kind(utterance: Utterance) -> str:
    """Releases of one corpus are one."""
    found = re.match("[a-z]+", utterance.corpus)
    return found[0] if found else utterance.corpus


@dataclass
class Material:
    """Recordings end to end: bands (F, BANDS), speech (F,); frames, talker, kind of each (R,)."""

    bands: np.ndarray
    speech: np.ndarray
    frames: np.ndarray
    talker: np.ndarray
    kind: np.ndarray

    def __post_init__(self) -> None:
        self.firsts = np.cumsum(self.frames) - self.frames
        self.of_talker: dict[str, list[int]] = {}
        self.of_kind: dict[str, list[str]] = {}
        for index, (talker, kind) in enumerate(
            zip(self.talker.tolist(), self.kind.tolist(), strict=True)
        ):
            if talker not in self.of_talker:
                self.of_kind.setdefault(kind, []).append(talker)
            self.of_talker.setdefault(talker, []).append(index)

    @classmethod
    def of(cls, recordings: Iterable[Heard]) -> "Material":
        """All with enough speech."""
        kept = [item for item in recordings if item.speech.sum() >= LEAST_FRAMES]
        return cls(
            np.concatenate([item.bands for item in kept]),
            np.concatenate([item.speech for item in kept]),
            np.array([len(item.speech) for item in kept]),
            np.array([item.talker for item in kept]),
            np.array([item.kind for item in kept]),
        )

    @classmethod
    def kept_in(cls, path: Path, make: Callable[[], Iterable[Heard]]) -> "Material":
        """From a file; made and written to it where it is not there."""
        if not path.exists():
            made = cls.of(make())
            with replacing(path) as temporary:
                arrays = {field.name: getattr(made, field.name) for field in fields(cls)}
                with temporary.open("wb") as file:
                    np.savez(file, **arrays)
        with np.load(path) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})

"""What voices are learnt from: frames of talkers, as they were recorded and as a model gives them.

Every utterance once at each of three speeds, and once separated from another one of its corpus, in
rooms and noise or not: what an engine hears of a talker is a network's output. None is heard twice
in one of these, for then words would tell as much as the voice.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from cplxsep.audio.atomic import replacing
from cplxsep.audio.level import frame_of, from_db
from cplxsep.audio.resample import change_speed
from cplxsep.data.cache import SpeechCache, open_cache
from cplxsep.data.manifest import Utterance
from cplxsep.data.noise_source import NoiseSource
from cplxsep.data.rooms import different_places, load_rooms
from cplxsep.data.scene import assemble
from cplxsep.engine.separator import Separator
from cplxsep.metrics.assignment import closest
from cplxsep.networks.mel import mel_powers

RATE = 16000
FRAME = frame_of(RATE)
MODEL = "dce-talk"
SPEEDS = (1.0, 0.9, 1.1)  # each makes another talker of one
LOUD, RANGE = 0.95, 25.0  # quantile of the levels, and dB below it that speech is
DOMINANT = 2.0  # times the other output's power
LEAST_FRAMES = 80  # of speech, 1.3 s
LEVEL, SNR, NOISE_SNR = -25.0, 5.0, (5.0, 30.0)  # dB
NOISY, REVERBERANT, AFTER = 0.4, 0.4, 2.0  # shares, and seconds that a talker may begin later


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
    """Powers in mel bands (..., T, BANDS) every half frame of (..., S), in dB, float16."""
    frames = torch.from_numpy(np.ascontiguousarray(audio, np.float32)).unfold(-1, FRAME, FRAME // 2)
    return (10 * torch.log10(mel_powers(frames, RATE) + 1e-9)).half().numpy()


def as_recorded(
    utterances: Sequence[Utterance], cache: Path | None, speeds: Sequence[float] = SPEEDS
) -> Iterator[Heard]:
    """Each utterance at each of the speeds."""
    speech = open_cache(utterances, RATE, cache)
    for speed in speeds:
        for index, position in enumerate(speech.kept):
            utterance = utterances[int(position)]
            audio = _floating(speech, index)
            bands = bands_of(audio if speed == 1 else change_speed(audio, speed))
            levels = bands.max(axis=1).astype(np.float32)
            if not len(levels):
                continue
            spoken = levels > np.quantile(levels, LOUD) - RANGE
            name = f"at {speed}"
            yield Heard(f"{utterance.talker} {name}", f"{_kind(utterance)} {name}", bands, spoken)


def as_separated(
    utterances: Sequence[Utterance],
    noises: Sequence[Utterance],
    rooms: Path,
    cache: Path | None,
    seed: int,
) -> Iterator[Heard]:
    """Each utterance separated once from another talker's of its corpus."""
    rng = np.random.default_rng(seed)
    speech = open_cache(utterances, RATE, cache)
    noise, places = NoiseSource(noises, RATE, cache, None), load_rooms(rooms, RATE)
    separator = Separator.load(MODEL)
    for pair in _pairs([utterances[int(position)] for position in speech.kept], rng):
        talk = _together([_floating(speech, index) for index in pair], rng)
        scene = assemble(
            talk,
            snr_db=[0.0, rng.uniform(-SNR, SNR)],
            sample_rate=RATE,
            responses=different_places(places, 2, rng) if rng.random() < REVERBERANT else None,
            noise=noise.read(noise.plan(talk.shape[1], rng)) if rng.random() < NOISY else None,
            noise_snr_db=rng.uniform(*NOISE_SNR),
        )
        outputs = separator(scene.mixture, RATE)
        outputs = outputs[closest(scene.references, outputs)]
        own = _own(scene.references, outputs)
        for index, bands, speech_there in zip(pair, bands_of(outputs), own, strict=True):
            utterance = utterances[int(speech.kept[index])]
            yield Heard(
                f"{utterance.talker} separated",
                f"{_kind(utterance)} separated",
                bands,
                speech_there,
            )


def _kind(utterance: Utterance) -> str:
    """Releases of one corpus are one."""
    found = re.match("[a-z]+", utterance.corpus)
    return found[0] if found else utterance.corpus


def _floating(speech: SpeechCache, index: int) -> np.ndarray:
    return speech.audio(index).astype(np.float32) / 32768


def _pairs(utterances: Sequence[Utterance], rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Positions of two talkers of one kind, each position once, in random order."""
    waiting: dict[str, int] = {}
    for index in rng.permutation(len(utterances)).tolist():
        kind = _kind(utterances[index])
        other = waiting.get(kind)
        if other is None or utterances[other].talker == utterances[index].talker:
            waiting[kind] = index
        else:
            del waiting[kind]
            yield other, index


def _together(pair: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Two utterances (2, S) that begin at different times, at one level."""
    begins = [int(rng.uniform(0, AFTER) * RATE) * which for which in rng.permutation(2)]
    talk = np.zeros((2, max(b + len(a) for a, b in zip(pair, begins, strict=True))), np.float32)
    for row, audio, begin in zip(talk, pair, begins, strict=True):
        row[begin : begin + len(audio)] = audio * (from_db(LEVEL) / max(audio.std(), 1e-6))
    return talk


def _own(references: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """In which half frames (2, T) an output is loud, the louder one, and its own talker's."""
    theirs, found = (
        torch.from_numpy(np.ascontiguousarray(rows)).unfold(-1, FRAME, FRAME // 2).double()
        for rows in (references, outputs)
    )
    powers = found.square().mean(-1).numpy()
    loud = np.quantile(powers.max(axis=0), LOUD)
    same = (theirs * found).sum(-1).numpy()
    crossed = (theirs.flip(0) * found).sum(-1).numpy()
    heard = (powers > loud * from_db(-RANGE) ** 2) & (powers > DOMINANT * powers[::-1])
    return heard & (same > crossed)


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

"""Speech-like noise for tests that need talkers but no real corpus."""

import os
from pathlib import Path

import numpy as np
import soundfile


def babble(seconds: float, sample_rate: int, seed: int) -> np.ndarray:
    """(S,) float32: noise in syllables, with pauses between."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * sample_rate)
    syllables = rng.uniform(0.0, 1.0, samples // (sample_rate // 5) + 2)
    loudness = np.interp(
        np.arange(samples) / (sample_rate / 5), np.arange(len(syllables)), syllables
    )
    noise = rng.standard_normal(samples).cumsum()
    noise -= np.convolve(noise, np.ones(64) / 64, "same")
    speech = noise * np.maximum(loudness - 0.3, 0.0)
    return (0.3 * speech / np.abs(speech).max()).astype(np.float32)


def make_speech(
    folder: Path, *, speakers: int, utterances: int = 2, sample_rate: int = 8000, first: int = 0
) -> Path:
    """Write `speakers` sub-folders of WAV files of 0.6 to 1.2 s."""
    for speaker in range(first, first + speakers):
        own = folder / f"spk{speaker:02d}"
        own.mkdir(parents=True)
        for number in range(utterances):
            seconds = 0.6 + 0.1 * ((3 * speaker + 2 * number) % 7)
            audio = babble(seconds, sample_rate, 100 * speaker + number)
            soundfile.write(own / f"utt{number}.wav", audio, sample_rate)
    return folder


def make_manifest(folder: Path, *, per_split: int = 3, sample_rate: int = 8000) -> Path:
    """Write a speech.csv of three splits beside its recordings."""
    make_speech(folder / "speech", speakers=3 * per_split, sample_rate=sample_rate)
    lines = ["path,corpus,speaker,split,sample_rate,seconds"]
    for file in sorted((folder / "speech").rglob("*.wav")):
        number = int(file.parent.name[3:])
        split = ("train", "valid", "test")[number // per_split]
        seconds = soundfile.info(file).duration
        path = file.relative_to(folder).as_posix()
        lines.append(f"{path},babble,{file.parent.name},{split},{sample_rate},{seconds}")
    (folder / "speech.csv").write_text("\n".join(lines) + "\n")
    return folder / "speech.csv"


def make_hall(path: Path, rate: int, rng: np.random.Generator) -> None:
    """A room response of three channels, whose direct sound comes at sample 100."""
    decay = np.exp(-np.arange(2000) / 400)[:, None] * rng.standard_normal((2000, 3)) * 0.1
    decay[100] = 0.9
    soundfile.write(path, decay, rate)


def endless(path: Path) -> None:
    """A WAV of a day of silence that takes no room: no test reads it to its end."""
    soundfile.write(path, np.zeros(0), 8000, subtype="PCM_16")
    header = bytearray(path.read_bytes())
    size = 24 * 3600 * 8000 * 2
    header[4:8] = (len(header) - 8 + size).to_bytes(4, "little")
    header[-4:] = size.to_bytes(4, "little")
    path.write_bytes(header)
    os.truncate(path, len(header) + size)

"""Room responses: reverberant speech, and the direct and early part of it as the reference."""

from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve

from cplxsep.audio import io
from cplxsep.audio.resample import resample
from cplxsep.data.manifest import audio_files
from cplxsep.errors import InputError

EARLY_SECONDS = 0.05
_BEFORE_SECONDS = 0.002  # what a direct sound's own rise may take


def load_rooms(folder: Path, sample_rate: int) -> list[np.ndarray]:
    """Responses (S,) of a folder at `sample_rate`, each channel one, direct sound first, peak 1.

    InputError: no folder, or no audio in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder of room responses")
    rooms = []
    for path, _ in audio_files(folder):
        audio, rate = io.read(path)
        for channel in resample(audio, rate, sample_rate):
            # From its direct sound on, a response delays nothing: speech and reference align.
            start = int(np.argmax(np.abs(channel)))
            if channel[start]:
                begin = max(start - round(_BEFORE_SECONDS * sample_rate), 0)
                rooms.append(channel[begin:] / np.abs(channel[start]))
    if not rooms:
        raise InputError(f"{folder} holds no room response")
    return rooms


def reverberate(
    speech: np.ndarray, room: np.ndarray, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Speech (S,) in a room, and its direct and early part (50 ms), both float32 (S,)."""
    early = room[: round((_BEFORE_SECONDS + EARLY_SECONDS) * sample_rate)]
    wet = fftconvolve(speech, room)[: len(speech)]
    near = fftconvolve(speech, early)[: len(speech)]
    return wet.astype(np.float32), near.astype(np.float32)

"""Containers and sample types, as libsndfile wants them."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from cplxsep.errors import InputError

_SUBTYPES = {"float": "FLOAT", "pcm16": "PCM_16", "pcm24": "PCM_24"}
_LOSSY = {"ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}  # one sample type each
_BITS = {"PCM_16": 16, "PCM_24": 24}
_LARGEST_WAV = 0xFFFF0000  # bytes
_MOST_CHANNELS = {"flac": 8, "ogg": 255, "mp3": 2}  # libsndfile reads no more than WAV holds
_HIGHEST_VORBIS = 200_000  # Hz; libsndfile crashes above
# Hz: a frame of FLAC tells its rate in 16 bits, above that in tens of Hz.
_HIGHEST_FLAC, _HIGHEST_FLAC_IN_TENS = 65_535, 655_350
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# libsndfile's Vorbis encoder keeps each write on its stack: long ones crash it.
WRITE_FRAMES = 1 << 16


def libsndfile_format(kind: str, samples: int) -> str:
    """libsndfile's name of a container; sizes in a WAV file are 32-bit numbers."""
    return "RF64" if kind == "wav" and 4 * samples > _LARGEST_WAV else kind.upper()


def libsndfile_subtype(kind: str, subtype: str) -> str:
    """libsndfile's name of a sample type in a container wav, flac, ogg or mp3.

    FLAC holds no float and gets 24 bits; Ogg is always Vorbis. ValueError: no such combination.
    """
    if kind not in ("wav", "flac", *_LOSSY) or subtype not in _SUBTYPES:
        raise ValueError(f"cannot write {kind or 'no container'} with subtype {subtype}")
    if kind in _LOSSY:
        return _LOSSY[kind]
    if kind == "flac" and subtype == "float":
        return "PCM_24"
    return _SUBTYPES[subtype]


def check_rate(path: Path, kind: str, sample_rate: int) -> None:
    """InputError: a container wav, flac, ogg or mp3 cannot have this sample rate."""
    if kind == "mp3" and "MP3" not in soundfile.available_formats():
        raise InputError(f"cannot write {path}: this libsndfile writes no mp3; use ogg")
    if kind == "mp3" and sample_rate not in _MP3_RATES:
        raise InputError(
            f"cannot write {path}: mp3 has no rate of {sample_rate} Hz; use ogg, wav or flac"
        )
    in_tens = sample_rate % 10 == 0 and sample_rate <= _HIGHEST_FLAC_IN_TENS
    if kind == "flac" and sample_rate > _HIGHEST_FLAC and not in_tens:
        raise InputError(f"cannot write {path}: flac has no rate of {sample_rate} Hz; use wav")
    if kind == "ogg" and sample_rate > _HIGHEST_VORBIS:
        raise InputError(
            f"cannot write {path}: ogg goes up to {_HIGHEST_VORBIS} Hz, this is {sample_rate} Hz; "
            "use wav or flac"
        )


def check_channels(path: Path, kind: str, channels: int) -> None:
    """InputError: a container wav, flac, ogg or mp3 cannot have so many channels."""
    most = _MOST_CHANNELS.get(kind, channels)
    if channels > most:
        raise InputError(
            f"cannot write {path}: {kind} holds up to {most} channels, this has {channels}; use wav"
        )


def encode(data: np.ndarray, subtype: str) -> np.ndarray:
    """Samples as `soundfile` must get them so that what is read equals what was written."""
    # libsndfile writes floats times 2^15 - 1 but reads them over 2^15.
    bits = _BITS.get(subtype)
    if bits is None:
        return data.astype(np.float32)
    full = 1 << (bits - 1)
    steps = np.clip(np.rint(data.astype(np.float64) * full), -full, full - 1)
    return steps.astype(np.int16) if bits == 16 else steps.astype(np.int32) << 8


def file_name(path: Path) -> Any:
    """A path as `soundfile` opens it."""
    # Bytes carry names that are no valid UTF-8; Windows needs text.
    return str(path) if sys.platform == "win32" else os.fsencode(path)

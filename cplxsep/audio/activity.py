"""Who is heard when, by the levels of separated voices."""

import numpy as np

from cplxsep.audio.level import frame_of, from_db, rms

# A frame is speech if it is so far above the background, the tenth of the frames that is softest;
# but from 35 dB under the loudest frames at the most, and from 20 dB at the least: where nobody
# pauses, the softest tenth is speech, too.
_ABOVE_DB, _RANGE_DB = 8.0, (-35.0, -20.0)
# What is this far under another voice at the same time is taken for what leaks out of it.
_LEAK_DB = -15.0
_GAP_SECONDS = 0.4  # shorter pauses belong to the speech around them
_BURST_SECONDS = 0.1  # shorter sounds are none

Segments = list[tuple[float, float]]


class Activity:
    """Levels of voices that come in blocks, 4 bytes a voice and 32 ms."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._frame = frame_of(sample_rate)
        self._rest: np.ndarray | None = None
        self._levels: list[np.ndarray] = []

    def push(self, block: np.ndarray) -> None:
        """Take a block (N, S) of the voices."""
        if self._rest is not None:
            block = np.concatenate([self._rest, block], axis=1)
        whole = block.shape[1] // self._frame * self._frame
        frames = block[:, :whole].reshape(len(block), -1, self._frame)
        self._levels.append(rms(frames).astype(np.float32))
        self._rest = block[:, whole:].copy()

    def segments(self) -> list[Segments]:
        """For each voice, when it speaks: (start, end) in seconds, in order."""
        if not self._levels:
            return []
        levels = np.concatenate(self._levels, axis=1)
        if not levels.size:
            return [[] for _ in levels]
        heard = levels.max(axis=0)
        floor, loud = np.quantile(heard, 0.1), np.quantile(heard, 0.995)
        least, most = (loud * from_db(decibels) for decibels in _RANGE_DB)
        speaks = levels > np.clip(floor * from_db(_ABOVE_DB), least, most)
        speaks &= levels > heard * from_db(_LEAK_DB)
        return [self._joined(row) for row in speaks]

    def _joined(self, speaks: np.ndarray) -> Segments:
        step = self._frame / self._rate
        edges = np.flatnonzero(np.diff(np.concatenate([[0], speaks.astype(np.int8), [0]])))
        found: Segments = []
        for start, end in edges.reshape(-1, 2) * step:
            if found and start - found[-1][1] < _GAP_SECONDS:
                found[-1] = (found[-1][0], float(end))
            else:
                found.append((float(start), float(end)))
        return [(start, end) for start, end in found if end - start >= _BURST_SECONDS]


def shifted(segments: Segments, seconds: float) -> Segments:
    """Segments so much later."""
    return [(start + seconds, end + seconds) for start, end in segments]


def rttm(name: str, voices: list[Segments]) -> str:
    """Segments as RTTM: lines SPEAKER NAME 1 START SECONDS ... of speakers s1, s2, ..., by time."""
    lines = sorted(
        (start, end, f"s{number}")
        for number, segments in enumerate(voices, 1)
        for start, end in segments
    )
    # Fields are separated by spaces: a name must have none.
    file = "_".join(name.split()) or "_"
    return "".join(
        f"SPEAKER {file} 1 {start:.3f} {end - start:.3f} <NA> <NA> {speaker} <NA> <NA>\n"
        for start, end, speaker in lines
    )

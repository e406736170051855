"""How loud recordings are from frame to frame: enough to draw examples without their audio."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sketch:
    """Recordings end to end, by their powers in frames of `frame` samples, all of one length.

    Frames go by the samples of all recordings, not by where each begins. `levels`: RMS of each
    recording, in the same unit.
    """

    starts: np.ndarray
    levels: np.ndarray
    powers: np.ndarray
    frame: int

    def length(self, index: int) -> int:
        """Of recording `index`, in samples."""
        return int(self.starts[index + 1] - self.starts[index])

    def level(self, index: int, start: int = 0, samples: int | None = None) -> float:
        """RMS of so many samples of recording `index` from `start` on, or of all."""
        if samples is None:
            return float(self.levels[index])
        first = int(self.starts[index]) + start
        return float(np.sqrt(self.powers[self.frames(first, first + samples)].mean()))

    def peak(self, index: int) -> int:
        """A sample in the frame where recording `index` is loudest."""
        start, end = int(self.starts[index]), int(self.starts[index + 1])
        own = self.frames(start, end)
        middle = (own.start + int(np.argmax(self.powers[own])) + 0.5) * self.frame
        return min(max(int(middle), start), end - 1) - start

    def frames(self, first: int, last: int) -> slice:
        """Those that lie between two samples; one of them at the least."""
        begin = min(-(-first // self.frame), len(self.powers) - 1)
        return slice(begin, max(min(last // self.frame, len(self.powers)), begin + 1))

    def read(self, index: int, begin: int, samples: int, speed: float) -> "Span":
        """What is heard of recording `index`: so many samples from `begin` on, at a speed."""
        origin = int(self.starts[index]) + begin
        return Span(self, origin, samples, speed, 0, max(round(samples / speed), 1))


@dataclass(slots=True)
class Span:
    """Speech that lies in a device's memory: a `Sound` whose samples are not there.

    Of the stretch of `samples` from `origin` on, played `speed` times as fast: `count` samples
    from sample `first` on, times `gain`; the ends of `faded` samples have a fade of `fade`.
    """

    sketch: Sketch
    origin: int
    samples: int
    speed: float
    first: int
    count: int
    gain: float = 1.0
    fade: int = 0
    length: int = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, part: slice) -> "Span":
        start, stop, _ = part.indices(self.count)
        return self._like(self.first + start, max(stop - start, 0), self.gain)

    def levels(self, frame: int) -> np.ndarray:
        """RMS of each whole frame of so many samples, by the frames of the sketch."""
        own = self.sketch.frames(self.origin, self.origin + self.samples)
        middles = self.first + frame * (np.arange(self.count // frame) + 0.5)
        at = ((self.origin + middles * self.speed) * (1 / self.sketch.frame)).astype(np.int64)
        at = np.minimum(np.maximum(at, own.start), own.stop - 1)
        return np.sqrt(self.sketch.powers[at]) * self.gain

    def over(self, level: float) -> "Span":
        """Divided by a level."""
        return self._like(self.first, self.count, self.gain / level)

    def faded(self, samples: int) -> "Span":
        """With a fade of so many samples at both ends."""
        span = self._like(self.first, self.count, self.gain)
        span.fade, span.length = samples, self.count
        return span

    def _like(self, first: int, count: int, gain: float) -> "Span":
        own = self.sketch, self.origin, self.samples, self.speed
        return type(self)(*own, first, count, gain, self.fade, self.length)

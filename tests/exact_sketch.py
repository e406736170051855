"""What drawing needs of speech, known to the sample. Processes that draw load this: no torch."""

from dataclasses import dataclass

import numpy as np

from cplxsep.audio.level import rms
from cplxsep.data.cache import SpeechCache
from cplxsep.data.drawing.sketch import Sketch, Span


class ExactSpan(Span):
    """Speech whose levels are those of its samples, from its own beginning on."""

    def levels(self, frame):
        begin = self.origin + self.first
        audio = self.sketch.cache.samples[begin : begin + self.count // frame * frame]
        return self.gain * rms(audio.reshape(-1, frame).astype(np.float32))


@dataclass(frozen=True)
class ExactSketch(Sketch):
    """A sketch that knows to the sample where speech is loud."""

    cache: SpeechCache

    def level(self, *place):
        return self.cache.level(*place)

    def peak(self, index):
        return self.cache.peak(index)

    def read(self, index, begin, samples, speed):
        return ExactSpan(self, int(self.starts[index]) + begin, samples, speed, 0, samples)

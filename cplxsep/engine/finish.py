"""The last touch to separated blocks: what else the input holds, spread, kept or given beside."""

from dataclasses import dataclass

import numpy as np

from cplxsep.engine.bands import Above, follow_gain


@dataclass(frozen=True)
class Finish:
    """What is done with what the sources leave of the input.

    sum_to_mix: spread it equally over the sources. rest: give it as one more row.
    above: what becomes of the input's band above the model's; with one source only.
    """

    sum_to_mix: bool = False
    rest: bool = False
    above: Above = "drop"

    @property
    def needs_input(self) -> bool:
        """Whether `apply` has to see the input."""
        return self.sum_to_mix or self.rest or self.above != "drop"

    def guides(self, chunk: np.ndarray, sources: np.ndarray, sample_rate: int) -> np.ndarray:
        """Rows (K, S) that must go the same way as the sources (N, S) of a chunk (S,)."""
        if self.above == "drop":
            return sources[:0]
        rows = [chunk]
        if self.above == "follow":
            rows.append(follow_gain(chunk, sources[0], sample_rate))
        return np.stack(rows)

    def apply(self, rows: np.ndarray, sources: int, heard: np.ndarray) -> np.ndarray:
        """Finished block (N or N+1, S) from sources and guides, with the input (S,) there."""
        part, guides = rows[:sources], rows[sources:]
        if len(guides):
            # What resampling down and up again has taken from the input is its upper band.
            above = heard - guides[0]
            part = part + (above * guides[1].clip(0, 1) if len(guides) > 1 else above)
        if self.sum_to_mix:
            part = part + (heard - part.sum(axis=0)) / len(part)
        if self.rest:
            part = np.concatenate([part, (heard - part.sum(axis=0))[None]])
        return part

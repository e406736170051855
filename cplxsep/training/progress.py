"""How far a run has come."""

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """What a run has done so far; part of the checkpoint. Times in seconds."""

    step: int = 0
    bad_steps: int = 0
    bad_in_a_row: int = 0
    audio: float = 0.0
    busy: float = 0.0
    best: float = float("-inf")
    history: list[tuple[int, float]] = field(default_factory=list)
    averaged: int = -1  # step at which the best weights were averaged last
    # Step and score of the last validation that did not count: at the end of a piece of a run.
    piece: tuple[int, float] = (-1, float("-inf"))

    @property
    def speed(self) -> float:
        """Seconds of audio a second."""
        return self.audio / max(self.busy, 1e-9)

    def count(self, finite: bool) -> None:
        """One step more, which did nothing where it was not finite."""
        self.step += 1
        self.bad_steps += not finite
        self.bad_in_a_row = 0 if finite else self.bad_in_a_row + 1

    def facts(self, score: float | None = None) -> dict[str, Any]:
        """What a published model tells of its training; its score is the best unless given."""
        return {
            "training": {
                "step": self.step,
                "audio_hours": round(self.audio / 3600, 2),
                "hours": round(self.busy / 3600, 3),
            },
            "valid": {"si_sdr_i": round(self.best if score is None else score, 3)},
        }

    def validated(self) -> bool:
        """Whether the weights of this step have been validated."""
        return bool(self.history) and self.history[-1][0] == self.step

    def since_best(self, every: int) -> int:
        """Validations since the best one, of those `every` so many steps.

        A run in pieces has one more at the end of each piece, which must not end it sooner.
        """
        scores = [score if math.isfinite(score) else -math.inf for _, score in self.history]
        first = scores.index(max(scores)) + 1 if scores else 0
        return sum(step % every == 0 for step, _ in self.history[first:])

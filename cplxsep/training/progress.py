"""How far a run has come."""

import math
from dataclasses import dataclass, field


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

    def validated(self) -> bool:
        """Whether the weights of this step have been validated."""
        return bool(self.history) and self.history[-1][0] == self.step

    def since_best(self) -> int:
        """Validations since the best one."""
        scores = [score if math.isfinite(score) else -math.inf for _, score in self.history]
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0

"""The time that a run has."""

import math
import time


class Clock:
    """Tells whether a run is late, and which share of the time for its steps is gone.

    deadline: of the monotonic clock, infinite where there is none.
    """

    def __init__(self, deadline: float = math.inf) -> None:
        self.deadline = deadline
        self._begun: float | None = None

    def late(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() > self.deadline

    def share(self) -> float:
        """Share that is gone of the time from the first question, which the first step asks."""
        now = time.monotonic()
        if self._begun is None:
            self._begun = now
        return min(1.0, (now - self._begun) / max(self.deadline - self._begun, 1e-9))

    def restart(self) -> None:
        """Count from the next question on: what was done until now were no steps.

        A graph of a step is ten seconds in the making, the whole warm-up of a run of minutes.
        """
        self._begun = None

"""Groups of processes that a test has begun, seen from outside."""

import os
import time


def ends(group: int, *, within: float) -> bool:
    """Whether all processes of a group are gone after so many seconds, or before."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False

"""What users are told of recordings whose sample rate is none of the model's."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cplxsep.engine.one_file import Settings
    from cplxsep.engine.work import Running

FATES = {
    "follow": "attenuated as the band below it",
    "keep": "kept as it is",
    "drop": "dropped",
}


def rate_notes(running: "Running", settings: "Settings", done: str) -> Iterator[str]:
    """A line for each of the files' rates, in Hz, that the model does not run at.

    done: what the command does with files, as a participle.
    """
    for rate, used in running.used.items():
        if rate in running.rates:
            continue
        if used > rate:
            yield f"files at {rate} Hz are brought to {used} Hz, the lowest rate of this model"
            continue
        why = "all that this model hears"
        if used < running.rates[-1]:
            next_rate = running.rates[running.rates.index(used) + 1]
            why = f"as this model's next rate is {next_rate} Hz"
        above = _of_the_band_above(settings)
        yield f"files at {rate} Hz are {done} up to {used // 2} Hz, {why}{above}"


def _of_the_band_above(settings: "Settings") -> str:
    """What becomes of it, where the user has a choice."""
    if settings.enhancement is None or settings.at_model_rate:
        return ""
    return f"; the band above is {FATES[settings.enhancement.above]} (--above)"

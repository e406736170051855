"""What users are told of recordings whose sample rate is none of the model's."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cplxsep.engine.one_file import Settings
    from cplxsep.engine.separator import Separator

FATES = {
    "follow": "attenuated as the band below it",
    "keep": "kept as it is",
    "drop": "dropped",
}


def rate_notes(
    rates: Iterable[int], separator: "Separator", settings: "Settings", done: str
) -> Iterator[str]:
    """A line for each of the files' rates, in Hz, that the model does not run at.

    done: what the command does with files, as a participle.
    """
    for rate in rates:
        if rate in separator.rates:
            continue
        used = separator.rate_for(rate)
        if used > rate:
            yield f"files at {rate} Hz are brought to {used} Hz, the lowest rate of this model"
            continue
        why = "all that this model hears"
        if used < separator.rates[-1]:
            next_rate = separator.rates[separator.rates.index(used) + 1]
            why = f"as this model's next rate is {next_rate} Hz"
        above = _of_the_band_above(settings)
        yield f"files at {rate} Hz are {done} up to {used // 2} Hz, {why}{above}"


def _of_the_band_above(settings: "Settings") -> str:
    """What becomes of it, where the user has a choice."""
    if settings.enhancement is None or settings.at_model_rate:
        return ""
    return f"; the band above is {FATES[settings.enhancement.above]} (--above)"

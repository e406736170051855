"""Reports the decoding that comes before a first run's steps: how much, where to, how far."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import track

from cplxsep.data.cache import Making

SHORT = 600.0  # seconds of audio that are decoded before anybody wonders


def reported(
    console: Console | None, say: Callable[[str], None]
) -> Callable[[Iterable[Any], Making], Iterator[Any]]:
    """What `cache.watched` takes: a line before, and a bar where there is a console."""

    def watch(results: Iterable[Any], making: Making) -> Iterator[Any]:
        if making.seconds < SHORT:
            yield from results
            return
        say(
            f"decoding {making.recordings} recordings ({making.seconds / 3600:.1f} h), once, into "
            f"{making.path.parent}: {making.size / 1e6:.0f} MB"
        )
        yield from track(
            results,
            "decoding",
            total=making.recordings,
            console=console,
            transient=True,
            disable=console is None,
        )

    return watch

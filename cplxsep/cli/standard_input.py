"""A recording that comes on standard input."""

import os
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cplxsep.errors import InputError

if TYPE_CHECKING:
    from cplxsep.engine.find import Found
    from cplxsep.engine.naming import Naming


def standard_input(naming: "Naming", stack: ExitStack) -> "Found":
    """What comes on standard input, kept for as long as the stack is open where that must be."""
    from cplxsep.audio.pipe import NotStreamableError, WavStream
    from cplxsep.engine.find import Found
    from cplxsep.engine.writing import spooled

    if sys.stdin is None:
        raise InputError("<stdin> is closed: pipe an audio file into it")
    # Where the other end made it so, a read would give nothing as if all had come.
    with suppress(OSError, ValueError, AttributeError):
        os.set_blocking(sys.stdin.fileno(), True)
    # Not the buffer: its lock would keep Python from ending while a thread waits for a slow pipe.
    source = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    try:
        stream = WavStream(source, "<stdin>")
        if not naming.reads_again:
            return Found(Path("<stdin>"), "<stdin>", "stdin", "stdin", stream=stream)
        head = stream.head
    except NotStreamableError as error:
        head = error.head
    path = stack.enter_context(spooled(source, head))
    return Found(path, "<stdin>", "stdin", "stdin")

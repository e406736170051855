"""Optional compilation of the few functions in which training spends most of its time.

Compiling takes seconds for every new shape, so it is off until `enable` is called: training
does, commands on one file do not. Where no C++ compiler works, everything stays eager.
"""

from collections.abc import Callable
from typing import Any

import torch

_enabled = False
_compiled: dict[Callable[..., Any], Callable[..., Any]] = {}


def enable() -> str | None:
    """Compile from now on. Returns why that is not possible here, or None."""
    global _enabled
    reason = _probe()
    _enabled = reason is None
    return reason


def disable() -> None:
    """Run everything eagerly again."""
    global _enabled
    _enabled = False


def call(function: Callable[..., Any], *args: Any) -> Any:
    """Call `function`, in its compiled form when that is enabled."""
    if not _enabled or torch.compiler.is_compiling():
        return function(*args)
    if function not in _compiled:
        # One form for each shape: static shapes were measured twice as fast as dynamic ones.
        torch._dynamo.config.cache_size_limit = max(64, torch._dynamo.config.cache_size_limit)
        _compiled[function] = torch.compile(function, dynamic=False)
    return _compiled[function](*args)


def _probe() -> str | None:
    """Compile something tiny; the reason in one line if that fails."""
    try:
        torch.compile(lambda x: torch.relu(x) + 1, dynamic=False)(torch.zeros(4, 4))
    except Exception as error:  # the compiler, its headers or its linker may be missing
        lines = [line for line in str(error).splitlines() if line.strip()]
        return lines[0][:200] if lines else type(error).__name__
    return None

"""Speech separation and enhancement with complex-valued networks."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cplxsep.engine.separator import Separator

__all__ = ["Separator"]


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]


def __getattr__(name: str) -> Any:
    # Imported on first use: the command line must answer --help without loading torch.
    if name == "Separator":
        from cplxsep.engine.separator import Separator

        return Separator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

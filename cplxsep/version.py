"""The version of this package."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """As installed; "unknown" in a checkout that is only on Python's path."""
    try:
        return version("cplxsep")
    except PackageNotFoundError:
        return "unknown"

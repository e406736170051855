"""Paths of a configuration, in which ~ is the home folder."""

from pathlib import Path

from cplxsep.config.whole import Config
from cplxsep.errors import UsageError


def user_path(text: str) -> Path:
    """A path as a user writes it. UsageError: there is no such user."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f"{text}: there is no such home folder") from None


def expanded(config: Config) -> Config:
    """The configuration with paths that can be opened. UsageError as for `user_path`."""
    changed = {}
    for section, keys in (
        ("data", ("speech", "mixtures", "cache")),
        ("noise", ("recordings", "rooms")),
    ):
        own = getattr(config, section)
        paths = {key: str(user_path(text)) for key in keys if (text := getattr(own, key))}
        changed[section] = own.model_copy(update=paths)
    return config.model_copy(update=changed)

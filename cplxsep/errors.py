"""Errors that a person caused or can mend: one line each, with the command's exit code."""

import warnings


class CplxsepError(Exception):
    """Base of all errors whose message is written for the user of a command."""

    exit_code = 1


class InputError(CplxsepError):
    """One input file or folder is bad; other inputs can go on."""

    exit_code = 1


class LostError(InputError):
    """Whoever worked on an input died at it, again and again."""


class UsageError(CplxsepError):
    """Wrong arguments or a wrong configuration."""

    exit_code = 2


class ModelError(CplxsepError):
    """A model is missing, corrupt, or does not fit its configuration."""

    exit_code = 3


class DeviceError(CplxsepError):
    """A device cannot be used, or its memory does not suffice."""

    exit_code = 4


class Note(UserWarning):
    """Something that a user should know of an input that is used all the same; one line."""


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line: its first, or else its name."""
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


def tell(text: str) -> None:
    """Give a Note."""
    warnings.warn(text, Note, stacklevel=2)

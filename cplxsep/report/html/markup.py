"""HTML from text that may hold anything."""

from collections.abc import Iterable
from html import escape


class Markup(str):
    """Text that is HTML already; every other text is escaped."""

    __slots__ = ()


Content = object


def tag(name: str, /, *content: Content, **attributes: object) -> Markup:
    """An element with its content, escaped unless it is Markup.

    `class_` is the attribute class, other underscores are hyphens; None leaves an attribute out,
    True gives it no value.
    """
    parts = [name]
    for key, value in attributes.items():
        title = key.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(title)
        elif value is not None and value is not False:
            parts.append(f'{title}="{text(value)}"')
    opening = f"<{' '.join(parts)}>"
    if name in VOID:
        return Markup(opening)
    return Markup(f"{opening}{join(content)}</{name}>")


VOID = frozenset({"img", "meta", "br"})


def join(content: Iterable[Content]) -> Markup:
    """Content one after the other; None and False are left out."""
    return Markup("".join(text(item) for item in content if item is not None and item is not False))


def text(value: Content) -> str:
    """Escaped text. Names of files that are no valid text show a question mark instead."""
    if isinstance(value, Markup):
        return value
    return escape(str(value).encode("utf-8", "replace").decode("utf-8"), quote=True)


def number(value: float | None, digits: int = 2) -> str:
    """A score for people; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"  # noqa: RUF001

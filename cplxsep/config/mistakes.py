"""A mistake in a configuration, in the words of the person who made it."""

import difflib
import re

from pydantic import BaseModel, ValidationError

from cplxsep.config.model import FLAT, place

# What pydantic calls a mistake, in the words of the person who made it.
_WORDS = {
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text in quotes",
    "tuple_type": "must be a list",
    "missing": "a value is missing there",
    "too_long": "has too many values",
}


def explain(error: ValidationError, schema: type[BaseModel]) -> str:
    """First problem in one line: key, what is wrong, what is allowed or was meant."""
    problems = error.errors()
    first, kind = problems[0], problems[0]["type"]
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    more = f"; {len(problems) - 1} more after it" if len(problems) > 1 else ""
    if kind == "extra_forbidden":
        return f"unknown key '{key}'{_nearest(location, schema)}{more}"
    if kind == "value_error":  # of keys together: the message names them
        message = first["msg"].removeprefix("Value error, ")
        return f"'{key}': {message}{more}" if key else f"{message}{more}"
    if kind == "model_type":
        return f"'{key}' is a section: write its keys under [{key}]{more}"
    message = _WORDS.get(kind) or first["msg"][0].lower() + first["msg"][1:]
    meant = ""
    if kind == "literal_error":
        close = difflib.get_close_matches(
            str(first["input"]).lower(), re.findall("'([^']*)'", first["msg"]), n=1
        )
        meant = f"; did you mean '{close[0]}'?" if close else ""
    return f"'{key}': {message} (is {first.get('input')!r}){meant}{more}"


def blamed(error: ValidationError, source: str, changes: list[str]) -> str:
    """Where the first problem was made: in a change of just that key, or in the source as changed.

    Changes are written `a.b=value`.
    """
    keys = [str(part) for part in error.errors()[0]["loc"]]
    beside: list[str] = []
    for change in reversed(changes):  # the last of a key holds
        own = place(change.partition("=")[0])
        if own == keys[: len(own)]:
            return f"--set {change}"
        if keys == own[: len(keys)]:
            beside.insert(0, f"--set {change}")
    return " ".join([source, "with", *beside]) if beside else source


def _nearest(location: list[str], schema: type[BaseModel]) -> str:
    section = schema
    for part in location[:-1]:
        annotation = section.model_fields[part].annotation
        assert isinstance(annotation, type)
        section = annotation
    known, key = list(section.model_fields), location[-1]
    found = difflib.get_close_matches(key, known, n=1)
    if not found:  # in another section by this very name, or in one of the same, about
        found = [name for name in _keys(schema) if name.rpartition(".")[2] == key]
    if not found:
        top = f"{location[0]}."
        inside = {
            name.rpartition(".")[2]: name for name in _keys(schema) if name.startswith(top)
        } | {key: ".".join(place(f"{top}{key}")) for key in (FLAT if top == "model." else ())}
        found = [inside[name] for name in difflib.get_close_matches(key, inside, n=1)]
    return f"; did you mean '{found[0]}'?" if found else f"; known: {', '.join(known)}"


def _keys(schema: type[BaseModel]) -> list[str]:
    """All sections and keys of a schema, with dots, those of fewer dots first."""
    names = []
    for name, field in schema.model_fields.items():
        names.append(name)
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            names += [f"{name}.{key}" for key in _keys(section)]
    return sorted(names, key=lambda name: name.count("."))

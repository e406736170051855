"""Each named option of a model at each of its values, found in the schema."""

from typing import Literal, get_args, get_origin

from cplxsep.config import ModelConfig
from cplxsep.config.section import Section


def named(annotation):
    """The values of a key that has a few with names, or is true or false."""
    if annotation is bool:
        return [False, True]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for part in get_args(annotation) for value in named(part)]


def each(schema=ModelConfig, section=""):
    """Section (empty: [model] itself), key, value, and whether that is the default."""
    for key, field in schema.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from each(kind, key)
        else:
            for value in named(kind):
                yield section, key, value, value == field.default

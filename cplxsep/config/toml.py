"""Configurations as TOML: read, changed by `a.b=value`, and written."""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cplxsep.config.mistakes import blamed, explain
from cplxsep.config.model import in_sections, place
from cplxsep.config.whole import Config
from cplxsep.errors import UsageError


def read_config(path: Path, changes: list[str] | None = None) -> Config:
    """Configuration from a TOML file with `a.b=value` changes applied.

    Raises:
        UsageError: the file is missing or no TOML, a key is unknown, or a value is not allowed.
    """
    return parse_config(read_toml(path), str(path), changes)


def parse_config(values: dict[str, Any], source: str, changes: list[str] | None = None) -> Config:
    """Configuration from plain values; `source` names them in errors."""
    try:
        if isinstance(model := values.get("model"), dict):
            values["model"] = in_sections(model)
    except ValueError as error:
        raise UsageError(f"{source}: 'model': {error}") from None
    for change in changes or []:
        _apply(values, change)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        where = blamed(error, source, changes or [])
        raise UsageError(f"{where}: {explain(error, Config)}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Parsed TOML. Raises UsageError with the file's name."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"config {path} is not valid TOML: {error}") from None


def to_toml(config: Config) -> str:
    """The configuration as TOML, every value written out."""
    lines = []

    def write(name: str, values: dict[str, Any]) -> None:
        inner = {key: value for key, value in values.items() if isinstance(value, dict)}
        lines.append(f"[{name}]")
        lines.extend(
            f"{key} = {_literal(value)}" for key, value in values.items() if key not in inner
        )
        lines.append("")
        for key, value in inner.items():
            write(f"{name}.{key}", value)

    for section, values in config.model_dump().items():
        write(section, values)
    return "\n".join(lines)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", escaped) + '"'
    return repr(value)


def _apply(values: dict[str, Any], change: str) -> None:
    """Set one `a.b=value`; the value is TOML, or a bare word taken as a string."""
    name, separator, text = change.partition("=")
    keys = place(name)
    if not separator or not all(keys):
        raise UsageError(f"--set {change}: write it as section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise UsageError(f"--set {change}: '{key}' is no section")
    values[keys[-1]] = value

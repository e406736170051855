"""Configurations that come with the program, by name. Importing this loads no torch.

`paper/...` and `paper-code/...` are the rows of the paper's tables (`paper.py`), others are files.
"""

import difflib
import tomllib
from importlib.resources import files
from typing import Any

from cplxsep.config import Config, parse_config, to_toml
from cplxsep.config.shipped import paper
from cplxsep.config.shipped.readings import readings
from cplxsep.errors import UsageError

# Each name's file, and what it is.
_FILES = {
    "paper/conv-tasnet": ("conv-tasnet.toml", "the paper's own comparison, SDR 12.1 dB there"),
    "dce-2spk-8k-large": ("large.toml", "the network of the paper's best row, for a GPU"),
}
CODE = {"paper": False, "paper-code": True}
FAMILIES = tuple(f"{family}/" for family in CODE)  # what names begin with


def names() -> list[str]:
    """Names of all shipped configurations."""
    rows = [row.name for row in paper.rows()]
    return [f"{family}/{row}" for family in CODE for row in rows] + list(_FILES)


def load(name: str, changes: list[str] | None = None) -> Config:
    """A shipped configuration with `a.b=value` changes applied.

    Raises:
        UsageError: there is no such configuration, or a change is not allowed.
    """
    return parse_config(_values(name), f"shipped config {name}", changes)


def describe(name: str) -> str:
    """What a shipped configuration is, in one line. Raises UsageError."""
    if name in _FILES:
        return _FILES[name][1]
    row = _row(name)
    return f"Table {row.table}: {row.parameters} M parameters, SDR {row.sdr:.2f} dB there"


def text(name: str, config: Config) -> str:
    """The configuration as TOML, with what it is and which readings it follows on top."""
    changed = "" if config == load(name) else " Changed here."
    lines = [f"# {name}: {describe(name)}.{changed}"]
    if name not in _FILES:
        lines.append("# Where the paper's text and its published code disagree:")
        lines += [f"#   {line}" for line in readings(config)]
        lines.append("# Unlike in both, the network sees every mixture at unit level.")
    return "\n".join(lines) + "\n\n" + to_toml(config)


def _values(name: str) -> dict[str, Any]:
    if name in _FILES:
        return _base(_FILES[name][0])
    row, values = _row(name), _base("paper.toml")
    added = paper.changes(row, code=CODE[name.partition("/")[0]])
    for section, items in added.items():
        values[section] = values.get(section, {}) | items
    return values


def _base(file: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(file).read_text(encoding="utf-8"))


def _row(name: str) -> paper.Row:
    family, _, wanted = name.partition("/")
    if family in CODE:
        for row in paper.rows():
            if row.name == wanted:
                return row
    close = difflib.get_close_matches(name, names(), n=1)
    hint = f"; did you mean '{close[0]}'?" if close else "; see cplxsep train --list"
    raise UsageError(f"there is no shipped config '{name}'{hint}")

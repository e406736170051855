"""Imports point downward only, what must stay light or free of files does (ARCHITECTURE.md)."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "cplxsep"
FLOORS = (ROOT / "ARCHITECTURE.md").read_text().partition("```floors\n")[2].partition("```")[0]
*LAYERS, EVERYWHERE = (set(line.split()) for line in FLOORS.splitlines())
FILES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, *, top_level: bool = False):
    """Dotted names imported by a file; `top_level`: only those run when it is imported."""
    tree = ast.parse(path.read_text())
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(name: str) -> int | None:
    return next((n for n, names in enumerate(LAYERS) if name in names), None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path):
    own = layer(part(path))
    if own is None:
        assert part(path) in EVERYWHERE | {"__init__", "__main__"}
        if part(path) in EVERYWHERE:
            ours = [name.split(".")[1] for name in imports(path) if name.startswith("cplxsep.")]
            assert set(ours) <= EVERYWHERE
        return
    for name in imports(path):
        pieces = name.split(".")
        if pieces[0] != "cplxsep" or len(pieces) < 2 or pieces[1] in EVERYWHERE:
            continue
        target = layer(pieces[1])
        if target is None:
            continue  # a name of the package itself
        same = pieces[1] == part(path)
        assert same or target > own or {part(path), pieces[1]} <= LAYERS[1], (
            f"{path.name} imports {name}"
        )


def test_every_room_has_its_line_and_its_floor():
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()} - {"py.typed", "models"}
    rooms = {room for room in rooms if not room.startswith("__")}
    assert rooms == EVERYWHERE.union(*LAYERS)
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, flags=re.M)) == rooms


def test_the_check_sees_imports():
    """Guard against a check that cannot fail: the loop must have looked at real imports."""
    seen = [name for path in FILES for name in imports(path) if name.startswith("cplxsep.")]
    assert len(seen) > 50


@pytest.mark.parametrize("path", [p for p in FILES if part(p) in {"cli", *EVERYWHERE}])
def test_commands_import_no_torch_at_load(path):
    assert not any(name.split(".")[0] == "torch" for name in imports(path, top_level=True))


def test_separating_loads_no_scipy(tmp_path):
    """Its signal package takes half as long to load as torch: 0.6 s for each short file."""
    code = (
        "import sys; from cplxsep.cli.start import main\n"
        "try: main()\n"
        "finally: assert 'scipy' not in sys.modules"
    )
    given = ["separate", ROOT / "examples/two_talkers.wav", "-o", tmp_path, "--duration", "2"]
    done = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("path", [p for p in FILES if part(p) in {"nn", "networks", "metrics"}])
def test_networks_and_scores_open_no_file(path):
    if path.name == "build.py":  # compiles native code
        return
    calls = {
        n.func.id
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    assert "open" not in calls
    assert "pathlib" not in set(imports(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_small(path):
    assert len(path.read_text().splitlines()) <= 320

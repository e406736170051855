"""What `benchmarks/gpu.py` found so far, and the processes that find it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Done:
    """What became of one process: how long, in words, and the figures that it printed."""

    part: str
    name: str
    seconds: float
    outcome: str
    rows: list[dict[str, Any]] = field(default_factory=list)


class Report:
    """What was found so far, in OUT/report.json and OUT/report.md."""

    def __init__(self, out: Path, minutes: float) -> None:
        self.out, self.minutes, self.begun = out, minutes, time.monotonic()
        self.done: list[Done] = []

    @property
    def left(self) -> float:
        """Seconds."""
        return 60 * self.minutes - (time.monotonic() - self.begun)

    def add(self, *done: Done) -> None:
        self.done += done
        for one in done:
            print(f"{one.name}: {one.outcome}, {one.seconds:.1f} s", file=sys.stderr, flush=True)
        facts = {"command": sys.argv[1:], "parts": [vars(one) for one in self.done]}
        (self.out / "report.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        (self.out / "report.md").write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        lines = ["# A GPU, measured", "", *_table(self._outcomes())]
        for part in dict.fromkeys(one.part for one in self.done):
            rows = [row for one in self.done if one.part == part for row in one.rows]
            if part == "tests":  # those that passed are counted above
                rows = [row for row in rows if row.get("outcome") != "passed"]
            if rows:
                lines += ["", f"## {part}", "", *_table(rows)]
        return "\n".join(lines) + "\n"

    def _outcomes(self) -> list[dict[str, Any]]:
        rows = []
        for one in self.done:
            counts: dict[str, int] = {}
            for row in one.rows:
                if "outcome" in row:
                    counts[row["outcome"]] = counts.get(row["outcome"], 0) + 1
            told = ", ".join(f"{count} {what}" for what, count in counts.items())
            outcome = f"{one.outcome}: {told}" if told else one.outcome
            rows.append({"part": one.name, "outcome": outcome, "seconds": one.seconds})
        return rows


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of Markdown; columns are all keys, in the order in which they come."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[_cell(row.get(column)) for column in columns] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("|", "/").split())[:300]


@dataclass
class Process:
    """One process of a part, and when it must end."""

    part: str
    name: str
    command: list[str]
    log: Path
    limit: float
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._output, self._errors = (self.log.with_suffix(end) for end in (".out", ".log"))
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                self.command,
                stdout=output,
                stderr=errors,
                env=env,
                cwd=ROOT,
                start_new_session=True,
            )

    def wait(self) -> Done:
        """Wait until it has ended, or end it at its limit."""
        try:
            code = self._process.wait(max(self.begun + self.limit - time.monotonic(), 0.1))
            outcome = "done" if code == 0 else f"failed ({code}): {self._last_words()}"
        except subprocess.TimeoutExpired:
            self.end()
            outcome = f"stopped after {self.limit:.0f} s"
        seconds = round(time.monotonic() - self.begun, 1)
        return Done(self.part, self.name, seconds, outcome, self._rows())

    def end(self) -> None:
        """End it and all that it started: at once if it does not do so itself."""
        for number in (signal.SIGINT, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(3)
            except (OSError, subprocess.TimeoutExpired):
                continue

    def _last_words(self) -> str:
        text = self._errors.read_text(errors="replace").strip()
        return text.splitlines()[-1][:200] if text else ""

    def _rows(self) -> list[dict[str, Any]]:
        rows = []
        for line in self._output.read_text(errors="replace").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                rows.append(row)
        self._output.unlink()
        return rows

"""What came out of `benchmarks/reproduction.py`, as JSON and as a page."""

import json
from pathlib import Path
from typing import Any

from card import cell
from machine import in_words
from reproduction_rows import CLAIMS, QUESTIONS, ROWS, Claim

from cplxsep.audio.atomic import write_text
from cplxsep.metrics.statistics import describe


def write(out: Path, setup: dict[str, Any], rows: dict[str, dict[str, Any]]) -> None:
    """Write reproduction.json and reproduction.md of the rows that there are so far."""
    claims = [judged(claim, rows) for claim in CLAIMS]
    questions = [judged(claim, rows) for claim in QUESTIONS]
    out.mkdir(parents=True, exist_ok=True)
    # Scores of files compare the rows, but make the result unreadable; the configuration and the
    # mixtures are what reproduction_rows.py and the seed make them.
    inner = ("files", "config", "test")
    short = {
        name: {key: value for key, value in row.items() if key not in inner}
        for name, row in rows.items()
    }
    result = {"setup": setup, "rows": short, "claims": claims, "questions": questions}
    write_text(out / "reproduction.json", json.dumps(result, indent=2) + "\n")
    write_text(out / "reproduction.md", page(setup, rows, claims, questions))


def judged(claim: Claim, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A claim with the difference in SDR of each pair over the same mixtures, and what it means."""
    pairs = []
    for better, worse in zip(claim.better, claim.worse, strict=True):
        found = [rows.get(name, {}).get("files") for name in (better, worse)]
        if None in found:
            difference = None
        else:
            shared = sorted(found[0].keys() & found[1].keys())
            difference = describe([found[0][name] - found[1][name] for name in shared])
        pairs.append(
            {"better": better, "worse": worse, "difference": difference, "is": verdict(difference)}
        )
    return {"claim": claim.text, "pairs": pairs, "is": together([pair["is"] for pair in pairs])}


def verdict(difference: dict[str, Any] | None) -> str:
    """Whether a difference is above 0, from its 95 percent interval."""
    if difference is None or difference["ci"] is None:
        return "not measured"
    low, high = difference["ci"]
    return "holds" if low > 0 else "the opposite holds" if high < 0 else "undecided"


def together(verdicts: list[str]) -> str:
    """One word for several pairs."""
    return verdicts[0] if len(set(verdicts)) == 1 else "in part: " + ", ".join(verdicts)


def page(
    setup: dict[str, Any],
    rows: dict[str, dict[str, Any]],
    claims: list[dict[str, Any]],
    questions: list[dict[str, Any]],
) -> str:
    """The result as Markdown."""
    budget = f"{setup['hours']:.2f} h of audio" if setup["hours"] else "time"
    lines = [
        "# The paper's comparisons on our speech",
        "",
        f"Each row trained on the same {budget} ({setup['scale']} scale, seed {setup['seed']}) and "
        f"scored on the same {setup['count']} mixtures of unseen talkers at 0 to 5 dB. SDR as in "
        "BSS Eval; mean and 95 percent interval over mixtures. The paper's figures are of "
        "wsj0-2mix, 30 h, 200 epochs: compare the order of rows, not the figures. The intervals "
        "are of one trained network a row; what another seed would change is not in them.",
        "",
        "The loss csim-code is CSimLoss as the published code has it, csim as equation 7 has it, "
        "with lambda_imag = 1e4; see benchmarks/reproduction_rows.py.",
        "",
        in_words(setup["machine"]) + ".",
        "",
        "| row | parameters | loss | SDR dB | SI-SDR improvement dB | paper's SDR dB |",
        "|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        known = rows.get(row.name)
        paper = "-" if row.paper is None else f"{row.paper:.2f}"
        if known is None:
            continue
        if "failed" in known:
            cells = ["-", row.loss, f"failed: {known['failed']}", "-", paper]
        else:
            cells = [
                f"{known['parameters'] / 1e6:.2f} M",
                row.loss,
                cell(known["summary"]["sdr"]),
                cell(known["summary"]["si_sdr_i"]),
                paper,
            ]
        lines.append("| " + " | ".join([row.name, *cells]) + " |")
    for title, judgements in (("What the paper claims", claims), ("Asked besides", questions)):
        lines += ["", f"## {title}", ""]
        for claim in judgements:
            lines.append(f"- {claim['claim']}: **{claim['is']}**.")
            for pair in claim["pairs"]:
                if pair["difference"] is not None:
                    less = cell(pair["difference"])
                    lines.append(f"  - {pair['better']} less {pair['worse']}: {less} dB SDR")
    return "\n".join(lines) + "\n"

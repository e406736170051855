"""`cplxsep models`: what is on the shelf, and whether it is intact."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cplxsep.cli import common
from cplxsep.errors import ModelError

app = typer.Typer(help="List, describe and verify models.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]


@app.command("list")
def list_models(json_output: Json = False) -> None:
    """List the shipped models."""
    from cplxsep import report
    from cplxsep.engine import shelf

    entries = [asdict(shelf.describe(shelf.resolve(name))) for name in shelf.names()]
    if json_output:
        common.stdout(report.to_json({"folder": str(shelf.root()), "models": entries}))
        return
    if not entries:
        common.note(f"no models in {shelf.root()}")
        return
    columns = ["name", "task", "sources", "rate Hz", "parameters", "SI-SDRi dB", "licence"]
    common.stdout(report.table(columns, [list(entry.values()) for entry in entries]))


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(help="Shipped name or checkpoint folder.")],
    json_output: Json = False,
) -> None:
    """Print a model's card and its configuration."""
    from cplxsep import report
    from cplxsep.config import to_toml
    from cplxsep.engine import shelf
    from cplxsep.networks import folder as model_folder

    folder = shelf.resolve(name)
    config = model_folder.configuration(folder)
    card = _card(folder / model_folder.CARD)
    if json_output:
        facts = asdict(shelf.describe(folder)) | {
            "folder": str(folder),
            "card": card,
            "config": config.model_dump(),
            "metrics": model_folder.metrics(folder),
        }
        common.stdout(report.to_json(facts))
        return
    common.stdout(card or f"{folder} has no model card ({model_folder.CARD})\n")
    common.stdout(to_toml(config))


@app.command("verify")
def verify(
    name: Annotated[
        str | None, typer.Argument(help="Shipped name or folder; all shipped without it.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Load models strictly, compare checksums, and separate a second of noise with each."""
    from cplxsep import report
    from cplxsep.engine import shelf
    from cplxsep.engine.verify import verify as verify_model

    chosen = [name] if name else shelf.names()
    if not chosen:
        raise ModelError(f"there are no models in {shelf.root()}")
    results = []
    for each in chosen:
        try:
            remark = verify_model(shelf.resolve(each))
        except ModelError as error:
            results.append({"name": each, "ok": False, "remark": str(error)})
            common.fail(error)
        else:
            results.append({"name": each, "ok": True, "remark": remark})
            if not json_output:
                common.stdout(f"{each}: ok" + (f" ({remark})" if remark else ""))
    if json_output:
        common.stdout(report.to_json({"models": results}))
    if not all(result["ok"] for result in results):
        raise typer.Exit(ModelError.exit_code)


def _card(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"cannot read the model card {path}: {error}") from None

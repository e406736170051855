"""`cplxsep models`: what is shipped, and whether it is intact."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from cplxsep.cli import common, completion
from cplxsep.errors import DeviceError, ModelError

app = typer.Typer(help="List, describe and verify models.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]


@app.command("list")
def list_models(json_output: Json = False) -> None:
    """List the shipped models."""
    from cplxsep import report
    from cplxsep.model_folder import catalogue

    entries = [catalogue.describe(catalogue.resolve(name)) for name in catalogue.names()]
    if json_output:
        models = [asdict(entry) for entry in entries]
        found = {"folder": str(catalogue.root()), "models": models}
        common.stdout(_as_json(found, f"a model in {catalogue.root()}"))
        return
    if not entries:
        common.note(f"no models in {catalogue.root()}")
        return
    rows = [
        [
            entry.name,
            entry.task,
            entry.sources,
            _listed(entry.rates),
            entry.parameters,
            entry.si_sdr_i,
            entry.licence,
        ]
        for entry in entries
    ]
    columns = ["name", "task", "sources", "rates Hz", "parameters", "SI-SDRi dB", "licence"]
    common.stdout(report.table(columns, rows))


@app.command("info")
def info(
    name: Annotated[
        str,
        typer.Argument(autocompletion=completion.models, help="Shipped name or checkpoint folder."),
    ],
    json_output: Json = False,
) -> None:
    """Print a model's card, the rates it runs at, and its configuration."""
    from cplxsep.config import to_toml
    from cplxsep.model_folder import catalogue, contents
    from cplxsep.model_folder.card import read_card

    folder = catalogue.resolve(name)
    config, entry = contents.configuration(folder), catalogue.describe(folder)
    card = read_card(folder)
    if json_output:
        facts = asdict(entry) | {
            "folder": str(folder),
            "card": card,
            "config": config.model_dump(),
            "metrics": contents.metrics(folder),
        }
        common.stdout(_as_json(facts, f"model {entry.name}"))
        return
    common.stdout(card or f"{folder} has no model card ({contents.CARD})\n")
    common.stdout(
        f"# Runs at {_listed(entry.rates)} Hz; "
        f"window {entry.window * 1000:g} ms, hop {entry.hop * 1000:g} ms"
        + (", causal: looks no more than a window ahead" if config.model.causal else "")
    )
    common.stdout(to_toml(config))


@app.command("verify")
def verify(
    name: Annotated[
        str | None,
        typer.Argument(
            autocompletion=completion.models, help="Shipped name or folder; all shipped without it."
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Load models strictly, compare checksums, and separate a second of noise at each rate."""
    from cplxsep import report
    from cplxsep.model_folder import catalogue

    chosen = [name] if name else catalogue.names()
    if not chosen:
        raise ModelError(f"there are no models in {catalogue.root()}")
    results, code = [], 0
    for each in chosen:
        try:
            remark = common.verified(each)
        except (ModelError, DeviceError) as error:
            code = code or error.exit_code
            results.append({"name": each, "ok": False, "remark": str(error)})
            common.fail(error)
        else:
            results.append({"name": each, "ok": True, "remark": remark})
            if not json_output:
                common.stdout(f"{each}: ok" + (f" ({remark})" if remark else ""))
    if json_output:
        common.stdout(report.to_json({"models": results}))
    if code:
        raise typer.Exit(code)


def _as_json(facts: Mapping[str, Any], whose: str) -> str:
    """One JSON object. ModelError: there is a number among the facts that JSON does not have."""
    from cplxsep import report

    try:
        return report.to_json(facts)
    except ValueError:
        raise ModelError(
            f"{whose}: its metrics.json holds NaN or infinity: put a number or null there"
        ) from None


def _listed(rates: Sequence[int]) -> str:
    return ", ".join(map(str, rates))

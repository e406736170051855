"""The `cplxsep` command: registers each command and turns errors into exit codes."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from cplxsep.cli import common, doctor, enhance, evaluate, models, prepare, separate, train

app = typer.Typer(
    name="cplxsep",
    help="Speech separation and enhancement with complex-valued networks.\n\n"
    "-q and -v stand before the command: cplxsep -q separate a.wav",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        common.stdout(f"cplxsep {version('cplxsep')}")
        raise typer.Exit


@app.callback()
def _options(
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only errors on stderr.")] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "-v", "--verbose", count=True, help="Device and times on stderr; -vv: tracebacks too."
        ),
    ] = 0,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    common.verbosity.level = -1 if quiet else verbose


app.command("separate")(separate.separate)
app.command("enhance")(enhance.enhance)
app.command("eval")(evaluate.evaluate)
app.command("train")(train.train)
app.add_typer(prepare.app, name="prepare")
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(common.run(app))

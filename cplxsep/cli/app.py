"""The `cplxsep` command: registers each command and turns errors into exit codes."""

import re
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cplxsep.cli import common, doctor, enhance, models, prepare, separate, train
from cplxsep.cli.evaluate.command import evaluate
from cplxsep.errors import UsageError
from cplxsep.version import own_version

_OURS = re.compile("-q|-v+|--quiet|--verbose")
_EMPTY = re.compile("(--[a-z-]+=)?")


class _Commands(TyperGroup):
    """Takes -q and -v behind a command, too; tells of wrong values in plain words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # as for completion, of what is not written yet
            _check_none_empty(args)
        end = args.index("--") if "--" in args else len(args)
        ours = [arg for arg in args[:end] if _OURS.fullmatch(arg)]
        others = [arg for arg in args[:end] if not _OURS.fullmatch(arg)]
        return super().parse_args(ctx, [*ours, *others, *args[end:]])

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # How pydantic begins, which newer versions of Typer pass on.
            error.message = error.message.removeprefix("Value error, ")
            raise


def _check_none_empty(args: list[str]) -> None:
    """UsageError: one is. As a path it would be the current folder, and all that is in it."""
    for before, arg in zip(["", *args], args, strict=False):
        if _EMPTY.fullmatch(arg):
            option = arg or (f"{before} " if before.startswith("-") else "")
            raise UsageError(f"{option}'': nothing is named; is a variable of the shell not set?")


app = typer.Typer(
    name="cplxsep",
    cls=_Commands,
    help="Speech separation and enhancement with complex-valued networks.\n\n"
    "-q and -v may stand anywhere: cplxsep separate a.wav -q",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        common.stdout(f"cplxsep {own_version()}")
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
app.command("eval")(evaluate)
app.command("train")(train.train)
app.add_typer(prepare.app, name="prepare")
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)

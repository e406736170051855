"""`cplxsep prepare`: make folders of mixtures, one file for each recipe."""

import typer

from cplxsep.cli.prepare import conversations, librimix, mix, noisy, rooms, wsj0

app = typer.Typer(help="Prepare folders of mixtures.", no_args_is_help=True)
app.command("mix")(mix.mix)
app.command("noisy")(noisy.noisy)
app.command("conversations")(conversations.conversations)
app.command("rooms")(rooms.rooms)
app.command("wsj0")(wsj0.wsj0)
app.command("librimix")(librimix.librimix)


@app.callback()
def _prepare() -> None:
    """Prepare folders of mixtures."""

"""The console script. Until it is loaded, Ctrl-C ends it as any program, without a traceback."""

import signal
import sys


def main() -> None:
    """Run the command line, and exit with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `run` has its own
    from cplxsep.cli import common
    from cplxsep.cli.app import app

    sys.exit(common.run(app))

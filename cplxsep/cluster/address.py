"""Which cluster, and the way into it."""

import importlib
import logging
import os
import re
import signal
import threading
import warnings
from importlib.util import find_spec
from typing import Any

from cplxsep.errors import UsageError, first_line
from cplxsep.interrupts import INTERRUPTS
from cplxsep.parallel import default_workers


def parse(text: str) -> str:
    """An address: local, auto or ray://HOST:PORT. UsageError; also where Ray is not installed."""
    if not re.fullmatch(r"local|auto|ray://[^/\s]+:[0-9]+", text):
        raise UsageError(
            f"--cluster {text}: write local (this machine), auto (the cluster that it is a node "
            "of) or ray://HOST:PORT"
        )
    if not find_spec("ray") or (text.startswith("ray://") and not find_spec("grpc")):
        raise UsageError(
            "--cluster needs the package ray: install the extra with pip install 'cplxsep[cluster]'"
        )
    return text


def connected(address: str) -> Any:
    """Ray, connected. UsageError."""
    # Nothing is ever sent to anybody. And a worker without a GPU is no reason for a warning.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        # Else workers give way to whatever else runs here, as the plain command does not.
        os.environ.setdefault("RAY_worker_niceness", "0")
        options |= {"num_cpus": default_workers(), "include_dashboard": False}
    handlers = {number: signal.getsignal(number) for number in INTERRUPTS}
    try:
        ray: Any = importlib.import_module("ray")
        importlib.import_module("ray.exceptions")
        # It prints on stdout what it has to say of dead nodes, whatever it is told: no result.
        printer: Any = importlib.import_module("ray._private.worker")
        printer.print_to_stdstream = lambda *_, **__: None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the error tells, too
            ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        why = first_line(error)
        raise UsageError(f"--cluster {address}: cannot connect: {why}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)
    return ray

"""The network of a run that a benchmark has trained, whatever its validations said."""

from pathlib import Path

from cplxsep import Separator
from cplxsep.config import parse_config
from cplxsep.networks.model import SeparationModel
from cplxsep.training import checkpoint


def at_the_end(run: Path) -> Separator:
    """In float32 on the CPU, with the averaged weights after the last step of a run.

    SystemExit: steps are missing.
    """
    state = checkpoint.load(run / checkpoint.NAME)
    config = parse_config(state["config"], str(run), [])
    if state["step"] < config.train.steps:
        raise SystemExit(f"{run} has {state['step']} of {config.train.steps} steps: train it on")
    model = SeparationModel(config.model)
    model.load_state_dict(state["average"])
    return Separator(model.eval(), device="cpu", precision="fp32")

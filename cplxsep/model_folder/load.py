"""Models from their folders."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from cplxsep.errors import ModelError
from cplxsep.model_folder.contents import CONFIG, WEIGHTS, configuration
from cplxsep.networks.model import SeparationModel


def load_model(folder: Path) -> SeparationModel:
    """The model in a checkpoint folder, in evaluation mode on the CPU.

    Raises:
        ModelError: a file is missing or corrupt, or the weights do not fit the configuration.
    """
    model = SeparationModel(configuration(folder).model)
    path = folder / WEIGHTS
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise ModelError(f"model {folder.name}: {path} is missing") from None
    except (OSError, SafetensorError) as error:
        raise ModelError(f"model {folder.name}: {path} is corrupt: {error}") from None
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    found = {name: tensor.shape for name, tensor in weights.items()}
    if expected != found:
        wrong = sorted(name for name in expected | found if expected.get(name) != found.get(name))
        raise ModelError(
            f"model {folder.name}: weights do not fit {CONFIG}: {len(wrong)} tensors differ, "
            f"first {wrong[0]} (expected {_shape(expected, wrong[0])}, "
            f"found {_shape(found, wrong[0])})"
        )
    for name, tensor in model.state_dict().items():
        if weights[name].is_floating_point() != tensor.is_floating_point():
            raise ModelError(f"model {folder.name}: {path} is corrupt: another type in {name}")
        if not weights[name].isfinite().all():
            raise ModelError(f"model {folder.name}: {path} is corrupt: NaN or infinity in {name}")
    model.load_state_dict(weights)
    return model.eval()


def _shape(shapes: dict, name: str) -> str:
    return str(tuple(shapes[name])) if name in shapes else "none"

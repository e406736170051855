"""Compiles what a model's inference form is made of while torch is still being imported.

Both take seconds, and neither needs the other. Importing this loads no torch.
"""

from pathlib import Path

from cplxsep.model_folder.contents import configuration
from cplxsep.nn.native import build

# The native library of each network's inference form. A test holds it against what forms load.
LIBRARIES = {"complex": "between_convolutions", "dual-path": "residual_blocks"}

_DRIVER = Path("/proc/driver/nvidia")  # there is a GPU, most likely


def compile_ahead(folder: Path, device: str) -> None:
    """Begin to compile for the model in a folder, unless that was done on this machine before.

    Args:
        device: as a user names it; only a CPU runs native code.
    """
    library = LIBRARIES.get(configuration(folder).model.network)
    on_gpu = device.startswith("cuda") or (device == "auto" and _DRIVER.exists())
    if library is not None and not on_gpu:
        build.begin(library)

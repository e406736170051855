"""The run's figures for TensorBoard, where that is installed."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cplxsep.errors import InputError

FOLDER = "tensorboard"  # sub-folder of a run


class Board:
    """Event file in a run's folder; nothing without a folder or without TensorBoard.

    Nor in a folder whose name is no valid text, which TensorBoard cannot open.
    """

    def __init__(self, run: Path | None) -> None:
        self._writer: Any = None
        self._folder = None if run is None else run / FOLDER
        self._here = (
            run is not None
            and find_spec("tensorboard") is not None
            and not re.search("[\ud800-\udfff]", str(run))
        )

    def add(self, *, step: int, **values: float) -> None:
        """Figures of one step. Raises InputError when the disk is full."""
        if not self._here:
            return
        try:
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter

                # What a stopped run wrote beyond its last checkpoint is not shown twice.
                self._writer = SummaryWriter(self._folder, purge_step=step)
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()
        except OSError as error:
            raise InputError(f"cannot write {self._folder}: {error.strerror}") from None

    def close(self) -> None:
        """Write what is left. Raises OSError when the disk is full."""
        if self._writer is not None:
            self._writer.close()

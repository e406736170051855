"""The rows of Tables 1 to 3 of "Deep Complex Extractors", each as changes to one base.

Tables 2 and 3 hold every row of Table 1. The paper's text and its published code disagree in
places; each row comes in both readings, `paper/ROW` and `paper-code/ROW`. Topology is the code's
in both, the only one that has the published numbers of parameters.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LOSSES = {"l2freq": "l2-freq", "csim": "csim", "l2time": "l2-time", "costime": "cos-time"}
EPOCHS = 200
_MIXTURES = 20_000  # of wsj0-2mix for training, 30 h
_BATCH = {2: 40, 3: 24}  # by table


@dataclass(frozen=True)
class Row:
    """One line of a table; parameters in millions and SDR in dB as printed there."""

    table: int
    network: str
    blocks: int
    maps: int
    transformations: int
    dropout: float
    loss: str
    parameters: str
    sdr: float

    @property
    def name(self) -> str:
        """As after the `paper/` of the configuration's name; dropout in percent."""
        extractor = f"-c{self.transformations}" if self.network == "complex" else ""
        dropout = f"-d{round(100 * self.dropout)}" if self.dropout else ""
        unet = f"{self.network}-unet-k{self.blocks}-f{self.maps}"
        return f"{unet}{extractor}{dropout}-{self.loss}"


def rows() -> Iterator[Row]:
    """Tables 2 and 3, line by line."""
    yield Row(2, "real", 1, 64, 0, 0, "l2freq", "8.45", 4.59)
    yield Row(2, "real", 2, 64, 0, 0, "l2freq", "14.76", 7.92)
    yield Row(2, "complex", 1, 32, 0, 0, "l2freq", "4.29", 9.61)
    yield Row(2, "complex", 2, 32, 0, 0, "l2freq", "7.4", 9.70)
    for (count, parameters), scores in _TABLE_2.items():
        for loss, sdr in zip(LOSSES, scores, strict=True):
            yield Row(2, "complex", 2, 40, count, 0, loss, parameters, sdr)
    parameters_of = {0: "13.97", 5: "13.99", 10: "14.03", 15: "14.09"}
    for (dropout, loss), by_count in _TABLE_3.items():
        for count, sdr in by_count.items():
            yield Row(3, "complex", 2, 44, count, dropout, loss, parameters_of[count], sdr)


# SDR for the losses in their order above, by transformations and millions of parameters.
_TABLE_2 = {
    (0, "11.55"): (10.30, 10.21, 9.31, 9.34),
    (5, "11.57"): (10.58, 10.87, 10.31, 10.14),
    (10, "11.61"): (10.59, 10.90, 10.86, 10.47),
    (15, "11.67"): (10.93, 10.91, 10.66, 10.74),
}
# SDR by transformations, for each dropout and loss.
_TABLE_3 = {
    (0.0, "l2freq"): {0: 9.88, 5: 10.11, 10: 10.91, 15: 9.92},
    (0.0, "csim"): {0: 9.87, 5: 10.64, 10: 11.05, 15: 10.82},
    (0.1, "l2freq"): {5: 10.54, 10: 10.72, 15: 10.91},
    (0.1, "csim"): {5: 10.96, 10: 11.34, 15: 11.22},
    (0.2, "l2freq"): {5: 10.67, 10: 10.90, 15: 10.90},
    (0.2, "csim"): {5: 11.23, 10: 11.29, 15: 11.23},
    (0.3, "l2freq"): {5: 10.71, 10: 10.06, 15: 10.91},
    (0.3, "csim"): {5: 11.21, 10: 11.12, 15: 11.06},
    (0.4, "l2freq"): {5: 10.72, 10: 10.74, 15: 10.83},
    (0.4, "csim"): {5: 11.09, 10: 11.08, 15: 11.12},
}


def changes(row: Row, *, code: bool) -> dict[str, dict[str, Any]]:
    """What a row adds to the base, by section, in the reading of the text or of the code."""
    batch = _BATCH[row.table]
    epoch = math.ceil(_MIXTURES / batch)
    loss = LOSSES[row.loss]
    unet: dict[str, Any] = {"start_maps": row.maps, "residual_blocks": row.blocks}
    extractor: dict[str, Any] = {}
    if row.network == "complex":
        extractor = {"transformations": row.transformations, "dropout": row.dropout}
        unet |= {
            "norm": "channel" if code else "layer",
            "init": "rayleigh-unscaled" if code else "rayleigh",
        }
    if row.transformations:
        extractor |= {
            "film_offset": "1+1i" if code else "0",
            "dropout_of": "mixture" if code else "mask",
            "init_of": "all" if code else "first",
        }
    return {
        "model": {"network": row.network, "unet": unet, "extractor": extractor},
        "optim": {
            "schedule": "paper-code" if code else "paper",
            "weight_decay": 1e-4 if code else 0.0,
        },
        "train": {
            "batch": batch,
            "loss": f"{loss}-code" if code and loss != "l2-freq" else loss,
            "pit": "batch" if code else "mixture",
            "epoch_steps": epoch,
            "steps": EPOCHS * epoch,
            "valid_every": epoch,
        },
    }

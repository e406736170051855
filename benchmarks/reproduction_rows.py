"""What `benchmarks/reproduction.py` trains: rows, and the paper's claims about them."""

from dataclasses import dataclass, field
from typing import Any

# Mixtures in a step, and their length in seconds. Few on a CPU, for more steps from few hours.
BATCH = {"cpu": 4, "gpu": 24}
SECONDS = {"cpu": 3.0, "gpu": 4.0}
# CSim of the published code: lambda_imag is 1e4 for batches of 24 mixtures of 5.4 s. There the
# imaginary part is summed over the bins after the division by the norms of the whole batch, so
# that it falls with the batch's length: lambda must fall along to keep the ratio of the two terms.
PAPER_IMAG, PAPER_BATCH_SECONDS = 1e4, 24 * 5.4
MAPS = {"cpu": (16, 1), "gpu": (44, 2)}  # start maps and residual blocks of the complex network
# About as many parameters: 1.00 M against 1.06 M, 13.86 M against 13.97 M.
REAL_MAPS = {"cpu": 22, "gpu": 62}
# 1.0 M on a CPU; on a GPU the sizes of its paper, 5.0 M.
TASNET = {
    "cpu": {"filters": 256, "bottleneck": 96, "hidden": 208, "stacks": 2},
    "gpu": {},
}


@dataclass(frozen=True)
class Row:
    """One network and loss. `paper`: SDR in dB there (Tables 2 and 3), None where it has none."""

    name: str
    paper: float | None
    loss: str = "csim-code"
    network: str = "complex"
    transformations: int = 0
    unet: dict[str, Any] = field(default_factory=dict)
    extractor: dict[str, Any] = field(default_factory=dict)


ROWS = (
    Row("real", 7.92, "l2-freq", "real"),
    Row("real-csim", None, network="real"),
    Row("c0-l2-freq", 9.88, "l2-freq"),
    Row("c0", 9.87),
    Row("c5", 10.64, transformations=5),
    Row("c10", 11.05, transformations=10),
    Row("c10-csim-text", None, "csim", transformations=10),
    Row("c10-l2-freq", 10.91, "l2-freq", transformations=10),
    Row("c10-l2-time", 10.86, "l2-time", transformations=10),
    Row("c10-cos-time", 10.47, "cos-time", transformations=10),
    Row("c10-si-sdr", None, "si-sdr", transformations=10),
    Row("c10-dropout", 11.34, transformations=10, extractor={"dropout": 0.1}),
    Row("c10-clipping", None, transformations=10, unet={"front": "clip-modulus"}),
    Row("conv-tasnet", 12.1, "si-sdr", "conv-tasnet"),
)


@dataclass(frozen=True)
class Claim:
    """The paper says that each row of `better` scores higher than its partner in `worse`."""

    text: str
    better: tuple[str, ...]
    worse: tuple[str, ...]


CLAIMS = (
    Claim(
        "Complex networks outperform real ones of the same size (section 7, first highlight)",
        ("c0-l2-freq",),
        ("real",),
    ),
    Claim(
        "The extractor improves the result, and dropout of candidates improves it further "
        "(second highlight)",
        ("c5", "c10", "c10-dropout"),
        ("c0", "c0", "c10"),
    ),
    Claim(
        "CSimLoss outperforms the losses in the time domain, and L2 in frequency (third highlight)",
        ("c10", "c10", "c10"),
        ("c10-l2-freq", "c10-l2-time", "c10-cos-time"),
    ),
)
# Not claims of the paper, but asked here.
QUESTIONS = (
    Claim(
        "A complex network scores higher than a real one, both with CSimLoss",
        ("c0",),
        ("real-csim",),
    ),
    Claim(
        "CSimLoss as the code has it scores higher than equation 7", ("c10",), ("c10-csim-text",)
    ),
    Claim("SI-SDR as the loss scores higher than CSimLoss", ("c10-si-sdr",), ("c10",)),
    Claim(
        "A clipped STFT as the network's input scores higher than all of it",
        ("c10-clipping",),
        ("c10",),
    ),
    Claim(
        "Conv-TasNet scores higher than the paper's best complex row",
        ("conv-tasnet",),
        ("c10-dropout",),
    ),
)


def settings(row: Row, scale: str, hours: float, seed: int) -> dict[str, dict[str, Any]]:
    """The row's configuration but for its data: the same for all rows apart from what it tests."""
    maps, blocks = MAPS[scale]
    model: dict[str, Any] = {"network": row.network}
    if row.network == "conv-tasnet":
        model["tasnet"] = TASNET[scale]
    else:
        start_maps = REAL_MAPS[scale] if row.network == "real" else maps
        unet = {"start_maps": start_maps, "residual_blocks": blocks, "drop_nyquist": True}
        extractor = {"transformations": row.transformations, "gain": 0.1}
        model |= {"unet": unet | row.unet, "extractor": extractor | row.extractor}
    batch, seconds = BATCH[scale], SECONDS[scale]
    steps = max(1, round(hours * 3600 / (batch * seconds)))
    imag = PAPER_IMAG
    if row.loss == "csim-code":
        imag *= batch * seconds / PAPER_BATCH_SECONDS
    return {
        "model": model,
        "data": {"seconds": seconds, "valid_mixtures": 100},
        "optim": {
            "optimizer": "muon",
            "lr": 2e-3,
            "momentum": 0.95,
            "schedule": "cosine",
            "warmup_steps": min(50, steps // 10),
            "ema": 0.99,
        },
        "train": {
            "loss": row.loss,
            "csim_imag": imag,
            "batch": batch,
            "steps": steps,
            "seed": seed,
            "valid_every": max(1, steps // 10),
            "save_every": 100,
        },
    }

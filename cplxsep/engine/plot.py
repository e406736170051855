"""One picture of a separation: spectrograms of the mixture and of each source."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cplxsep.audio import io
from cplxsep.audio.atomic import replacing
from cplxsep.engine.flow import WHOLE, Part

COLUMNS = 1500  # spectra across the picture; more than its pixels
RANGE = 70.0  # dB shown below the loudest point of the mixture


def plot(
    path: Path, mixture: Path, channel: int | None, sources: Mapping[str, Path], part: Part
) -> None:
    """Write a PNG of the mixture's channel (None: the mean of all) over its sources, by title.

    `part` is what the sources are of the mixture.

    InputError: a file cannot be read, or the picture not written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles = ["mixture", *sources]
    figure = Figure(figsize=(10, 2.2 * len(titles)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(titles), 1, sharex=True, squeeze=False)[:, 0]
    top: float | None = None
    for axis, title, file in zip(axes, titles, [mixture, *sources.values()], strict=True):
        own = (channel, part) if file == mixture else (None, WHOLE)
        spectra = spectrogram(file, *own)
        top = float(spectra.max()) if top is None else top
        info = io.probe(file)
        seconds = own[1].frames(info.frames, info.sample_rate) / info.sample_rate
        axis.imshow(
            spectra,
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, info.sample_rate / 2000),
            vmin=top - RANGE,
            vmax=top,
            cmap="magma",
        )
        # Names of files may hold dollars, which are no formula, and bytes that are no text.
        text = title.encode(errors="replace").decode()
        axis.set_title(text, loc="left", fontsize=9, parse_math=False)
        axis.set_ylabel("kHz")
    axes[-1].set_xlabel("seconds")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def spectrogram(path: Path, channel: int | None, part: Part) -> np.ndarray:
    """Levels in dB (F, columns) of a part of one channel of a file, or of the mean of all.

    Long files are sampled, not averaged: one pass in constant memory.
    """
    info = io.probe(path)
    window = max(2 * round(0.016 * info.sample_rate), 4)
    hop = max(part.frames(info.frames, info.sample_rate) // COLUMNS, window // 2)
    shape = np.hanning(window)
    columns = []
    rest = np.zeros(0, np.float32)  # samples from the next window's start on
    skip = 0  # samples to pass over before that start
    for block in part.cut(io.blocks(path, 1 << 18), info.sample_rate):
        samples = np.concatenate([rest, block.mean(axis=0) if channel is None else block[channel]])
        while skip + window <= samples.size:
            columns.append(np.abs(np.fft.rfft(samples[skip : skip + window] * shape)))
            skip += hop
        passed = min(skip, samples.size)
        rest, skip = samples[passed:], skip - passed
    if not columns:
        short = np.pad(rest, (0, window - rest.size))
        columns.append(np.abs(np.fft.rfft(short * shape)))
    return 20 * np.log10(np.stack(columns, axis=1) + 1e-7)

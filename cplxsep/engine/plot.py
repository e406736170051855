"""One picture of a separation: spectrograms of the mixture and of each source."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cplxsep.audio import io
from cplxsep.audio.atomic import replacing
from cplxsep.engine.blocks import WHOLE, Part

COLUMNS = 1500  # spectra across the picture; more than its pixels
RANGE = 70.0  # dB shown below the loudest point of the mixture


def plot(
    path: Path, mixture: Path, channel: int | None, sources: Mapping[str, Path], part: Part
) -> None:
    """Write a PNG of the mixture's channel (None: the mean of all) over its sources, by title.

    `part` is what the sources are of the mixture. Up to the highest frequency at which any of them
    shows something.

    InputError: a file cannot be read, or the picture not written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles = ["mixture", *sources]
    figure = Figure(figsize=(10, 2.2 * len(titles)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(titles), 1, sharex=True, squeeze=False)[:, 0]
    files = [mixture, *sources.values()]
    parts = [(channel, part), *((None, WHOLE) for _ in sources)]
    pictures = [spectrogram(file, *own) for file, own in zip(files, parts, strict=True)]
    infos = [io.probe(file) for file in files]
    top = float(pictures[0].max())
    halves = [info.sample_rate / 2000 for info in infos]
    shown = max(
        _part_above(top - RANGE, picture) * half
        for picture, half in zip(pictures, halves, strict=True)
    )
    drawn = zip(axes, titles, pictures, infos, halves, parts, strict=True)
    for axis, title, spectra, info, half, (_, own) in drawn:
        seconds = own.frames(info.frames, info.sample_rate) / info.sample_rate
        axis.imshow(
            spectra,
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, half),
            vmin=top - RANGE,
            vmax=top,
            cmap="magma",
        )
        axis.set_ylim(0, min(shown, half) or half)
        # Names of files may hold dollars, which are no formula, and bytes that are no text.
        text = title.encode(errors="replace").decode()
        axis.set_title(text, loc="left", fontsize=9, parse_math=False)
        axis.set_ylabel("kHz")
    axes[-1].set_xlabel("seconds")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _part_above(floor: float, spectra: np.ndarray) -> float:
    """Fraction of the band in which levels in dB (F, columns) exceed the floor somewhere."""
    rows = np.flatnonzero((spectra > floor).any(axis=1))
    last = len(spectra) - 1
    return min(int(rows[-1]) + 1, last) / last if rows.size else 0.0


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

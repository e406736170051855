"""Active speech level, ITU-T P.56 (12/2011), method B."""

import numpy as np
import scipy  # loads what is used of it, which takes a second, only then

MARGIN_DB = 15.9
_ENVELOPE_SECONDS = 0.03
_HANGOVER_SECONDS = 0.2
_BINS = 20  # of a factor 2 in power each, down from the loudest
_LOW, _HIGH = 200.0, 5500.0  # Hz
_EDGE_DB, _STOP_DB, _ORDER = 0.25, 50.0, 5


def p56_level(audio: np.ndarray, sample_rate: int) -> float:
    """RMS of (S,) over the time in which speech is active, as an amplitude; 0 for silence.

    The speech is band-limited to 200 Hz to 5.5 kHz (0.25 dB down there; the upper edge only from
    14 kHz on) and its rectified form smoothed twice with 30 ms. Speech is active where that
    envelope is above a threshold, and 0.2 s longer; the threshold is the one that lies 15.9 dB
    below the level found with it, between powers of two by linear interpolation of the levels.
    Filters, thresholds and interpolation are those of the customary MATLAB routine `activlev`,
    by which the wsj0-2mix mixtures were scaled.
    """
    signal = _band(np.asarray(audio, np.float64), sample_rate)
    energy = float(np.square(signal).sum())
    counts, top = _active_samples(signal, sample_rate)
    if energy <= 0.0 or top is None:
        return 0.0
    levels = 10 * np.log10(energy / np.maximum(counts, 1))
    # Bin k counts what is at 2^(top - 2 - k) or above.
    thresholds = 10 * np.log10(2.0) * (top - 2 - np.arange(_BINS))
    excess = levels - thresholds - MARGIN_DB
    return float(10 ** (_crossing(levels, excess) / 20))


def _band(signal: np.ndarray, sample_rate: int) -> np.ndarray:
    """Chebyshev filters of type 2, laid so that the edges of the band lose 0.25 dB."""
    stop, edge = 10 ** (_STOP_DB / 10) - 1, 10 ** (_EDGE_DB / 10) - 1
    ratio = np.cosh(np.arccosh(np.sqrt(stop / edge)) / _ORDER)

    def stop_edge(frequency: float, factor: float) -> float:
        # The bilinear transform bends the frequencies.
        bent = np.tan(np.pi * frequency / sample_rate) * factor
        return float(sample_rate / np.pi * np.arctan(bent))

    if sample_rate > 2 * _LOW:
        low = scipy.signal.cheby2(
            *(_ORDER, _STOP_DB, stop_edge(_LOW, 1 / ratio), "highpass"),
            fs=sample_rate,
            output="sos",
        )
        signal = scipy.signal.sosfilt(low, signal)
    if sample_rate >= 14000:
        high = scipy.signal.cheby2(
            *(_ORDER, _STOP_DB, stop_edge(_HIGH, ratio), "lowpass"), fs=sample_rate, output="sos"
        )
        signal = scipy.signal.sosfilt(high, signal)
    return signal


def _active_samples(signal: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int | None]:
    """Samples active at each threshold, from the highest on, and the exponent above the highest."""
    pole = np.exp(-1.0 / (sample_rate * _ENVELOPE_SECONDS))
    smooth = np.abs(signal)
    for _ in range(2):
        smooth = scipy.signal.lfilter([1 - pole], [1, -pole], smooth)
    # Exponents: 2^(e-1) <= envelope^2 < 2^e; silence lies below all thresholds.
    power, exponents = np.frexp(np.square(smooth))
    if not power.any():
        return np.zeros(_BINS), None
    exponents = np.where(power > 0, exponents, np.iinfo(np.int32).min // 2)
    reach = int(np.ceil(_HANGOVER_SECONDS * sample_rate)) + 1
    padded = np.concatenate([np.full(reach - 1, exponents.min()), exponents])
    held = scipy.ndimage.maximum_filter1d(padded, reach, origin=(reach - 1) // 2)[reach - 1 :]
    top = int(held.max()) + 1
    bins = np.minimum(top - held, _BINS) - 1
    return np.cumsum(np.bincount(bins, minlength=_BINS)), top


def _crossing(levels: np.ndarray, excess: np.ndarray) -> float:
    """Level in dB where the threshold lies 15.9 dB below it."""
    below = np.flatnonzero((excess[:-1] < 0) & (excess[1:] >= 0))
    if not below.size:
        return float(levels[-1] if excess[-1] <= 0 else levels[0])
    at = below[0]
    share = 1 / (1 - excess[at + 1] / excess[at])
    return float(levels[at] + share * (levels[at + 1] - levels[at]))

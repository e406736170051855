"""Passages of a chunk, between pauses in which nobody speaks, and their stretches. Numpy only."""

import numpy as np

# A sample, and the order (N,) of the sources from there on.
Piece = tuple[int, np.ndarray]


def passages(speaks: np.ndarray, pause: int) -> list[tuple[int, int]]:
    """First frame of each passage and the frame behind its last; together they are all frames.

    Cut in the middle of each pause.

    Args:
        speaks: whether anybody speaks in each frame (T,).
        pause: frames without speech that are one.
    """
    spoken = np.flatnonzero(speaks)
    last, following = spoken[:-1], spoken[1:]
    cuts = ((last + following + 1) // 2)[following - last > pause].tolist()
    return list(zip([0, *cuts], [*cuts, len(speaks)], strict=True))


def stretches(
    passage: tuple[int, int], speaks: np.ndarray, powers: np.ndarray, length: int
) -> list[tuple[int, int]]:
    """A passage as stretches with speech in each, half to two times `length`, cut where soft.

    The first and the last have the silence before and after besides.

    Args:
        passage: its first frame and the one behind its last, as `passages` gives them.
        speaks: whether anybody speaks in each frame (T,).
        powers: of all sources together (T,).
        length: frames, at least twice those of a pause.
    """
    first, last = passage
    spoken = first + np.flatnonzero(speaks[first:last])
    begin, end, cuts = int(spoken[0]), int(spoken[-1]) + 1, []
    while end - begin >= 2 * length:
        begin += length // 2
        begin += int(powers[begin : begin + length].argmin())
        cuts.append(begin)
    return list(zip([first, *cuts], [*cuts, last], strict=True))


def in_orders(sources: np.ndarray, pieces: list[Piece], fade: int) -> np.ndarray:
    """Sources (N, S) in the order of each piece, the first of which begins at sample 0.

    Cross-faded over `fade` samples around the beginning of each; themselves where none moves them.
    """
    stay = np.arange(len(sources))
    if all((order == stay).all() for _, order in pieces):
        return sources
    before = pieces[0][1]
    arranged = sources[before]
    for begin, order in pieces[1:]:
        if (order != before).any():
            first, last = begin - fade // 2, begin - fade // 2 + fade
            ramp = ((np.arange(fade) + 0.5) / fade).astype(np.float32)
            old, new = arranged[:, first:last], sources[order, first:last]
            arranged[:, first:last] = old + ramp * (new - old)
            arranged[:, last:] = sources[order, last:]
            before = order
    return arranged

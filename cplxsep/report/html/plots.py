"""Small plots as SVG. Colours are the page's, by class, so that they follow its dark mode."""

import math
from collections.abc import Sequence

from cplxsep.report.html.markup import Markup, join, number, tag

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 36, 12, 22, 38
BINS = 24


class Axis:
    """Maps values to pixels, with round ticks; `whole` for counts."""

    def __init__(
        self,
        low: float,
        high: float,
        start: float,
        end: float,
        ticks: int = 5,
        whole: bool = False,
    ) -> None:
        # Values that differ by rounding alone would leave no room between two ticks.
        if high - low <= 1e-6 * max(1.0, abs(low), abs(high)):
            low, high = low - 0.5, high + 0.5
        rough = max((high - low) / ticks, 1.0 if whole else 0.0)
        power = 10.0 ** math.floor(math.log10(rough))
        factors = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
        self.step = next(power * f for f in factors if power * f >= rough * (1 - 1e-9))
        self.low = math.floor(low / self.step + 1e-9) * self.step
        self.high = math.ceil(high / self.step - 1e-9) * self.step
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        count = round((self.high - self.low) / self.step)
        return [self.low + index * self.step for index in range(count + 1)]


def histogram(values: Sequence[float], mean: float, title: str) -> Markup:
    """How many files have which score; a line at the mean."""
    x = Axis(min(values), max(values), LEFT, WIDTH - RIGHT)
    count = max(1, min(BINS, round(2 * math.sqrt(len(values)))))
    width = (x.high - x.low) / count
    bins = [0] * count
    for value in values:
        bins[min(int((value - x.low) / width), count - 1)] += 1
    y = Axis(0, max(bins), HEIGHT - BOTTOM, TOP, ticks=3, whole=True)
    bars = []
    for index, files in enumerate(bins):
        if files:
            low, high = x.low + index * width, x.low + (index + 1) * width
            about = f"{number(low)} to {number(high)}: {files} file{'s' * (files != 1)}"
            size = {"width": round(x(high) - x(low) - 1, 1), "height": round(y(0) - y(files), 1)}
            bars.append(
                tag("rect", tag("title", about), class_="bar", x=x(low), y=y(files), **size)
            )
    about = f"Histogram of {title} over {len(values)} files, mean {number(mean)}"
    marks = [*bars, _line(x(mean), TOP, x(mean), y(0), "mean")]
    return _frame(about, x, y, title, "files", marks)


def scatter(
    points: Sequence[tuple[float, float, str]],
    x_title: str,
    y_title: str,
    *,
    diagonal: bool = False,
) -> Markup:
    """One dot at each (x, y), with its name; `diagonal`: a line where both are the same."""
    x = Axis(min(p[0] for p in points), max(p[0] for p in points), LEFT, WIDTH - RIGHT)
    y = Axis(min(p[1] for p in points), max(p[1] for p in points), HEIGHT - BOTTOM, TOP, ticks=4)
    dots = [
        tag("circle", tag("title", name), class_="dot", cx=x(a), cy=y(b), r=2.5)
        for a, b, name in points
    ]
    about = f"{y_title} against {x_title}, {len(points)} points"
    low, high = max(x.low, y.low), min(x.high, y.high)
    line = [_line(x(low), y(low), x(high), y(high), "mean")] if diagonal and low < high else []
    return _frame(about, x, y, x_title, y_title, [*line, *dots])


def intervals(rows: Sequence[tuple[str, float, tuple[float, float] | None]], title: str) -> Markup:
    """A mean and its confidence interval for each condition, one below the other."""
    height = TOP + BOTTOM + 22 * len(rows)
    bounds = [value for _, mean, ci in rows for value in (mean, *(ci or ()))]
    left = 120
    x = Axis(min(bounds), max(bounds), left, WIDTH - RIGHT)
    marks = []
    for index, (name, mean, ci) in enumerate(rows):
        level = TOP + 22 * index + 11
        shown = name if len(name) <= 18 else f"{name[:17]}…"
        marks.append(tag("text", shown, x=left - 8, y=level + 4, text_anchor="end"))
        if ci is not None:
            marks.append(_line(x(ci[0]), level, x(ci[1]), level, "interval"))
        about = f"{name}: {number(mean)}" + (f" ({number(ci[0])} to {number(ci[1])})" if ci else "")
        marks.append(tag("circle", tag("title", about), class_="point", cx=x(mean), cy=level, r=4))
    about = f"Mean {title} and its confidence interval by condition"
    return _frame(about, x, None, title, "", marks, height)


def _frame(
    about: str,
    x: Axis,
    y: Axis | None,
    x_title: str,
    y_title: str,
    marks: Sequence[Markup],
    height: float = HEIGHT,
) -> Markup:
    """Axes with ticks around the marks."""
    bottom = height - BOTTOM
    parts = []
    for value in x.ticks():
        parts.append(_line(x(value), TOP, x(value), bottom, "grid"))
        label = f"{value + 0.0:.6g}"
        parts.append(tag("text", label, x=x(value), y=bottom + 14, text_anchor="middle"))
    if y is not None:
        for value in y.ticks():
            parts.append(_line(x.start, y(value), x.end, y(value), "grid"))
            parts.append(tag("text", f"{value:.6g}", x=LEFT - 5, y=y(value) + 4, text_anchor="end"))
    middle = (x.start + x.end) / 2
    parts.append(tag("text", x_title, class_="title", x=middle, y=height - 6, text_anchor="middle"))
    if y_title:
        parts.append(tag("text", y_title, class_="title", x=4, y=12))
    size = f"0 0 {WIDTH} {height}"
    return tag("svg", join([*parts, *marks]), viewBox=size, role="img", aria_label=about)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return tag("line", class_=kind, x1=x1, y1=y1, x2=x2, y2=y2)

"""The course of a simulation as SVG: what is paid by the hour, and how many pods wait, by policy over time.

Drawn like the graph: plain Python, the same colours for light and dark. Sizes in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from infra.ui.graph_style import DARK, DARK_PROFILES, LIGHT, LIGHT_PROFILES, PROFILES, style
from infra.ui.graph_svg import Drawing

if TYPE_CHECKING:
    from infra.autoscale.simulate.results import Moment, Result

WIDE, HIGH, LEFT, RIGHT = 900.0, 230.0, 76.0, 24.0
TOP, BETWEEN = 94.0, 64.0
POINTS = 700
"""Steps that are drawn at most; more would only make the file large."""
Value = Callable[["Moment"], float]


def svg(results: Sequence[Result], title: str) -> str:
    """Two panels above each other, with one line for each policy in both."""
    drawing = Drawing()
    drawing.text(20, 34, title, "h2")
    _legend(drawing, results)
    end = max((_end(one) for one in results), default=1.0) or 1.0
    _panel(drawing, results, TOP, end, "machines, $/h", lambda moment: moment.rate)
    _panel(drawing, results, TOP + HIGH + BETWEEN, end, "pods that wait", lambda moment: moment.waiting)
    high = TOP + 2 * HIGH + BETWEEN + 48
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE:g}" height="{high:g}" viewBox="0 0 {WIDE:g} {high:g}" '
        f'role="img" aria-label={quoteattr(title)}>'
    )
    body = [f"<style>{style()}{_lines()}</style>", f'<rect width="{WIDE:g}" height="{high:g}" class="page"/>']
    return "\n".join([head, *body, *drawing.parts, "</svg>", ""])


def _lines() -> str:
    def rules(theme: dict[str, str], colours: Sequence[str]) -> str:
        grid = f".grid{{stroke:{theme['line']};fill:none}}"
        each = "".join(f".s{place}{{stroke:{colour}}}" for place, colour in enumerate(colours))
        return grid + each

    dark = rules(DARK, DARK_PROFILES)
    plain = ".series{fill:none;stroke-width:1.8;stroke-linejoin:round}"
    return f"{plain}{rules(LIGHT, LIGHT_PROFILES)}@media (prefers-color-scheme:dark){{{dark}}}"


def _legend(drawing: Drawing, results: Sequence[Result]) -> None:
    x = 20.0
    for place, one in enumerate(results):
        drawing.line(x, 54, x + 22, 54, f"series s{place % PROFILES}")
        text = f"{one.policy}: ${one.dollars:,.0f}, {one.rounds:,} {'round' if one.rounds == 1 else 'rounds'}"
        drawing.text(x + 28, 58, text, "small")
        x += 28 + 7.2 * len(text) + 26


def _end(result: Result) -> float:
    """When the last work was done: what comes after is the same for ever."""
    busy = [moment.when for moment in result.course if moment.waiting or moment.running or moment.rate > 0]
    return max(busy, default=0.0)


def _panel(drawing: Drawing, results: Sequence[Result], top: float, end: float, name: str, value: Value) -> None:
    most = max((value(moment) for one in results for moment in one.course), default=0.0)
    step = nice(most / 4)
    limit = max(step, math.ceil(most / step) * step)
    drawing.text(20, top - 8, name, "small bold")
    bottom, room = top + HIGH, WIDE - LEFT - RIGHT
    for count in range(round(limit / step) + 1):
        y = bottom - HIGH * count * step / limit
        drawing.line(LEFT, y, WIDE - RIGHT, y, "grid")
        drawing.text(LEFT - 8, y + 4, f"{count * step:,.10g}", "tiny", "end")
    unit, letter = next(
        (pair for pair in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")) if end > 3 * pair[0]), (1.0, "s")
    )
    beat = nice(end / unit / 8)
    for count in range(int(end / unit / beat + 1e-9) + 1):
        x = LEFT + room * count * beat * unit / end
        drawing.line(x, bottom, x, bottom + 4, "grid")
        drawing.text(x, bottom + 17, f"{count * beat:,.10g} {letter}", "tiny", "middle")
    for place, one in enumerate(results):
        points = [
            (LEFT + room * when / end, bottom - HIGH * high / limit) for when, high in steps(one.course, end, value)
        ]
        path = "".join(f"{'M' if not number else 'L'}{x:.1f} {y:.1f}" for number, (x, y) in enumerate(points))
        drawing.parts.append(f'<path d="{path}" class="series s{place % PROFILES}"/>')


def nice(least: float) -> float:
    """1, 2 or 5 times a power of ten, the smallest that is not below."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(one * power for one in (1, 2, 5, 10) if one * power >= least * (1 - 1e-9))


def steps(course: Sequence[Moment], end: float, value: Value) -> list[tuple[float, float]]:
    """A staircase of the values until ``end``; of moments that would be one point, the highest is drawn."""
    found: list[tuple[float, float]] = []
    slot, high, last = -1, 0.0, 0.0
    for moment in course:
        if moment.when > end:
            break
        here = int(moment.when / end * POINTS)
        high = max(high, value(moment)) if here == slot else value(moment)
        if here == slot and found:
            found[-1] = (found[-1][0], high)
        else:
            found += [(moment.when, last), (moment.when, high)]
        slot, last = here, value(moment)
    return [*found, (end, last)]

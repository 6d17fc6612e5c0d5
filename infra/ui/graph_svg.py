"""A :class:`~infra.ui.graph.Scene` as SVG: rows of panels, panels of cards. Plain Python, no library.

All sizes are in pixels. Colours are CSS variables, so that one picture serves light and dark; text is measured with
a coarse table of widths and cut with an ellipsis, its whole in the tip.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from infra.ui.graph import Card, Panel, Scene
from infra.ui.graph_style import ICONS, PROFILES, style

GAP = 20
PAD = 16
CARD = 316  # width of a card
ZONE = 104  # least width of a zone
ROW = 1540  # panels wrap beyond
TITLE, SMALL = 14.0, 11.5
GLYPH, GLYPHS = 9, 18  # machines as squares: their size, and how many at most

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def width(text: str, size: float, mono: bool = False) -> float:
    """About how wide a text is."""
    if mono:
        return len(text) * size * 0.61
    units = 0.0
    for char in text:
        if char in "iljtf.,:;'|!()[]/· ":
            units += 0.31
        elif char in "mwMW@…":
            units += 0.9
        elif char.isupper():
            units += 0.69
        else:
            units += 0.57 if ord(char) < 0x2E80 else 1.0
    return units * size * 1.04


def cut(text: str, room: float, size: float, mono: bool = False) -> str:
    """The text, shortened to the room it has."""
    if width(text, size, mono) <= room:
        return text
    while text and width(text + "…", size, mono) > room:
        text = text[:-1]
    return text.rstrip(" ,·") + "…"


def clean(text: str) -> str:
    """Escaped, and without characters that XML does not know."""
    return escape(_ILLEGAL.sub("�", text))


@dataclass
class Drawing:
    """Elements of an SVG, in order."""

    parts: list[str] = field(default_factory=list)

    def rect(self, x: float, y: float, w: float, h: float, css: str, radius: float = 8) -> None:
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{radius:g}" class="{css}"/>')

    def text(self, x: float, y: float, text: str, css: str, anchor: str = "start") -> None:
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.parts.append(f'<text x="{x:g}" y="{y:g}" class="{css}"{where}>{clean(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        self.parts.append(f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" class="{css}"/>')

    def pill(self, right: float, y: float, text: str, css: str = "pill") -> float:
        """A small label that ends at ``right``; its left edge is returned."""
        wide = width(text, 10.5) + 14
        self.rect(right - wide, y, wide, 18, css, 9)
        self.text(right - wide / 2, y + 12.7, text, "pilltext", "middle")
        return right - wide

    def open(self, tip: str, css: str) -> None:
        shown = clean(tip)
        self.parts.append(f'<g class="{css}" data-tip={quoteattr(_ILLEGAL.sub("�", tip))}><title>{shown}</title>')

    def close(self) -> None:
        self.parts.append("</g>")


def svg(scene: Scene) -> str:
    """The whole picture as one SVG document."""
    colours = {name: f"p{place % PROFILES}" for place, (name, _) in enumerate(scene.profiles)}
    drawing = Drawing()
    rows = _rows(scene.panels)
    wide = max([_row_width(row) for row in rows] + [CARD + 2 * PAD + 2 * GAP, _words_width(scene)])
    if len(scene.panels) == 1 and len(scene.panels[0].cards) > 2:
        wide = max(wide, 2 * CARD + 12 + 2 * PAD + 2 * GAP)  # room for two columns
    y = _header(drawing, scene, wide)
    for row in rows:
        extra = (wide - _row_width(row)) / len(row) if len(rows) == 1 else 0
        columns = 2 if len(row) == 1 and extra >= CARD else 0
        high = max(_panel_height(panel, columns) for panel in row)
        x = float(GAP)
        for panel in row:
            room = _panel_width(panel) + extra
            _panel(drawing, panel, (x, y, room, high), columns, colours)
            x += room + GAP
        y += high + GAP
    y = _shared(drawing, scene.shared, y, wide)
    y = _legend(drawing, scene, y, colours, wide)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" width="{wide:g}" height="{y:g}" '
        f'viewBox="0 0 {wide:g} {y:g}" role="img" aria-label={quoteattr("cluster " + scene.title)}>'
    )
    body = "\n".join(
        [f"<style>{style()}</style>", f'<rect width="{wide:g}" height="{y:g}" class="page"/>', *drawing.parts]
    )
    return f"{head}\n{body}\n</svg>\n"


def _columns(panel: Panel) -> int:
    return 1 if len(panel.cards) <= 6 else min(math.ceil(math.sqrt(len(panel.cards) / 3)), 12)


def _panel_width(panel: Panel) -> float:
    cards = _columns(panel) * (CARD + 12) - 12
    return max(cards, len(panel.zones) * (ZONE + 8) - 8) + 2 * PAD


def _row_width(row: Sequence[Panel]) -> float:
    return sum(_panel_width(panel) + GAP for panel in row) + GAP


def _rows(panels: Sequence[Panel]) -> list[list[Panel]]:
    rows: list[list[Panel]] = []
    for panel in panels:
        if rows and _row_width([*rows[-1], panel]) <= ROW:
            rows[-1].append(panel)
        else:
            rows.append([panel])
    return rows


def _words_width(scene: Scene) -> float:
    """What header and legend would like to have, within reason."""
    kubernetes = width(" · ".join(scene.kubernetes), 14.5) + 70
    legend = max((width(f"{name} {text}", 12.5) + 30 for name, text in scene.profiles), default=0)
    return min(max(width(" · ".join(scene.facts), 12.5), kubernetes, legend) + 2 * GAP, 1000)


def _header(drawing: Drawing, scene: Scene, wide: float) -> float:
    drawing.text(GAP, 40, scene.title, "h1")
    drawing.text(GAP, 62, cut(" · ".join(scene.facts), wide - 2 * GAP, 12.5), "muted")
    if not scene.kubernetes:
        return 82
    drawing.rect(GAP, 80, wide - 2 * GAP, 34, "band")
    drawing.parts.append(f'<g transform="translate({GAP + 12:g} 88)" class="icon">{ICONS["control"]}</g>')
    drawing.text(GAP + 38, 101.5, scene.kubernetes[0], "bold")
    rest = " · ".join(scene.kubernetes[1:])
    start = GAP + 38 + width(scene.kubernetes[0], 15.5) + 18
    drawing.text(start, 101.5, cut(rest, wide - GAP - start - 12, 12.5), "muted")
    return 114 + GAP


def _zone_height(panel: Panel) -> float:
    return 0 if not panel.zones else 112


def _card_height(card: Card) -> float:
    extra = (20 if card.machines else 2) + (24 if _pills_below(card) else 0)
    return 38 + 17 * sum(1 for line in card.lines if line) + extra


def _pills_below(card: Card) -> bool:
    """Whether title and pills are too wide for one line."""
    pills = sum(width(cut(pill, 150, 10.5), 10.5) + 18 for pill in card.pills)
    return bool(card.pills) and pills + width(card.title, TITLE * 1.08) + 50 > CARD


def _grid(panel: Panel, wanted: int) -> list[list[Card]]:
    """The panel's cards by column, each next card in the column that is shortest so far; ``wanted`` 0: as many
    columns as suit the number of cards."""
    columns: list[list[Card]] = [[] for _ in range(min(wanted, max(len(panel.cards), 1)) or _columns(panel))]
    heights = [0.0] * len(columns)
    for card in panel.cards:
        place = heights.index(min(heights))
        columns[place].append(card)
        heights[place] += _card_height(card) + 10
    return columns


def _panel_height(panel: Panel, columns: int) -> float:
    cards = max((sum(_card_height(card) + 10 for card in column) for column in _grid(panel, columns)), default=0.0)
    return 58 + _zone_height(panel) + max(cards, 34) + PAD - 10


Box = tuple[float, float, float, float]  # left, top, width, height


def _panel(drawing: Drawing, panel: Panel, box: Box, wanted: int, colours: dict[str, str]) -> None:
    x, y, wide, high = box
    drawing.rect(x, y, wide, high, "panel", 12)
    drawing.text(x + PAD, y + 27, panel.title, "h2")
    right = x + wide - PAD
    for pill in reversed(panel.pills):
        right = drawing.pill(right, y + 12, pill, "pill strong" if pill == "home" else "pill") - 6
    drawing.text(x + PAD, y + 45, panel.subtitle, "mono muted")
    top = y + 58
    if panel.zones:
        _zones(drawing, panel, x + PAD, top, wide - 2 * PAD)
        top += _zone_height(panel)
    if not panel.cards:
        drawing.text(x + PAD, top + 18, "nothing here yet", "muted")
    columns = _grid(panel, wanted)
    room = (wide - 2 * PAD - 12 * (len(columns) - 1)) / len(columns)
    for place, column in enumerate(columns):
        below = top
        for card in column:
            _card(drawing, card, x + PAD + place * (room + 12), below, room, colours)
            below += _card_height(card) + 10


def _zones(drawing: Drawing, panel: Panel, x: float, y: float, wide: float) -> None:
    each = (wide - 8 * (len(panel.zones) - 1)) / len(panel.zones)
    for place, zone in enumerate(panel.zones):
        left = x + place * (each + 8)
        drawing.open(f"{zone.name}\npublic {zone.public}\nprivate {zone.private}", "zone")
        drawing.rect(left, y, each, 100, "zonebox")
        drawing.text(left + each / 2, y + 16, zone.name, "small bold", "middle")
        for top, label, net, css in ((24, "public", zone.public, "public"), (61, "private", zone.private, "private")):
            drawing.rect(left + 5, y + top, each - 10, 34, css, 5)
            drawing.text(left + each / 2, y + top + 14, label, "tiny", "middle")
            drawing.text(left + each / 2, y + top + 27, cut(net, each - 12, 10.5, True), "mono tiny", "middle")
        drawing.close()


def _card(drawing: Drawing, card: Card, x: float, y: float, wide: float, colours: dict[str, str]) -> None:
    colour = colours.get(card.profile or "", f"p{PROFILES}")
    high = _card_height(card)
    drawing.open(card.tip, f"card {colour}")
    drawing.rect(x, y, wide, high, "cardbox")
    drawing.parts.append(f'<path d="M{x + 4:g} {y:g}h0a4 4 0 0 0 -4 4v{high - 8:g}a4 4 0 0 0 4 4z" class="edge"/>')
    drawing.parts.append(f'<g transform="translate({x + 14:g} {y + 9:g})" class="icon">{ICONS[card.kind]}</g>')
    right = x + wide - 8
    low = _pills_below(card)
    if low:
        right = x + 10 + sum(width(cut(pill, 150, 10.5), 10.5) + 18 for pill in card.pills)
    for pill in reversed(card.pills):
        css = "pill mount" if card.kind in ("efs", "s3", "nfs") else f"pill {pill}"
        right = drawing.pill(right, y + (34 if low else 9), cut(pill, 150, 10.5), css) - 4
    room = (x + wide - 8 if low else right) - x - 46
    drawing.text(x + 40, y + 23, cut(card.title, room, TITLE * 1.08), "bold")
    below = y + (65 if low else 41)
    for line in filter(None, card.lines):
        drawing.text(x + 14, below, cut(line, wide - 24, SMALL), "small muted")
        below += 17
    if card.machines:
        _machines(drawing, card.machines, x + 14, below - 7, x + wide - 10)
    drawing.close()


def _machines(drawing: Drawing, machines: tuple[int, int], x: float, y: float, right: float) -> None:
    """A square for each machine: full for those there are, hollow for those there may be."""
    now, most = machines
    shown = min(most, GLYPHS)
    # With more machines than squares, the full ones keep their share, and one at least if there is any.
    full = now if most <= GLYPHS else min(max(round(now * GLYPHS / most), 1 if now else 0), GLYPHS)
    for place in range(shown):
        drawing.rect(x + place * (GLYPH + 2), y, GLYPH, GLYPH, "machine" if place < full else "machine spare", 2)
    text = f"{now}" if now == most else f"{now}, up to {most}"
    drawing.text(right, y + 8.5, text, "small bold", "end")


def _shared(drawing: Drawing, cards: Sequence[Card], y: float, wide: float) -> float:
    if not cards:
        return y
    fit = max(int((wide - 2 * GAP - 2 * PAD + 12) // (CARD + 12)), 1)
    each = (wide - 2 * GAP - 2 * PAD - 12 * (min(fit, len(cards)) - 1)) / min(fit, len(cards))
    lines = math.ceil(len(cards) / fit)
    high = max(_card_height(card) for card in cards)
    drawing.rect(GAP, y, wide - 2 * GAP, 44 + lines * (high + 10) + 2, "panel", 12)
    drawing.text(GAP + PAD, y + 27, "storage for all", "h2")
    for place, card in enumerate(cards):
        column, line = place % fit, place // fit
        _card(drawing, card, GAP + PAD + column * (each + 12), y + 42 + line * (high + 10), each, {})
    return y + 44 + lines * (high + 10) + 2 + GAP


def _legend(drawing: Drawing, scene: Scene, y: float, colours: dict[str, str], wide: float) -> float:
    if not scene.profiles:
        return y + 12
    for name, text in scene.profiles:
        drawing.open(f"profile {name}\n{text}", f"legend {colours[name]}")
        drawing.rect(GAP + 2, y, 12, 12, "machine", 3)
        drawing.text(GAP + 22, y + 10.5, name, "small bold")
        start = GAP + 22 + width(name, 12) + 16
        drawing.text(start, y + 10.5, cut(text, wide - start - GAP, SMALL), "small muted")
        drawing.close()
        y += 20
    drawing.parts.append(f'<g class="p{PROFILES}">')
    drawing.rect(GAP + 2, y + 6, GLYPH, GLYPH, "machine", 2)
    drawing.text(GAP + 22, y + 14, "a machine from the start", "small muted")
    drawing.rect(GAP + 192, y + 6, GLYPH, GLYPH, "machine spare", 2)
    drawing.text(GAP + 208, y + 14, "one that may be added", "small muted")
    drawing.close()
    return y + 32

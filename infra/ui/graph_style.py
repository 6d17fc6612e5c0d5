"""Colours, fonts and icons of the graph and of the page around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LIGHT = {
    "page": "#f6f7f9",
    "panel": "#ffffff",
    "card": "#fbfcfd",
    "line": "#d7dce3",
    "text": "#18202b",
    "muted": "#5b6675",
    "soft": "#eef1f5",
    "public": "#fdf3dd",
    "private": "#e6f0fb",
    "strong": "#1f6feb",
    "home": "#cfe0fb",
    "spot": "#ecd9c4",
    "pill": "#e7ebf1",
    "band": "#eaf1fe",
}
DARK = {
    "page": "#0e131a",
    "panel": "#161c25",
    "card": "#1b232e",
    "line": "#2f3a48",
    "text": "#e6ebf2",
    "muted": "#9aa7b8",
    "soft": "#222b37",
    "public": "#3a3016",
    "private": "#17304b",
    "strong": "#58a6ff",
    "home": "#1d3c63",
    "spot": "#503c28",
    "pill": "#2a3441",
    "band": "#18263d",
}
# Of the profiles, in turn; the last one is of what has no profile.
LIGHT_PROFILES = ("#76a72e", "#2f7de1", "#d9822b", "#9a5bd6", "#d6455d", "#12a594", "#b38600", "#c2529b", "#6b7a8f")
DARK_PROFILES = ("#9acd3c", "#58a6ff", "#f0a04b", "#bb8af0", "#f0708a", "#3fc9b5", "#e0b53d", "#e27fc0", "#93a1b5")
PROFILES = len(LIGHT_PROFILES) - 1

_FONT = """\
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-size:11.5px}
.pilltext{font-size:10.5px}
.h1{font-size:24px;font-weight:650}
.h2{font-size:16px;font-weight:650}
.bold{font-size:13.5px;font-weight:600}
.muted{font-size:12.5px}
.small,.mono.muted{font-size:11.5px}
.tiny,.mono.tiny{font-size:10px}
.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.icon{fill:none;stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}
.zonebox{fill:none;stroke-dasharray:3 3}
"""


def colours(theme: Mapping[str, str], profiles: Sequence[str], inside: str = "") -> str:
    """The rules of one theme; ``inside`` is a selector that stands before each, for a page that has a switch.

    Plain values and no CSS variables: converters such as rsvg-convert do not know these.
    """
    rules = [
        ("text", f"fill:{theme['text']}"),
        (".page", f"fill:{theme['page']}"),
        (".panel", f"fill:{theme['panel']};stroke:{theme['line']}"),
        (".band", f"fill:{theme['band']};stroke:{theme['line']}"),
        (".cardbox", f"fill:{theme['card']};stroke:{theme['line']}"),
        (".zonebox", f"stroke:{theme['line']}"),
        (".card:hover .cardbox", f"stroke:{theme['strong']}"),
        (".zone:hover .zonebox", f"stroke:{theme['strong']}"),
        (".public", f"fill:{theme['public']}"),
        (".private", f"fill:{theme['private']}"),
        (".icon", f"stroke:{theme['strong']}"),
        (".pill", f"fill:{theme['pill']}"),
        (".pill.strong", f"fill:{theme['home']}"),
        (".pill.spot", f"fill:{theme['spot']}"),
        (".pill.mount", f"fill:{theme['soft']};stroke:{theme['line']}"),
        (".tiny", f"fill:{theme['muted']}"),
        (".mono.tiny", f"fill:{theme['text']}"),
        (".muted", f"fill:{theme['muted']}"),
    ]
    for place, colour in enumerate(profiles):
        rules.append((f".p{place} .edge", f"fill:{colour}"))
        rules.append((f".p{place} .machine", f"fill:{colour};stroke:{colour}"))
        rules.append((f".p{place} .spare", "fill:none;stroke-opacity:.55"))
        rules.append((f".p{place} .icon", f"stroke:{colour}"))
    return "\n".join(f"{inside}{selector}{{{rule}}}" for selector, rule in rules)


def style() -> str:
    """Of the SVG itself: light, and dark where the reader's system is."""
    dark = colours(DARK, DARK_PROFILES)
    return f"{_FONT}{colours(LIGHT, LIGHT_PROFILES)}\n@media (prefers-color-scheme:dark){{\n{dark}\n}}\n"


def variables(theme: Mapping[str, str]) -> str:
    """The colours of a theme as CSS variables, for the page around the SVG."""
    return ";".join(f"--{name}:{value}" for name, value in theme.items())


# 18 by 18 pixels, lines only.
ICONS = {
    "pool": '<rect x="1" y="6" width="11" height="11" rx="2"/><path d="M4.5 3.5h10v10M7.5 1h9.500v9.500"/>',
    "host": '<rect x="1.500" y="2" width="15" height="10.500" rx="1.500"/><path d="M6 16.500h6M9 12.500v4"/>',
    "control": '<path d="M9 1l7 4v8l-7 4-7-4V5z"/><circle cx="9" cy="9" r="2.300"/>',
    "metal": (
        '<rect x="1.500" y="1.500" width="15" height="6.500" rx="1.500"/>'
        '<rect x="1.500" y="10" width="15" height="6.500" rx="1.500"/><path d="M4.5 4.8h.01M4.5 13.3h.01"/>'
        '<path d="M8 4.8h5M8 13.3h5"/>'
    ),
    "efs": '<path d="M1.500 14.500v-11h5l2 2.500h8v8.500z"/>',
    "nfs": '<path d="M1.500 11.500v-9h5l2 2.500h8v6.500zM9 11.500v3M3 16h12"/>',
    "s3": '<path d="M2 4l1.800 11.500c2 1.500 8.400 1.500 10.400 0L16 4"/><ellipse cx="9" cy="4" rx="7" ry="2.500"/>',
}

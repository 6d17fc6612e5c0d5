"""The graph as one HTML page that needs nothing else: no font, script or style from anywhere."""

from __future__ import annotations

from infra.ui.graph_style import DARK, DARK_PROFILES, LIGHT, LIGHT_PROFILES, colours, variables
from infra.ui.graph_svg import clean

_STYLE = f"""
:root{{color-scheme:light dark;{variables(LIGHT)}}}
@media (prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}
:root[data-theme=light]{{color-scheme:light;{variables(LIGHT)}}}
:root[data-theme=dark]{{color-scheme:dark;{variables(DARK)}}}
{colours(LIGHT, LIGHT_PROFILES, ":root[data-theme=light] ")}
{colours(DARK, DARK_PROFILES, ":root[data-theme=dark] ")}
body{{margin:0;background:var(--page);font-family:system-ui,sans-serif}}
main{{overflow:auto;padding:8px}}
main svg{{display:block;margin:0 auto;max-width:none}}
button{{position:fixed;top:14px;right:18px;border:1px solid var(--line);border-radius:8px;padding:6px 12px;
background:var(--panel);color:var(--text);font:inherit;font-size:13px;cursor:pointer}}
#tip{{position:fixed;display:none;pointer-events:none;white-space:pre;padding:8px 12px;border-radius:8px;
background:var(--text);color:var(--page);font-size:12px;line-height:1.5;max-width:480px;overflow:hidden;
text-overflow:ellipsis;box-shadow:0 4px 16px rgba(0,0,0,.25);z-index:1}}
@media print{{button{{display:none}}}}
"""

# Tips follow the pointer; the SVG's own <title> elements, which would show a second one, are taken out.
_SCRIPT = """
const tip = document.getElementById('tip');
document.querySelectorAll('[data-tip]').forEach(item => {
  item.querySelector('title')?.remove();
  item.addEventListener('pointermove', event => {
    tip.textContent = item.dataset.tip;
    tip.style.display = 'block';
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8)) + 'px';
    tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - box.height - 8)) + 'px';
  });
  item.addEventListener('pointerleave', () => { tip.style.display = 'none'; });
});
document.getElementById('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
});
"""


def page(title: str, picture: str) -> str:
    """The page around an SVG."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{clean(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{picture}</main>
<button id="theme" type="button">light / dark</button>
<div id="tip" role="tooltip"></div>
<script>{_SCRIPT}</script>
</body>
</html>
"""

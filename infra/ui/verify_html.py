"""The proof as one HTML page that needs nothing else: no font, script or style from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from infra.node.inventory.pattern import fold
from infra.node.proof.manifest import readable
from infra.plan.words import many
from infra.ui.graph_style import DARK, LIGHT, variables
from infra.ui.verify_view import counted, letters, shown

if TYPE_CHECKING:
    from infra.node.proof.allowed import Value
    from infra.node.proof.compare import Comparison, Difference
    from infra.node.proof.verify import Verdict

SIDE_BY_SIDE = 8  # groups that get a column each

_STYLE = f"""
:root{{color-scheme:light dark;{variables(LIGHT)};--good:#1a7f37;--bad:#c62828;--warn:#9a6700;--mark:#fff3c4}}
@media (prefers-color-scheme:dark){{:root{{{variables(DARK)};--good:#3fb950;--bad:#ff7b72;--warn:#d29922;
--mark:#4a3b0d}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,sans-serif}}
main{{max-width:1280px;margin:0 auto;padding:24px 20px 60px}}
h1{{font-size:24px;margin:0 0 4px}} h2{{font-size:19px;margin:0}} h3{{font-size:15px;margin:18px 0 6px}}
p{{margin:4px 0}} .muted{{color:var(--muted)}}
section{{background:var(--panel);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin-top:18px}}
.tag{{display:inline-block;border-radius:999px;padding:1px 12px;color:#fff;font-weight:600;font-size:14px;
vertical-align:2px;margin-left:8px}}
.good{{background:var(--good)}} .bad{{background:var(--bad)}} .warn{{background:var(--warn)}}
@media (prefers-color-scheme:dark){{.tag{{color:#0e131a}}}}
.scroll{{overflow-x:auto;margin-top:10px;border:1px solid var(--line);border-radius:8px}}
table{{border-collapse:collapse;width:100%;font-size:13.5px}}
th,td{{text-align:left;vertical-align:top;padding:6px 12px;border-top:1px solid var(--line);overflow-wrap:anywhere}}
tr:first-child th{{border-top:0}} th{{background:var(--soft);font-weight:600}}
td{{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12.5px;min-width:110px}}
td.other{{background:var(--mark)}} td.none{{color:var(--muted)}} .part{{color:var(--muted)}}
dl{{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:10px 0 0}}
dt{{font-weight:700}} dd{{margin:0}}
details{{margin-top:14px}} summary{{cursor:pointer;color:var(--strong);font-weight:600}}
pre{{white-space:pre-wrap;margin:6px 0 0;font-size:13px}}
input{{width:100%;max-width:420px;margin-top:12px;padding:6px 10px;border:1px solid var(--line);border-radius:8px;
background:var(--card);color:var(--text);font:inherit;font-size:14px}}
@media print{{input{{display:none}} section{{break-inside:avoid-page}}}}
"""
_SCRIPT = """
document.querySelectorAll('input[data-of]').forEach(input => input.addEventListener('input', () => {
  const words = input.value.toLowerCase().split(/\\s+/);
  document.querySelectorAll('#' + input.dataset.of + ' tbody tr').forEach(row => {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
  });
}));
"""


def page(cluster: str, found: Verdict, at: str) -> str:
    """The page; ``at`` is when the machines were asked (UTC ISO)."""
    said = {0: ("good", "identical"), 1: ("warn", "not all answered"), 2: ("bad", "not the same")}[found.code]
    nodes = sum(len(one.nodes) for one in found.comparisons)
    parts = [_comparison(number, one) for number, one in enumerate(found.comparisons)]
    if found.alone:
        names = escape(fold(found.alone))
        parts.append(f"<section><h2>Alone</h2><p>Nothing of their profile to compare with: {names}</p></section>")
    if found.failed:
        failures = "".join(
            f"<h3>{escape(name)}</h3><pre>{escape(error.text())}</pre>" for name, error in found.failed.items()
        )
        parts.append(
            f"<section><h2>Not compared<span class='tag bad'>{len(found.failed)}</span></h2>{failures}</section>"
        )
    title = escape(f"{cluster}: are the machines the same?")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(cluster)}<span class="tag {said[0]}">{said[1]}</span></h1>
<p class="muted">{many(nodes, "machine")} compared, {escape(at)}. Each manifest was signed on its machine with the host
key that is pinned for it, over a nonce made for this question.</p>
{"".join(parts)}
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _comparison(number: int, one: Comparison) -> str:
    tag = '<span class="tag good">identical</span>' if one.identical else '<span class="tag bad">not the same</span>'
    parts = [
        f"<h2>{escape(one.profile or 'no profile')}{tag}</h2>",
        f"<p>{many(len(one.nodes), 'machine')}: {escape(fold(one.nodes))}</p>",
        f"<p class='muted'>{one.facts:,} facts of each. "
        f"{escape(counted(one.differences)) if one.differences else 'No difference'}; "
        f"{len(one.allowed)} more as declared.</p>",
    ]
    if len(one.groups) > 1:
        rows = [f"<dt>{letter}</dt><dd>{escape(fold(group))}</dd>" for letter, group in _lettered(one)]
        parts.append(f"<dl>{''.join(rows)}</dl>")
    if one.differences:
        parts.append(f"<input data-of='d{number}' placeholder='Filter: sysctl, package nvidia …' aria-label='Filter'>")
        parts.append(_table(number, one))
    if one.allowed:
        parts.append(_allowed(one))
    return f"<section>{''.join(parts)}</section>"


def _lettered(one: Comparison) -> list[tuple[str, tuple[str, ...]]]:
    return list(zip(letters(one.groups), one.groups, strict=True))


def _table(number: int, one: Comparison) -> str:
    wide = 2 <= len(one.groups) <= SIDE_BY_SIDE
    names = [f"{letter} · {len(group)}" for letter, group in _lettered(one)] if wide else ["values"]
    head = "".join(f"<th>{escape(name)}</th>" for name in ("what", *names))
    rows = "".join(_row(item, one, wide) for item in one.differences)
    return (
        f"<div class='scroll' id='d{number}'><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(item: Difference, one: Comparison, wide: bool) -> str:
    what = f"<td><span class='part'>{escape(item.section)}</span> {escape(item.key)}</td>"
    if item.note or not wide:
        note = f"<b>{escape(item.note)}</b><br>" if item.note else ""
        span = f" colspan='{len(one.groups)}'" if wide else ""
        return f"<tr>{what}<td{span}>{note}{_sides(item)}</td></tr>"
    of = {node: value for value, nodes in item.values for node in nodes}
    usual = item.values[0][0]
    return f"<tr>{what}{''.join(_cell(of[group[0]], usual) for group in one.groups)}</tr>"


def _cell(value: Value, usual: Value) -> str:
    kind = " ".join(name for name, is_so in (("other", value != usual), ("none", value is None)) if is_so)
    return f"<td class='{kind}'>{_text(value)}</td>"


def _text(value: Value) -> str:
    """A value in short; the whole of it under the pointer."""
    if value is None:
        return "–"
    whole, short = escape(readable(value)), escape(shown(value))
    return f"<span title='{whole}'>{short}</span>" if short != whole else short or "(empty)"


def _sides(item: Difference) -> str:
    return "<br>".join(
        f"{_text(value)} <span class='part'>{escape(fold(nodes))}</span>" for value, nodes in item.values
    )


def _allowed(one: Comparison) -> str:
    """What differs and may, by reason, folded away."""
    reasons: dict[str, list[Difference]] = {}
    for item in one.allowed:
        reasons.setdefault(item.reason, []).append(item)
    parts = [f"<h3>{escape(reason)}</h3>{_allowed_table(items)}" for reason, items in reasons.items()]
    return f"<details><summary>{len(one.allowed)} may differ, each with its reason</summary>{''.join(parts)}</details>"


def _allowed_table(items: Sequence[Difference]) -> str:
    rows = "".join(
        f"<tr><td><span class='part'>{escape(item.section)}</span> {escape(item.key)}</td><td>{_sides(item)}</td></tr>"
        for item in items
    )
    return f"<div class='scroll'><table><tbody>{rows}</tbody></table></div>"

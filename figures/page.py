"""A page of several experiments: each figure beside what it should show, and its checks."""

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto;
       padding: 0 1rem; color: #222; }
h2 { margin-top: 3rem; border-top: 1px solid #ccc; padding-top: 1rem; }
img { max-width: 100%; }
table { border-collapse: collapse; font-size: 0.85rem; width: 100%; }
th, td { text-align: left; padding: 0.2rem 0.6rem; border-bottom: 1px solid #eee;
         vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.pass { color: #0072B2; } .fail { color: #D55E00; font-weight: bold; }
.quiet { color: #666; font-size: 0.9rem; }
nav a { margin-right: 1rem; white-space: nowrap; }
"""


def write(path: Path, title: str, sections: Sequence[Mapping[str, Any]]) -> Path:
    """Writes the page, whole or not at all.

    Args:
        path: of the page; pictures are named relative to its folder.
        title: of the page.
        sections: each with name, question, source, expect, pictures, checks (as in a
            record), seconds and device.
    """
    part = path.with_suffix(".part")
    part.write_text(render(title, sections), encoding="utf-8")
    os.replace(part, path)
    return path


def render(title: str, sections: Sequence[Mapping[str, Any]]) -> str:
    """The page as HTML, with nothing that is loaded from elsewhere."""
    checks = [check for section in sections for check in section["checks"]]
    passed = sum(check["passed"] for check in checks)
    seconds = sum(section["seconds"] for section in sections)
    links = "".join(
        f'<a href="#{_text(section["name"])}">{_text(section["name"])}</a>'
        for section in sections
    )
    body = "".join(_section(section) for section in sections)
    devices = ", ".join(sorted({section["device"] for section in sections}))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{_text(title)}</h1>"
        f"<p>{passed} of {len(checks)} checks passed, in {seconds / 60:.1f} minutes on "
        f"{_text(devices)}.</p><nav>{links}</nav>{body}</body></html>\n"
    )


def _section(section: Mapping[str, Any]) -> str:
    pictures = "".join(
        f'<p><img src="{_text(picture)}" alt="{_text(section["question"])}"></p>'
        for picture in section["pictures"]
    )
    rows = "".join(_row(check) for check in section["checks"])
    return (
        f'<h2 id="{_text(section["name"])}">{_text(section["question"])}</h2>'
        f'<p class="quiet"><code>python -m experiments {_text(section["name"])}</code>, '
        f"{section['seconds']:.1f} s. {_text(section['source'])}.</p>"
        f"<p>What it should show: {_text(section['expect'])}</p>{pictures}"
        "<table><tr><th>check</th><th>value</th><th>low</th><th>high</th><th></th>"
        f"<th>source of the band</th></tr>{rows}</table>"
    )


def _row(check: Mapping[str, Any]) -> str:
    value, low, high = (
        "" if check[name] is None else f"{check[name]:.5g}"
        for name in ("value", "low", "high")
    )
    mark = "pass" if check["passed"] else "fail"
    return (
        f'<tr><td>{_text(check["name"])}</td><td class="number">{value}</td>'
        f'<td class="number">{low}</td><td class="number">{high}</td>'
        f'<td class="{mark}">{mark}</td><td>{_text(check["source"])}</td></tr>'
    )


def _text(text: str) -> str:
    return html.escape(str(text))

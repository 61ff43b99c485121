"""The forecast as a picture: months won and months predicted, as one small SVG that Markdown can carry."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from xml.sax.saxutils import escape

from flows.delivery.result_table import Months

WIDTH, HEIGHT = 860, 320
"""Size of the picture, in pixels."""

SHOWN = 18
"""Months of history at most."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 10, 34, 34
_WON, _PREDICTED, _INK, _LINE = "#94a3b8", "#2563eb", "#475569", "#e2e8f0"
_LINES = 4
_LABELS = 12


def markdown_image(svg: str, title: str) -> str:
    """The picture inside Markdown: no file and no network, and nothing in it can run."""
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def draw(history: Mapping[str, float], months: Months) -> str:
    """Bars of revenue: ``history`` by ``YYYY-MM`` in grey, the predicted ``months`` in blue."""
    first = min((month[:7] for month, _ in months), default="9999")
    won = sorted((month, value) for month, value in history.items() if month < first)[-SHOWN:]
    bars = [(month, value, _WON) for month, value in won] + [(month[:7], value, _PREDICTED) for month, value in months]
    top = _round_up(max((value for _, value, _ in bars), default=0.0))
    wide = (WIDTH - _LEFT - _RIGHT) / max(len(bars), 1)
    every = -(-len(bars) // _LABELS)
    parts = [_legend(), *_scale(top)]
    for place, (month, value, colour) in enumerate(bars):
        left, high = _LEFT + place * wide, max(value, 0.0) / top * (HEIGHT - _TOP - _BOTTOM)
        parts.append(
            f'<rect x="{left + wide * 0.12:.1f}" y="{HEIGHT - _BOTTOM - high:.1f}" width="{wide * 0.76:.1f}" height="{high:.1f}" '
            f'rx="2" fill="{colour}"><title>{escape(month)}: {value:,.2f}</title></rect>'
        )
        if place % every == 0:
            parts.append(_text(left + wide / 2, HEIGHT - _BOTTOM + 18, escape(month), "middle"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>'
    )


def _legend() -> str:
    """The legend of the colours."""
    entries = [(_LEFT, _WON, "won"), (_LEFT + 70, _PREDICTED, "forecast")]
    return "".join(
        f'<rect x="{left}" y="10" width="12" height="12" rx="2" fill="{colour}"/>{_text(left + 18, 20, word, "start")}'
        for left, colour, word in entries
    )


def _scale(top: float) -> list[str]:
    """Grid lines with their revenue."""
    parts = []
    for step in range(_LINES + 1):
        y = HEIGHT - _BOTTOM - step / _LINES * (HEIGHT - _TOP - _BOTTOM)
        parts.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_LINE}"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{top * step / _LINES:,.0f}", "end"))
    return parts


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}">{words}</text>'


def _round_up(value: float) -> float:
    """The next round number whose quarters are round too, so that the grid's lines are."""
    if value <= 0:
        return 1.0
    power = 10.0 ** (len(str(int(value))) - 1)
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * power >= value)

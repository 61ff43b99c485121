"""The forecast as a picture: months won, the forecast, the one before it as a line, and the running month, drawn by matplotlib."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any, Literal

from flows.options import counted, shown_url

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

Picture = Literal["svg", "png"]

SHOWN = 18
"""Months of history at most."""

_INCHES, _DOTS = (8.6, 3.6), 100
_WON, _PREDICTED, _BEFORE, _INK, _GRID, _BAND, _PAPER = "#94a3b8", "#2563eb", "#b45309", "#334155", "#e2e8f0", "#fef3c7", "#ffffff"
_LABELS = 24
"""Months that have room for a label each."""

_FEWEST = 6
"""Months that have room at least: a single one is no wall."""
_LINE, _LONGEST_SUBJECT = 48, 50
"""Characters of a title that leave room for the as-of time beside it, and of a name for which the picture has room."""

_ONE_AT_A_TIME = threading.Lock()
"""Held while a picture is drawn: matplotlib's settings are the process's own, and many syncs may end at once."""


@dataclass(frozen=True, slots=True)
class Chart:
    """The content of a picture; revenues by ``YYYY-MM``."""

    title: str
    won: Mapping[str, float]
    months: Mapping[str, float]
    as_of: datetime
    currency: str | None = None
    before: Mapping[str, float] | None = None
    before_as_of: datetime | None = None
    running: str = ""
    """The running month, of which a part may be won already."""
    sandbox: bool = False
    revision: str = ""
    """Movement of the sum, for the page around the picture."""

    @property
    def last(self) -> str:
        """The forecast before this one, by its day, and by its time too where both are of one day."""
        if self.before_as_of is None:
            return ""
        same = self.before_as_of.date() == self.as_of.date()
        return f"last forecast, as of {self.before_as_of:{'%-d %b %Y, %H:%M UTC' if same else '%-d %b %Y'}}"


def chart_of(
    history: pa.Table, won: Mapping[str, float], subject: str, invocation_id: str | None = None, *, sandbox: str | None = None
) -> Chart:
    """Make the chart of a forecast, the newest one unless ``invocation_id`` names another, beside the one before it.

    Args:
        history: the collection's forecasts as `forecast_history.SCHEMA`, oldest first; not empty.
        won: revenue of won deals by ``YYYY-MM``.
        subject: the collection as people know it, for the title.
        invocation_id: of the forecast to show.
        sandbox: the sandbox's URL, where it is known that one held the collection.
    """
    made = {row["invocation_id"]: row for row in history.to_pylist()}
    chosen = invocation_id or next(reversed(made))
    earlier = [each for each, row in made.items() if row["as_of"] < made[chosen]["as_of"]]

    def months(invocation: str) -> dict[str, float]:
        return {f"{row['month']:%Y-%m}": row["revenue"] for row in history.to_pylist() if row["invocation_id"] == invocation}

    mine, currency = months(chosen), made[chosen]["currency"]
    if len(subject) > _LONGEST_SUBJECT:
        subject = f"{subject[: _LONGEST_SUBJECT - 3].rstrip()}..."
    return Chart(
        f"{subject}: {sum(mine.values()):,.0f}{f' {currency}' if currency else ''} in {counted(len(mine), 'month')}",
        won,
        mine,
        made[chosen]["as_of"],
        currency,
        months(earlier[-1]) if earlier else None,
        made[earlier[-1]]["as_of"] if earlier else None,
        f"{datetime.now(UTC):%Y-%m}",
        shown_url(made[chosen]["platform"]) == sandbox,
    )


def markdown_image(svg: bytes, title: str) -> str:
    """The picture inside Markdown: no file and no network, and nothing in it can run."""
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg).decode()})"


def draw(chart: Chart, form: Picture = "svg") -> bytes:
    """Draw the chart on white, which is readable in a light and in a dark page."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second of import that only a picture needs
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    style: dict[str, Any] = {"svg.fonttype": "none", "svg.hashsalt": "dealcast", "font.family": "sans-serif", "font.size": 9}
    style |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _INK)
    sink = io.BytesIO()
    with _ONE_AT_A_TIME, mpl.rc_context(style):  # type: ignore[arg-type] # its stubs want each key as a literal
        figure = Figure(figsize=_INCHES, dpi=_DOTS, facecolor=_PAPER)
        figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
        _plot(figure.subplots(), chart)
        figure.savefig(sink, format=form, metadata={"Date": None, "Creator": None} if form == "svg" else None)
    return sink.getvalue()


def _plot(axes: Axes, chart: Chart) -> None:
    from matplotlib.patheffects import withStroke  # noqa: PLC0415 - as in `draw`

    first = min(chart.months, default="9999")
    won = dict([(month, value) for month, value in sorted(chart.won.items()) if month < first][-SHOWN:])
    line = {month: value for month, value in (chart.before or {}).items() if month >= min(won, default=first)}
    place = {month: number for number, month in enumerate(_range({**won, **chart.months, **line}))}
    if chart.running in place:
        axes.axvspan(place[chart.running] - 0.5, place[chart.running] + 0.5, color=_BAND, zorder=0, label="running month")
    for values, colour, label in ((won, _WON, "won"), (chart.months, _PREDICTED, "forecast")):
        if values or label == "forecast":
            axes.bar([place[month] for month in values], list(values.values()), 0.76, color=colour, label=label, zorder=2)
    if line and chart.before_as_of:
        days = [place[month] for month in line]
        outline = [withStroke(linewidth=4, foreground=_PAPER)]
        axes.plot(days, list(line.values()), color=_BEFORE, marker="o", markersize=4, label=chart.last, zorder=3, path_effects=outline)
    if len(place) < _FEWEST:
        axes.set_xlim(-0.6, _FEWEST - 0.4)
    every = -(-len(place) // _LABELS)
    axes.set_xticks(
        [number for number in place.values() if number % every == 0], [_label(m, n) for m, n in place.items() if n % every == 0]
    )
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel(f"revenue, {chart.currency}" if chart.currency else "revenue", parse_math=False)
    axes.grid(axis="y", color=_GRID, zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    above = "\n" if len(chart.title) > _LINE else ""
    axes.set_title(f"{chart.title}{above}", loc="left", fontweight="bold", fontsize=11, parse_math=False)
    axes.set_title(f"as of {chart.as_of:%-d %b %Y, %H:%M} UTC{' · sandbox' if chart.sandbox else ''}", loc="right", fontsize=9)
    order = ("won", "forecast", "last", "running")
    parts, words = zip(
        *sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda each: order.index(each[1].split()[0])), strict=True
    )
    axes.legend(parts, words, loc="upper left", ncols=4, frameon=False, bbox_to_anchor=(-0.01, -0.14))


def _range(months: Mapping[str, float]) -> list[str]:
    """Every month from the first to the last of ``months``, those between that have no value too."""
    if not months:
        return []
    first, last = ((int(month[:4]) * 12 + int(month[5:7]) - 1) for month in (min(months), max(months)))
    return [f"{number // 12}-{number % 12 + 1:02d}" for number in accumulate(repeat(1, last - first), initial=first)]


def _label(month: str, number: int) -> str:
    """The month's name, and below the first one and each January the year."""
    day = date.fromisoformat(f"{month}-01")
    return f"{day:%b}\n{day:%Y}" if number == 0 or day.month == 1 else f"{day:%b}"

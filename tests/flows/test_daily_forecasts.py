"""Five daily syncs, and what was won in the end: the history of forecasts beside what pandas makes of the platform's own answers."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pandas as pd
import pytest

import deployments.commands.forecasts  # noqa: F401 - so that the clock finds it
from expectations.deals_schema import COLUMN_NAMES
from tests.conftest import DEAL, HANG

if TYPE_CHECKING:
    from deployments.sandbox import Sandbox
    from tests.conftest import Dealcast
    from tests.flows.conftest import Clock, Sync

ZONE = "Europe/Rome"
SYNCS = [datetime(2026, 1, day, hour, 30, tzinfo=UTC) for day, hour in ((29, 6), (30, 6), (31, 23))]
"""The last of them is of February where the collection is."""
SYNCS += [datetime(2026, 2, day, 6, 30, tzinfo=UTC) for day in (2, 3)]
IN_THE_END = datetime(2026, 4, 10, 6, 30, tzinfo=UTC)

DEALS, FIRST, EACH, OPEN_FOR = 90, datetime(2025, 1, 3, tzinfo=UTC), 5, 40


def deals_of(moment: datetime) -> pd.DataFrame:
    """The CRM as it is at ``moment``: each fifth day a deal begins, lasts forty days, and is won twice in three times.

    The value of one that is open grows from day to day.
    """
    rows = []
    for number in range(DEALS):
        begun = FIRST + timedelta(days=EACH * number)
        ended = begun + timedelta(days=OPEN_FOR)
        if begun > moment:
            break
        grown = 1 + (min(moment, ended) - begun).days / 100
        status = "open" if ended > moment else "closed_won" if number % 3 else "closed_lost"
        rows.append(
            {
                **DEAL,
                "id": str(number),
                "creationDatetime": f"{begun:%Y-%m-%dT%H:%M:%S}",
                "addDatetime": f"{begun:%Y-%m-%dT%H:%M:%S}",
                "closedDatetime": "" if status == "open" else f"{ended:%Y-%m-%dT%H:%M:%S}",
                "expectedClosureDatetime": f"{ended:%Y-%m-%dT%H:%M:%S}",
                "status": status,
                "stage": {"open": "Proposal", "closed_won": "Won", "closed_lost": "Lost"}[status],
                "currentStageStartDatetime": f"{begun:%Y-%m-%dT%H:%M:%S}",
                "lastUpdateDatetime": f"{min(moment, ended):%Y-%m-%dT%H:%M:%S}",
                "value": f"{(700 + 37 * number) * grown:.2f}",
            }
        )
    return pd.DataFrame(rows).reindex(columns=COLUMN_NAMES)


class Story(NamedTuple):
    """The forecasts as the platform gave them, one row a month, and the deals as they are in the end."""

    forecasts: pd.DataFrame
    deals: pd.DataFrame


@pytest.fixture
def story(sync: Sync, clock: Clock, sandbox: Sandbox, tmp_path: Path) -> Story:
    """Five daily syncs, and one in the end that has no forecast."""

    def run(moment: datetime, **options: Any) -> Any:
        clock.set(moment)
        export = tmp_path / f"deals-{moment:%Y-%m-%d}.csv"
        deals_of(moment).to_csv(export, index=False)
        os.utime(export, (moment.timestamp(), moment.timestamp()))
        return sync(export, **options).result().entry

    rows: list[dict[str, Any]] = []
    for moment in SYNCS:
        made = run(moment, first_month="2026-02")
        answer = httpx.get(
            f"{sandbox.url}/api/invocation/{made.forecast.id}/json", headers={"Authorization": f"Token {sandbox.token}"}, timeout=HANG
        )
        rows += [{"as_of": moment, "invocation": made.forecast.id, **each} for each in answer.raise_for_status().json()]
    run(IN_THE_END, forecast="never", accept_shrink=True, accept_change=True)
    return Story(pd.DataFrame(rows), deals_of(IN_THE_END))


def won_by_month(deals: pd.DataFrame) -> pd.Series[float]:
    won = deals[deals["status"] == "closed_won"]
    return won["value"].astype(float).groupby(won["closedDatetime"].str[:7]).sum()


def errors_of(story: Story) -> pd.DataFrame:
    """Error by months ahead of the months that are over, as the numbers stand in a textbook."""
    frame = story.forecasts.copy()
    frame["period"] = pd.PeriodIndex(frame["month"].str[:7], freq="M")
    frame = frame[frame["period"] < pd.Period("2026-04", freq="M")]
    made = frame["as_of"].dt.tz_convert(ZONE).dt.tz_localize(None).dt.to_period("M")
    frame["ahead"] = [(month - day).n for month, day in zip(frame["period"], made, strict=True)]
    frame["won"] = frame["period"].astype(str).map(won_by_month(story.deals))
    frame["error"] = frame["revenue"] - frame["won"]
    frame["share"] = (frame["error"] / frame["won"]).abs()
    found = frame.groupby("ahead").agg(months=("won", "size"), mape=("share", "mean"), error=("error", "sum"), won=("won", "sum"))
    return found.assign(bias=found["error"] / found["won"])


def test_five_daily_syncs_are_held_against_what_was_won(story: Story, dealcast: Dealcast, collection: str, tmp_path: Path) -> None:
    said = json.loads(dealcast("forecasts", collection, "--format", "json", "--chart", tmp_path / "chart.svg").output)
    found = pd.DataFrame(said["forecasts"])
    assert found["invocation_id"].drop_duplicates().tolist() == story.forecasts["invocation"].drop_duplicates().tolist(), "five, in order"
    assert found["month"].tolist() == story.forecasts["month"].tolist()
    assert found["revenue"].tolist() == pytest.approx(story.forecasts["revenue"].tolist())
    late = pd.to_datetime(found["as_of"]) - story.forecasts["as_of"]
    assert late.between(timedelta(0), timedelta(hours=6)).all(), "by the moved clock"
    assert story.forecasts.groupby("as_of")["revenue"].sum().nunique() == len(SYNCS), "changing data"
    won = won_by_month(story.deals)
    assert {month: said["won_by_month"][month] for month in won.index} == pytest.approx(won.to_dict())
    wanted, errors = errors_of(story), pd.DataFrame(said["errors"])
    assert errors["horizon"].tolist() == wanted.index.tolist() == [0, 1, 2]
    assert errors["months"].tolist() == wanted["months"].tolist() == [3, 5, 2]
    assert errors["mape"].tolist() == pytest.approx(wanted["mape"].tolist())
    assert errors["bias"].tolist() == pytest.approx(wanted["bias"].tolist())

    rows = list(csv.DictReader(io.StringIO(dealcast("forecasts", collection, "--format", "csv").output)))
    assert [float(row["revenue"]) for row in rows] == pytest.approx(story.forecasts["revenue"].tolist())
    since = json.loads(dealcast("forecasts", collection, "--since", "2026-02-02", "--format", "json").output)["forecasts"]
    assert {row["as_of"][:10] for row in since} == {"2026-02-02", "2026-02-03"}

    table = dealcast("forecasts", collection).output
    assert "the newest 5 of 5" in table
    for _, month in story.forecasts.iterrows():
        assert f"{month['revenue']:,.2f}" in table
    for ahead, each in wanted.iterrows():
        assert re.search(rf"{ahead} +│ +{each['months']:.0f} +│ +{each['mape']:.1%} +│ +{re.escape(format(each['bias'], '+.1%'))}", table)
    assert f"{won['2026-02']:,.2f}" in table
    assert f"{won['2026-04']:,.2f} so far" in table
    assert "as of 3 Feb 2026" in (tmp_path / "chart.svg").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_trial_of_a_part_says_nothing_of_what_was_won(sync: Sync, tmp_path: Path, dealcast: Dealcast, collection: str) -> None:
    """So it is with a fixed quarantine, which is synced alone."""
    now = datetime.now(UTC)
    deals = deals_of(now).tail(60)
    deals.to_csv(tmp_path / "deals.csv", index=False)
    sync(tmp_path / "deals.csv", first_month=f"{now:%Y-%m}")
    deals.assign(value="1").to_csv(tmp_path / "deals.csv", index=False)
    assert sync(tmp_path / "deals.csv", first_month=f"{now:%Y-%m}", limit=2).result().entry.rows == 2
    said = json.loads(dealcast("forecasts", collection, "--format", "json").output)
    assert said["won_by_month"] == pytest.approx(won_by_month(deals).to_dict())
    assert len({row["invocation_id"] for row in said["forecasts"]}) == 2
    assert date.fromisoformat(said["forecasts"][0]["month"]) == date(now.year, now.month, 1)

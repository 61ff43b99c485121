"""A sample of the axes and random scenarios, and proof that their judge can say no; ``make faults`` runs all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox import Sandbox
from flows.ledger.store import Entry, Ledger, Sending
from flows.nostradamus import Nostradamus
from tests.conftest import sampled, wait_for
from tests.faults.axes import axes
from tests.faults.cell import NOW, Double, write_deals
from tests.faults.foreign_platform import ForeignPlatform, Recorded, foreign_platform
from tests.faults.lives import DOUBLES, Life, as_axes_table, as_walks_summary, lives_of_axes, lives_of_walks
from tests.faults.walk import walk
from tests.faults.world import Step, World

SAMPLE = [
    Life("pause", "immediately before its POST", "foreign", next(case.steps for case in axes() if case.where == "after write intended")),
    Life("ledger full", "at the 202", "sandbox", next(case.steps for case in axes() if case.where == "after POST append")),
    *lives_of_walks(seed=20261127, count=1),
]


@pytest.fixture
def doubles(sandbox: Sandbox) -> Iterator[dict[str, Double]]:
    with foreign_platform(seconds=0.04) as foreign:
        yield {"sandbox": sandbox, "foreign": foreign}


@pytest.mark.parametrize("life", sampled({f"{life.group} {life.name}": life for life in SAMPLE}))
def test_every_invariant_holds(life: Life, doubles: dict[str, Double], tmp_path: Path) -> None:
    assert World(tmp_path / "world", doubles[life.double]).live(life.steps).problems == []


def test_each_axis_is_lived_with_both_doubles() -> None:
    lives = lives_of_axes()
    assert {life.group for life in lives} == {
        "pause",
        "clock",
        "foreign answer",
        "slow answer",
        "late upload",
        "ledger full",
        "Prefect killed",
    }
    assert {(life.group, life.name) for life in lives if life.double == "sandbox"} == {
        (life.group, life.name) for life in lives if life.double == "foreign"
    }


def test_a_seed_is_a_scenario_and_others_are_others() -> None:
    """A failing one can be lived again, and 300 of them come by everything that can happen."""
    assert walk(7) == walk(7)
    steps = [step for seed in range(300) for step in walk(seed)]
    assert len({repr(walk(seed)) for seed in range(300)}) == 300
    assert {step.act for step in steps if step.at} == {"kill", "pause", "term", "int", "full"}
    assert {step.machine for step in steps} == {"a", "b"}
    assert any(step.days for step in steps)
    assert any(step.resume for step in steps)
    assert any(step.meanwhile for step in steps)


def test_a_life_that_fails_is_shown_with_its_seed() -> None:
    lives = lives_of_walks(seed=41, count=2)
    lives[1].problems.append("two forecasts")
    assert {life.double for life in lives} == set(DOUBLES)
    assert "1 of 2 hold" in as_walks_summary(lives)
    assert "scenarios --count 1 --seed 42" in as_walks_summary(lives)
    axis = Life("clock", "back", "foreign", [Step(NOW)], problems=["lost"])
    assert "| clock | back |  | FAILS |" in as_axes_table([axis])


def journal(folder: Path, *points: dict[str, Any]) -> None:
    folder.mkdir()
    (folder / "journal").write_text("".join(json.dumps({"run": 1, **point}) + "\n" for point in points))


def test_the_judge_sees_an_invocation_that_came_too_early(tmp_path: Path) -> None:
    foreign = ForeignPlatform(seconds=0)
    foreign.requests.append(Recorded("POST", "/api/invocation", open=["append-0001"]))
    world = World(tmp_path, foreign)
    assert list(world.about_invocations()) == ["invoked while uploads were open: [['append-0001']]"]


def test_the_judge_sees_a_repeat_and_a_post_that_nobody_meant(tmp_path: Path) -> None:
    foreign = ForeignPlatform(seconds=0)
    sent = {"point": "after write intended", "fingerprint": "f", "number": 1, "upload": "intended", "forecast": None}
    journal(tmp_path / "world", sent, {**sent, "point": "after write accepted", "upload": "accepted"}, sent)
    foreign.requests.append(Recorded("POST", "/api/collection/c/data/deals/append"))
    world = World(tmp_path / "world", foreign, collection="c")
    assert list(world.about_repeats()) == ["run 1: the intent of the upload again after accepted"]
    assert list(world.about_posts()) == ["the platform saw 1 POSTs, the runs meant 0, 0 of which may not have gone out"]


def test_the_judge_sees_the_file_of_an_older_forecast(tmp_path: Path) -> None:
    now, out = datetime.now(UTC), tmp_path / "out"
    out.mkdir()
    with foreign_platform(seconds=0) as foreign, Nostradamus(foreign.url, foreign.token) as platform:
        collection = platform.create_collection("test", "Europe/Rome").id
        write_deals(tmp_path / "deals.csv", NOW)
        request = platform.append(collection, tmp_path / "deals.csv").id
        wait_for(lambda: platform.upload_status(collection, request).status == "completed", "the upload")
        invocation = platform.invoke(collection, horizon=3, first_month="2025-04").id
        wait_for(lambda: platform.invocation(invocation).status == "completed", "the forecast")
        sent = Sending(state="completed", intended_at=now, id=invocation, completed_at=now)
        facts: dict[str, Any] = {"export": {}, "csv_sha256": "", "rows": 1, "quarantined": 0, "totals": {}, "created_at": now}
        entry = Entry(fingerprint="f", collection=collection, mode="append", upload=sent, forecast=sent, certified=True, **facts)
        Ledger(str(tmp_path / "ledger")).write(entry)
        (out / "certificate.json").write_text(json.dumps({"forecast": {"invocation_id": invocation}}))
        world = World(tmp_path, foreign, collection=collection)
        for content, problems in ((platform.result(invocation, "json"), 0), (b"[]", 1)):
            (out / "forecast.json").write_bytes(content)
            assert len(list(world.about_forecast())) == problems


def test_the_judge_sees_a_deal_that_is_lost(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    with foreign_platform(seconds=0) as foreign:
        foreign.deals["c"] = {"1": {"id": "1", "value": "100.00"}}
        world = World(tmp_path / "world", foreign, collection="c")
        assert list(world.about_data({"1": "100.00"})) == []
        assert len(list(world.about_data({"1": "100.00", "2": "5.00"}))) == 1
        assert len(list(world.about_data({"1": "250.00"}))) == 1

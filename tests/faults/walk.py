"""Random scenarios: from a seed, a sequence of launches with faults, signals, pauses and wrong clocks, the same each time."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.faults.axes import FOREIGN, FULL, PAUSES, SLOW
from tests.faults.cell import BEFORE
from tests.faults.scenario import FAULTS, KILLS
from tests.faults.world import Step

_MOST_STEPS = 3
_ACTS = ("none", "none", "kill", "kill", "pause", "pause", "term", "int", "full")
_POINTS = {"kill": KILLS, "term": KILLS, "int": KILLS, "pause": PAUSES, "full": FULL}
_CLOCKS = (0.0, 0.0, 0.0, -10.0, 10.0, 0.003, -0.003)
"""Days that a machine's clock is ahead; the least are four minutes."""


def walk(seed: int) -> list[Step]:
    """The steps of scenario ``seed``."""
    random = Random(seed)
    deals = dict(BEFORE)
    steps = []
    for _ in range(random.randint(1, _MOST_STEPS)):
        deals = _changed(deals, random)
        steps.append(step := _step(deals, random))
        deals = dict(step.meanwhile or deals)
    return steps


def _step(deals: dict[str, str], random: Random) -> Step:
    act: Any = random.choice(_ACTS)
    faults: list[dict[str, Any]] = []
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        faults += random.choice([*FAULTS.values(), *([fault] for fault in FOREIGN.values()), *([fault] for fault in SLOW.values())])
    return Step(
        deals,
        tuple(faults),
        machine=random.choice("aab"),
        at=None if act == "none" else random.choice(_POINTS[act]),
        act="kill" if act == "none" else act,
        days=random.choice(_CLOCKS),
        resume=random.random() < 0.15,
        meanwhile=_changed(deals, random) if act == "pause" and random.random() < 0.8 else None,
    )


def _changed(deals: dict[str, str], random: Random) -> dict[str, str]:
    """The next export: as it was, or with a new deal, or with one that changed, perhaps back to what it was once."""
    what = random.choice(("same", "new", "value", "value"))
    if what == "new":
        return {**deals, str(len(deals) + 1): "100.00"}
    if what == "value":
        return {**deals, random.choice(list(deals)): random.choice(("100.00", "250.00", "300.00"))}
    return dict(deals)

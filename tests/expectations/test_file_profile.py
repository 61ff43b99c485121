"""The profile finds repeated ids exactly, across batches, and the spread of values by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest

from expectations import FileProfile
from expectations import file_profile as profile
from expectations.formats import amounts


def batch(ids: Sequence[str | None], value: str | None = "1000", stage: str | None = "Open") -> pa.Table:
    columns = {"id": ids, "stage": [stage] * len(ids), "value": [value] * len(ids)}
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def duplicated(profiled: FileProfile, ids: Sequence[str | None]) -> list[str | None]:
    column = pa.chunked_array([pa.array(ids, pa.string())])
    return [ids[position] for position in profiled.duplicated(column)]


LONG = "x" * 40
IDS = ["1", "01", "٣", "é", "e\u0301", "a b", "a\nb", LONG, LONG + "y", "2", "2\0"]


def test_ids_are_compared_byte_for_byte() -> None:
    """Leading zeros, other scripts' digits, accents, case, length and NUL all tell ids apart."""
    assert duplicated(FileProfile.of([batch(IDS)]), IDS) == []


@pytest.mark.parametrize("repeated", IDS)
def test_an_id_repeated_in_another_batch_is_found(repeated: str) -> None:
    profiled = FileProfile.of([batch(IDS), batch(["other"]), batch([repeated])])
    assert profiled.rows == len(IDS) + 2
    assert duplicated(profiled, IDS) == [repeated]
    assert duplicated(profiled, ["other"]) == []


def test_null_and_empty_ids_are_not_compared() -> None:
    assert duplicated(FileProfile.of([batch([None, None, "", ""])]), [None, "", "1"]) == []


def test_ids_that_only_share_a_hash_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash narrows, the ids decide."""
    monkeypatch.setattr(profile, "quick_hashes", lambda ids: np.array([len(text or "") for text in ids.to_pylist()], dtype=np.uint64))
    ids = ["aa", "bb", "cc", "aa", "d", "eee", "fff"]
    profiled = FileProfile.of([batch(ids)])
    assert duplicated(profiled, ids) == ["aa", "aa"]


def test_hashes_differ() -> None:
    """Two hundred thousand ids of the usual kinds, hardly a collision: otherwise the ids are compared for nothing."""
    numbers = [str(number) for number in range(100_000)]
    ids = pa.array([*numbers, *(f"006{number:>012}AAA" for number in numbers), *(f"{LONG}{number}" for number in numbers[:1000])])
    assert len(np.unique(profile.quick_hashes(ids))) == len(ids)


def test_batches_of_any_arrow_kind_and_none() -> None:
    assert FileProfile.of([]).rows == 0
    profiled = FileProfile.of([*batch(["1", "2"]).to_batches(), batch([]), batch(["1"])])
    assert duplicated(profiled, ["1", "2"]) == ["1"]


def test_batches_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much faster they come than they are summed up."""
    one, waiting, most = batch([str(number) for number in range(1000)]), set[int](), 0

    def slowly(values: pa.ChunkedArray) -> pa.ChunkedArray:
        time.sleep(0.01)
        waiting.pop()
        return amounts(values)

    def batches() -> Iterator[pa.Table]:
        nonlocal most
        for number in range(20):
            waiting.add(number)
            most = max(most, len(waiting))
            yield one

    monkeypatch.setattr(profile, "amounts", slowly)
    assert FileProfile.of(batches()).rows == 20_000
    assert most <= 2


def test_values_are_spread_by_stage() -> None:
    values = [batch([str(number)], value) for number, value in enumerate(["100", "1000", "10000", "0", "-5", "x", None])]
    profiled = FileProfile.of([*values, batch(["a"], "7", "Other"), batch(["b"], "7", None), batch(["c"], None, "Empty")])
    assert sorted(profiled.stages.to_pylist()) == ["Open", "Other"]
    limits = dict(zip(profiled.stages.to_pylist(), zip(profiled.low.to_pylist(), profiled.high.to_pylist(), strict=True), strict=True))
    deviation = np.std(np.log([100, 1000, 10000]))
    assert limits["Open"] == pytest.approx((1000 / np.exp(4 * deviation), 1000 * np.exp(4 * deviation)))
    assert limits["Other"] == pytest.approx((0.7, 70))

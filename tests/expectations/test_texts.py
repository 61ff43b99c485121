"""The fast way to tell sound datetimes says what their pattern says."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations import texts
from expectations.schema import Kind

GOOD = "2024-02-29T23:59:59"
NEARLY = st.tuples(st.text("0123456789-T: Z+.é\0", min_size=1, max_size=2), st.integers(0, 18)).map(
    lambda change: GOOD[: change[1]] + change[0] + GOOD[change[1] + len(change[0]) :]
)
CLOCKED = st.builds(
    "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}".format,
    st.integers(0, 9999) | st.sampled_from([1900, 1969, 1970, 2000]),
    st.integers(0, 13),
    st.integers(0, 32),
    st.integers(0, 24),
    st.integers(0, 60),
    st.integers(0, 60),
)


def told(values: pa.ChunkedArray) -> tuple[list[bool | None], list[bool | None]]:
    """What is sound, and what matches the pattern."""
    return texts.sound(values, Kind.DATETIME).to_pylist(), texts.matches(values, texts.PATTERNS[Kind.DATETIME]).to_pylist()


@given(st.lists(st.none() | st.just(GOOD) | NEARLY | CLOCKED, max_size=4), st.integers(0, 2))
def test_sound_datetimes_are_those_of_the_pattern(cells: list[str | None], start: int) -> None:
    sound, matching = told(pa.chunked_array([pa.array(cells, pa.string()).slice(start)]))
    assert sound == matching


@pytest.mark.parametrize(
    "other", ["2024-02-29 23:59:59", "2024-02-29T23:59+01", "2024-02-29T23+01:00", GOOD + "Z", "", "1969-12-31T23:59:59"]
)
def test_what_else_arrow_reads_as_a_datetime_is_none(other: str) -> None:
    sound, matching = told(pa.chunked_array([[GOOD, None, other], [GOOD]], pa.string()))
    assert sound == matching == [True, None, False, True]

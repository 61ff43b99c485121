"""What a sync may be asked to do, and what is refused before anything is read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from flows.errors import UsageError
from flows.options import SyncOptions
from flows.settings import load_settings

PLAIN: dict[str, Any] = {"export": "deals.csv", "crm": "canonical", "collection": "c"}


@pytest.mark.parametrize("rows", [1, 7, 375, 1000, 123_457])
def test_a_share_allows_exactly_as_many_rows_as_arithmetic_says(rows: int) -> None:
    """18.4% of 375 rows are 69, though binary fractions say 68.99."""
    for tenths in range(1001):
        share = Decimal(tenths) / 10
        assert SyncOptions(**PLAIN, quarantine_limit=f"{share}%").quarantine_allowance(rows) == rows * tenths // 1000


@pytest.mark.parametrize(("limit", "allowed"), [("0", 0), ("20", 20), ("007", 7), ("0%", 0), ("2%", 4), ("0.5%", 1), ("100%", 200)])
def test_a_limit_is_a_number_or_a_share(limit: str, allowed: int) -> None:
    assert SyncOptions(**PLAIN, quarantine_limit=limit).quarantine_allowance(200) == allowed


WRONG = [
    *(("quarantine_limit", value) for value in ("", "-1", "2 %", "2.5", "%", "1e3", "٣", "nan%", "5%%")),
    *(("horizon", value) for value in (0, 13, -1, 1.5)),
    *(("first_month", value) for value in ("2026-13", "2026-1", "2026", "26-01", "2026-01-01", "٢٠٢٦-01", "2026-01\n")),
    *(("collection", value) for value in ("", ".", "..", "a/b", " a", "../x", "a?b", "-c", "a\n")),
    *(("mode", value) for value in ("merge", "")),
    *(("forecast", value) for value in ("yes", "")),
    *(("date_order", value) for value in ("dmy",)),
    *(
        ("out", value)
        for value in (
            "postgresql://bi:pw@host/db#forecasts",  # a run's parameters are shown to everyone
            "s3://bucket/forecasts.csv?sig=1",
            "postgresql://host/db",  # names no table
            "postgresql://host/db#a b",
            "nosuch://host/db#forecasts",
        )
    ),
    ("limit", 0),
    ("horizont", 3),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_option_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        SyncOptions(**{**PLAIN, name: value})


def test_options_cannot_be_changed_under_way() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        SyncOptions(**PLAIN).horizon = 12  # type: ignore[misc] # that is the point


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEADLINE", "soon"),
        ("DEADLINE", "0"),
        ("DEADLINE", "-5"),
        ("POLL_DELAY", "0"),
        ("SEND_RETRIES", "-1"),
        ("ON_UNKNOWN", "retry"),
        ("ALLOW_HTTP", "perhaps"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"DEALCAST_{name}", value)
    with pytest.raises(UsageError, match=f"DEALCAST_{name}"):
        load_settings()


def test_a_wrong_token_setting_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_TOKEN", "secret-4711")
    monkeypatch.setenv("DEALCAST_DEADLINE", "soon")
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert "4711" not in str(caught.value)
    monkeypatch.delenv("DEALCAST_DEADLINE")
    assert "4711" not in repr(load_settings())


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "https://", "http://[", ""])
def test_a_platform_url_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DEALCAST_TOKEN", "t")
    monkeypatch.setenv("DEALCAST_PLATFORM_URL", url)
    with pytest.raises(UsageError, match="DEALCAST_PLATFORM_URL"):
        load_settings().platform()


@pytest.mark.parametrize("value", ["forecasts", "s3://bucket/forecasts", "postgresql://host/db#bi.forecasts", "env:FORECASTS"])
def test_forecasts_go_to_a_folder_a_url_or_a_table(value: str) -> None:
    assert SyncOptions(**PLAIN, out=value).out == value


@pytest.mark.parametrize("value", ["postgresql://host/db", "nosuch://x#y"])
def test_a_wrong_place_for_forecasts_stops_before_anything_is_read(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_FORECASTS", value)
    with pytest.raises(UsageError, match="DEALCAST_FORECASTS"):
        load_settings()
    monkeypatch.setenv("DEALCAST_FORECASTS", "env:NOWHERE")
    with pytest.raises(UsageError, match="NOWHERE"):
        load_settings().forecast_targets(SyncOptions(**PLAIN))

"""Credentials in a URL are shown nowhere, and never become a run's parameter."""

from __future__ import annotations

import pytest

from flows.crm import open_export
from flows.crm.files.location import fetch
from flows.errors import ExportNotFound, ExportUnreadable, UsageError
from flows.nostradamus import Nostradamus
from flows.options import SyncOptions, has_credentials, shown_url

CANARY = "s3cret-canary"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("exports/deals.csv", "exports/deals.csv"),
        ("exports/100%#1?.csv", "exports/100%#1?.csv"),
        ("s3://bucket/deals-??.csv", "s3://bucket/deals-??.csv"),
        (f"https://user:{CANARY}@crm.example/deals.csv", "https://crm.example/deals.csv"),
        (f"https://crm.example/deals.csv?signature={CANARY}", "https://crm.example/deals.csv"),
        (f"https://crm.example/deals.csv?{CANARY}", "https://crm.example/deals.csv"),
        (f"https://crm.example/deals.csv#{CANARY}", "https://crm.example/deals.csv"),
        (f"sftp://user:{CANARY}@host/deals.csv", "sftp://host/deals.csv"),
        (f"s3://bucket/deals.csv?versionId={CANARY}", "s3://bucket/deals.csv"),
        (f"simplecache::https://{CANARY}@crm.example/deals.csv?a=b", "simplecache::https://crm.example/deals.csv"),
    ],
)
def test_what_is_shown_of_a_location(location: str, shown: str) -> None:
    assert shown_url(location) == shown
    assert has_credentials(location) is (location != shown)


def test_a_url_with_credentials_is_no_parameter_of_a_run() -> None:
    with pytest.raises(ValueError, match="env:NAME") as raised:
        SyncOptions(export=f"https://user:{CANARY}@crm.example/deals.csv", crm="hubspot", collection="acme")
    assert raised.value.errors(include_input=False)[0]["loc"] == ("export",)  # type: ignore[attr-defined] # pydantic's, a ValueError


@pytest.mark.parametrize("place", ["http://user:{c}@127.0.0.1:9/deals.csv?sig={c}", "ftp://user:{c}@127.0.0.1:9/deals.csv"])
def test_a_url_from_the_environment_is_fetched_and_never_told(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORT_URL", place.format(c=CANARY))
    with pytest.raises((ExportUnreadable, ExportNotFound)) as raised:
        open_export("env:EXPORT_URL", crm="hubspot", timezone="UTC")
    assert CANARY not in str(raised.value)
    assert "127.0.0.1:9/deals.csv" in str(raised.value)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(UsageError, match="no variable NO_SUCH_EXPORT"):
        open_export("env:NO_SUCH_EXPORT", crm="hubspot", timezone="UTC")


@pytest.mark.parametrize("url", ["https://me:{c}@p.example", "https://p.example/?key={c}", "https://p.example/#{c}"])
def test_the_platform_s_url_carries_no_credentials(url: str) -> None:
    with pytest.raises(UsageError, match="bare URL") as raised:
        Nostradamus(url.format(c=CANARY), "token")
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    "place", ["github://owner:name@/deals.csv", "simplecache::s3://bucket/deals.csv", "zip://deals.csv::reference://x"]
)
def test_a_url_of_a_kind_that_is_not_named_is_not_opened(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"DEALCAST_EXPORT_PROTOCOLS names those that are: .*https"):
        fetch(place)
    monkeypatch.setenv("DEALCAST_EXPORT_PROTOCOLS", "https")
    with pytest.raises(UsageError, match="a kind that is not opened: s3"):
        fetch("s3://bucket/deals.csv")

"""Bad input on the command line: one message that says what to do next, the documented exit code, nothing sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.sandbox import Sandbox
from tests.conftest import sampled

if TYPE_CHECKING:
    from tests.conftest import Dealcast, WriteDeals

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 4


@pytest.fixture(autouse=True)
def _engine(prefect_server: None) -> None:
    """`dealcast sync` runs on the session's Prefect server."""


def missing(path: Path) -> Path:
    return path / "nowhere.csv"


def empty(path: Path) -> Path:
    (path / "empty.csv").touch()
    return path / "empty.csv"


def picture(path: Path) -> Path:
    (path / "logo.csv").write_bytes(PNG)
    return path / "logo.csv"


def column_missing(path: Path) -> Path:
    lines = (path / "deals.csv").read_text().splitlines()
    (path / "deals.csv").write_text("\n".join(line.split(",", 1)[1] for line in lines) + "\n")
    return path / "deals.csv"


def good(path: Path) -> Path:
    return path / "deals.csv"


BAD = [
    ("a missing file", missing, {}, {}, 3, ["nowhere.csv", "Check the path"]),
    ("an empty file", empty, {}, {}, 3, ["empty.csv", "empty"]),
    ("another CRM's export", good, {"--crm": "hubspot"}, {}, 3, ["hubspot", "dealcast crms"]),
    ("a wrong token", good, {}, {"DEALCAST_TOKEN": "wrong-4711"}, 5, ["401", "DEALCAST_TOKEN"]),
    ("a platform that is down", good, {}, {"DEALCAST_PLATFORM_URL": "http://127.0.0.1:9"}, 6, ["127.0.0.1:9", "DEALCAST_PLATFORM_URL"]),
    ("an unknown collection", good, {"--collection": "nope"}, {}, 5, ["nope", "dealcast collections create"]),
    ("files into what is no folder", good, {"--out": "deals.csv/forecasts"}, {}, 1, ["deals.csv", "Not a directory"]),
    ("a wrong setting", good, {}, {"DEALCAST_DEADLINE": "soon"}, 2, ["DEALCAST_DEADLINE"]),
    ("a collection that is a path", good, {"--collection": "../x"}, {}, 2, ["--collection"]),
    ("a horizon too long", good, {"--horizon": "13"}, {}, 2, ["--horizon", "12"]),
    ("a month that is none", good, {"--first-month": "2026-13"}, {}, 2, ["--first-month", "YYYY-MM"]),
    ("a limit that is none", good, {"--quarantine-limit": "some"}, {}, 2, ["--quarantine-limit", "2%"]),
    ("a mode that is none", good, {"--mode": "merge"}, {}, 2, ["append", "override"]),
    ("a file that is not CSV", picture, {}, {}, 3, ["logo.csv"]),
    ("a missing column", column_missing, {}, {}, 3, ["id", "dealcast crms"]),
    ("an unknown CRM", good, {"--crm": "hubspt"}, {}, 2, ["hubspt", "hubspot"]),
    ("no token", good, {}, {"DEALCAST_TOKEN": ""}, 2, ["DEALCAST_TOKEN"]),
    ("a URL that is none", good, {}, {"DEALCAST_PLATFORM_URL": "platform"}, 2, ["DEALCAST_PLATFORM_URL"]),
    ("a token in clear", good, {}, {"DEALCAST_PLATFORM_URL": "http://10.1.2.3"}, 2, ["https://", "DEALCAST_ALLOW_HTTP"]),
    ("a name too long for a file", lambda path: path / ("x" * 300), {}, {}, 3, ["xxx", "Check the path"]),
    ("a home in what is no folder", good, {}, {"DEALCAST_HOME": "deals.csv/home"}, 1, ["deals.csv", "name another place"]),
    ("a ledger that is nowhere", good, {}, {"DEALCAST_LEDGER": "nope://x"}, 2, ["nope", "DEALCAST_LEDGER"]),
    ("a zone that is none", good, {"--timezone": "Europe/Roma"}, {}, 2, ["Europe/Roma", "Europe/Rome"]),
]


@pytest.mark.parametrize(("make", "options", "environment", "code", "said"), sampled({case[0]: case[1:] for case in BAD}, 13))
def test_bad_input_ends_in_one_message(
    dealcast: Dealcast,
    collection: str,
    sandbox: Sandbox,
    write_deals: WriteDeals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: object,
    options: dict[str, str],
    environment: dict[str, str],
    code: int,
    said: list[str],
) -> None:
    write_deals()
    assert callable(make)
    export = make(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    chosen = {"--crm": "canonical", "--collection": collection, **options}
    result = dealcast("sync", export, *(word for pair in chosen.items() for word in pair), code=code)
    message = result.stderr
    assert all(word in message for word in said), message
    assert message.count("dealcast: ") + message.count("Error: ") == 1
    assert result.stdout == ""
    assert "4711" not in result.output
    assert sandbox.control("GET", "requests?method=POST&path=*/append") == []
    assert sandbox.control("GET", "requests?method=POST&path=/api/invocation") == []


def test_without_a_collection_the_usage_says_what_is_missing(dealcast: Dealcast, write_deals: WriteDeals) -> None:
    assert "--collection" in dealcast("sync", write_deals(), "--crm", "canonical", code=2).stderr


@pytest.mark.parametrize(
    "command",
    [
        ["resume", "--collection", "c", "no-such-request"],
        ["resume", "--collection", "../c"],
        ["collections", "create", "x", "--timezone", "Mars"],
        ["collections", "create", "x", "--timezone", "Europe"],
    ],
)
def test_other_commands_refuse_as_clearly(dealcast: Dealcast, command: list[str]) -> None:
    assert dealcast(*command, code=2).stderr.startswith("dealcast: ")


@pytest.mark.parametrize("command", [["collections", "list"], ["collections", "create", "x", "--timezone", "UTC"]])
@pytest.mark.parametrize(
    ("variable", "value", "code"), [("TOKEN", "wrong", 5), ("TOKEN", "", 2), ("PLATFORM_URL", "http://127.0.0.1:9", 6)]
)
def test_collections_say_what_is_wrong(
    dealcast: Dealcast, monkeypatch: pytest.MonkeyPatch, command: list[str], variable: str, value: str, code: int
) -> None:
    monkeypatch.setenv(f"DEALCAST_{variable}", value)
    result = dealcast(*command, code=code)
    assert f"DEALCAST_{variable}" in result.stderr
    assert result.stdout == ""

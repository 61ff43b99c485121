"""Foreign text is inert: names, paths and the platform's words format nothing, fetch nothing and move no cursor."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from deployments.cli import main
from deployments.command_line.base_command import fail
from expectations import CheckReport, Failure, Severity
from expectations.check_report import RuleResult
from flows.deals.quarantine import rules_table
from flows.delivery.lifecycle import Forecast
from flows.errors import DealcastError, ExportUnreadable, quoted
from flows.ledger.store import Entry, Sending
from flows.nostradamus import Collection, UploadRequest
from flows.nostradamus.models import LONGEST_MESSAGE
from flows.nostradamus.validation_errors import describe
from flows.options import SyncOptions
from flows.ui.failure_report import remedies
from flows.ui.inert_text import code, in_a_chat, inert, markdown_table
from flows.ui.report import Outcome, report_text

NOW = datetime.now(UTC)
HOSTILE = (
    "![x](https://elsewhere.example/pixel.png)",
    "[click](javascript:alert)",
    "![x][y]",
    "[y]: https://elsewhere.example/pixel.png",
    "<img src=https://elsewhere.example/pixel.png>",
    "<script>alert(1)</script>",
    "<https://elsewhere.example>",
    "# Forecast completed",
    "* ## Forecast completed",
    "a | b",
    "```",
    "~~~",
    "`code",
)
ACTIVE = {"html_inline", "html_block", "image", "link_open", "heading_open", "fence", "code_block"}


def tokens(markdown: str) -> list[str]:
    """The kinds of what a renderer makes of a text, in order."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        found += [token.type, *(child.type for child in token.children or [])]
    return found


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> None:
    """No test here starts a flow."""


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("place", ["{}", "* {}", "words {} and {}", "* 3 of {}\n\n{}"])
def test_no_foreign_text_formats_anything(text: str, place: str) -> None:
    around = place.replace("{}", "word")
    assert not {kind for kind in tokens(place.replace("{}", inert(text))) if kind in ACTIVE} - {*tokens(around)}
    table = f"| column | how |\n|---|---|\n| id | {inert(text)} |\n"
    assert tokens(table).count("td_open") == 2
    assert not ACTIVE & {*tokens(table)}


@pytest.mark.parametrize("text", [*HOSTILE, "a ` b", "``", "line\nbreak"])
def test_code_is_ended_by_nothing_in_it(text: str) -> None:
    assert tokens(f"before {code(text)} after") == [
        "paragraph_open",
        "inline",
        "text",
        "code_inline",
        "text",
        "paragraph_close",
    ]


def outcome(folder: Path, text: str) -> Outcome:
    """A sync whose every foreign part is ``text``."""
    sent = Sending(state="completed", intended_at=NOW, id=text)
    values = {"fingerprint": "0", "collection": "acme", "mode": "append", "created_at": NOW, "export": {}, "csv_sha256": "", "totals": {}}
    entry = Entry(**values, rows=1, quarantined=0, upload=sent)
    forecast = Forecast("invocation-1", folder / text.replace("/", ""), {}, (), f"forecast kept, not read: columns {text}")
    options = SyncOptions(export="deals.csv", crm="hubspot", collection="acme")
    return Outcome(options, folder / text.replace("/", ""), None, entry, forecast, sent=True, undelivered=(text,))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_report_has_its_own_headings_and_no_image(text: str, tmp_path: Path) -> None:
    plain, hostile = (tokens(report_text(outcome(tmp_path, each), each)) for each in ("word", text))
    assert {kind: hostile.count(kind) for kind in ACTIVE} == {kind: plain.count(kind) for kind in ACTIVE}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_rule_of_a_suite_is_one_cell_of_its_table(text: str) -> None:
    """The text of a rule is its suite's, which may be a user's own."""
    samples = (Failure(2, "1", "value", text, "0", Severity.CRITICAL),)
    broken = RuleResult("value", text, f"{text}\n{text}", Severity.CRITICAL, None, 1, samples)
    report = CheckReport(3, 2, 1, 0, (broken,), samples, documented=0, own=1, validation_result=None)
    made = tokens(markdown_table(rules_table(report)))
    assert (made.count("tr_open"), made.count("td_open")) == (2, 5)
    assert not ACTIVE & {*made}


@pytest.mark.parametrize("text", [*HOSTILE, "a`b", "a\nb"])
def test_an_option_with_foreign_text_is_one_row_of_the_remedies(text: str) -> None:
    made = tokens(remedies(f"Read one of them: --pipeline '{text}', or --assume-accepted '{text}'."))
    assert (made.count("tr_open"), made.count("td_open")) == (3, 4)
    assert not ACTIVE & {*made}


@pytest.mark.parametrize("text", ['it\'s "a" \\n b', "a\nb\tc", "\x1b[2J\x7f\x9b", "\u202edcba\u2066", "\U000e0001", "caffè 日本 😀"])
def test_toml_to_paste_says_what_was_there_and_moves_no_cursor(text: str) -> None:
    said = quoted(text)
    assert tomllib.loads(f"text = {said}") == {"text": text}
    assert said.isprintable()
    assert quoted("caffè") == '"caffè"'


CALLS = re.compile(r"<|>|@\w|\w://|\][(\[]")
"""What a chat makes a call or a link of: Slack's and Teams' signs, Discord's, and addresses."""


@pytest.mark.parametrize(
    "text",
    [*HOSTILE, "<!channel> look", "<!here|x>", "<@U1>", "@everyone", "a@b", "<https://elsewhere.example|our forecast>", "<mailto:a@b|x>"],
)
def test_no_foreign_text_calls_anybody_in_a_notice(text: str) -> None:
    said = in_a_chat(f"Collection {text}: see https://platform.example/x", "https://platform.example")
    assert not CALLS.search(said.replace("https://platform.example/x", ""))
    assert said.endswith("see https://platform.example/x"), "dealcast's own address stays one"
    assert not CALLS.search(in_a_chat(f"{text} https://platform.example.elsewhere/x", "https://platform.example"))


@pytest.mark.parametrize("text", [*HOSTILE, "\x1b]0;owned\x07", "\u202e", "\x9b2J"])
def test_json_of_an_error_has_no_control_character(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fail(DealcastError(f"a {text}"), as_json=True)
    said = capsys.readouterr()
    assert json.loads(said.out)["message"] == str(DealcastError(f"a {text}"))
    assert not set(said.out + said.err) & {"\x1b", "\x07", "\x9b", "\u202e"}


def test_control_characters_are_in_no_message() -> None:
    escape, turn = "\x1b]0;owned\x07\x9b2J", "\u202e"
    assert str(DealcastError(f"a {escape}{turn}\nb")) == "a \ufffd]0;owned\ufffd\ufffd2J\ufffd\nb"
    assert Collection(id="c", name=f"a{escape}\nb").name == "a\ufffd]0;owned\ufffd\ufffd2J b"


def test_the_words_of_the_platform_are_cut_at_a_stated_length() -> None:
    answer = UploadRequest(id="r", status="error", message="word\n" * 100_000)
    said = describe(answer)
    assert len(said) < LONGEST_MESSAGE + 10
    assert "\n" not in said
    assert answer.message == "word\n" * 100_000, "rejection.json has them whole"


def test_commands_print_no_control_characters_and_paths_for_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_HOME", str(tmp_path / "home"))
    path = tmp_path / "it's a \x1b[2J $(touch owned)\n[fields].csv"
    path.write_text("\x1b]0;owned\x07na\x7fme\u202e,[bold red]stage[/],amount\n1,2,3\n4,5,6\n", encoding="utf-8")
    shown = CliRunner().invoke(main, ["crms", str(path), "--write", str(tmp_path / "own.toml")])
    failed = CliRunner().invoke(main, ["check", str(path), "--crm", "hubspot"])
    assert (shown.exit_code, failed.exit_code) == (ExportUnreadable.exit_code, ExportUnreadable.exit_code)
    for done in (shown, failed):
        assert not set(done.output) & {"\x1b", "\x07"}
    assert f"dealcast crms $'{tmp_path!s}/it\\'s a \\x1b[2J $(touch owned)\\x0a[fields].csv'" in shown.output
    written = tomllib.loads((tmp_path / "own.toml").read_text("utf-8"))
    assert (written["title"], "fields" in written) == (path.name, False)

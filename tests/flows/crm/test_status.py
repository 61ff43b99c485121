"""A status is proven by a flag, a status column or a stage's whole name; what proves nothing is counted, and stops where it is much."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flows.crm.values.stage_names import outcome_named
from flows.errors import ExportUnmappable
from tests.flows.crm.conftest import DEAL, Export, extract

FLAGS = ("Is Closed Won", "Is closed lost")


def _flagged(yes: str, no: str) -> Export:
    """A deal that is won, one that is lost and one that is open, by their flags alone."""
    plain = {name: cell for name, cell in DEAL.items() if not name.startswith("Is ")} | {"Deal Stage": "Signed"}
    cells = [(yes, no), (no, yes), (no, no)]
    return Export([plain | {"Record ID": str(number), FLAGS[0]: won, FLAGS[1]: lost} for number, (won, lost) in enumerate(cells)])


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("WAHR", "FALSCH"),
        ("VERDADERO", "FALSO"),
        ("VRAI", "FAUX"),
        ("VERO", "FALSO"),
        ("WAAR", "ONWAAR"),
        ("PRAWDA", "FAŁSZ"),
        ("VERDADEIRO", "FALSO"),
        ("ИСТИНА", "ЛОЖЬ"),
        ("SANT", "FALSKT"),
        ("SAND", "FALSK"),
        ("TOSI", "EPÄTOSI"),
        ("PRAVDA", "NEPRAVDA"),
        ("DOĞRU", "YANLIŞ"),
        ("真", "偽"),
        ("是", "否"),
        (" Oui ", "non"),
        ("1,0", "0,0"),
        ("ｔｒｕｅ", "ｆａｌｓｅ"),  # noqa: RUF001 -- as a Japanese keyboard may write them
    ],
)
def test_flags_in_the_languages_that_spreadsheets_write(yes: str, no: str, tmp_path: Path) -> None:
    frame, _ = extract(_flagged(yes, no).write(tmp_path / "deals.csv"))
    assert frame["status"].tolist() == ["closed_won", "closed_lost", "open"]


@pytest.mark.parametrize(
    ("yes", "shown"), [("x", "'x'"), ("\u2713", "'\u2713'"), ("won by Ann Ox", "13 characters"), ("a@b.example", "11 characters")]
)
def test_a_flag_that_says_neither_stops_and_says_what_settles_it(yes: str, shown: str, tmp_path: Path) -> None:
    """The next rule never decides in its place; a word may be shown, a deal's text may not."""
    location = _flagged(yes, "").write(tmp_path / "deals.csv")
    with pytest.raises(ExportUnmappable, match="line 2, column 'Is Closed Won'") as caught:
        extract(location)
    message = str(caught.value)
    assert shown in message
    assert "Ann" not in message
    own = tmp_path / "own.toml"
    own.write_text("\n".join(line.strip() for line in message.split("--crm:\n")[1].splitlines()).replace('"..."', f'"{yes}"'))
    frame, _ = extract(location, str(own))
    assert frame["status"].tolist() == ["closed_won", "closed_lost", "open"]


def test_a_flag_that_says_neither_stops_where_the_rules_before_it_decide_every_deal(tmp_path: Path) -> None:
    deals = [DEAL | {"Is Closed Won": "true", "Is Deal Closed?": "perhaps"}]
    with pytest.raises(ExportUnmappable, match="'perhaps'"):
        extract(Export(deals).write(tmp_path / "deals.csv"))


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        *(
            (name, "closed_won")
            for name in ("Closed Won", "closedwon", "CLOSED_WON", "Won", "6. Closed Won", "07 - Closed-Won", "Closed & Won")
        ),
        *(
            (name, "closed_won")
            for name in ("Closed Won (100%)", "100% - Won", "Closed won (Renewal Pipeline)", "Gewonnen", "Cierre ganado")
        ),
        *(
            (name, "closed_lost")
            for name in ("Closed Lost", "closedlost", "Lost", "0% Lost", "Negócio perdido", "Closed Not Won", "Verloren")
        ),
        *((name, "closed_lost") for name in ("Closed Lost - Price", "Lost (no budget)", "Closed-Lost to Competition", "Lost: not a fit")),
        *((name, None) for name in ("Closed Lost - Won by competitor", "Closed Lost (reopened, won back)", "Closed Un-Won", "Nearly Won")),
        *(
            (name, None)
            for name in ("Won?", "Closed Won - cancelled", "Not Closed Won", "Verbally Won", "Won (50%)", "90% Won", "Lost or Won")
        ),
        *((name, None) for name in ("Closed", "Signed", "Negotiation", "Closed Won/Lost", "Lost?", "Un-Lost", "")),
        *(
            (name, "closed_won")
            for name in ("Kauppa voitettu", "Uzavřeno - vyhráno", "Zamknięta wygrana", "Kapal\u0131 - Kazan\u0131ld\u0131", "已成交")
        ),
        *(
            (name, "closed_won")
            for name in ("クローズ(受注)", "赢单关闭", "Gewonnen - Abgeschlossen", "Закрыто и выиграно", "Closed (Won)")
        ),
        *(
            (name, "closed_won")
            for name in ("Deal closed: won!", "Stage 6 - Closed Won", "Won \U0001f389", "KAZANILDI", "Cerrado y ganado")
        ),
        *(
            (name, "closed_lost")
            for name in ("Suljettu hävitty", "Prohraný obchod", "KAYBEDİLDİ", "失注済み", "Lukket - tabt", "Affaire perdue")
        ),
        *(
            (name, None)
            for name in ("Ei voitettu", "Nevyhráno", "Nie wygrane", "未受注", "受注予定", "\u274c Won", "Closed deal", "No ganado")
        ),
        *(
            (name, None)
            for name in ("Lost / on hold", "Lost (paused)", "Closed Lost \u2192 renegotiating", "Lost, regained", "Lost - in appeal")
        ),
    ],
)
def test_a_stage_says_an_outcome_by_its_whole_name(name: str, outcome: str | None) -> None:
    assert outcome_named(name) == outcome


@pytest.mark.parametrize(
    ("closed", "won", "stage", "status"),
    [
        ("true", "", "Contract Sent", None),
        ("true", "", "Closed Won", "closed_won"),
        ("true", "?", "Signed", None),
        ("true", None, "Contract Sent", None),
        ("true", None, "Closed lost", "closed_lost"),
        ("false", "true", "Contract Sent", None),
        ("false", "true", "Closed Won", None),
    ],
)
def test_a_closed_deal_is_not_open_and_flags_that_contradict_say_nothing(
    closed: str, won: str | None, stage: str, status: str | None, tmp_path: Path
) -> None:
    """Closed says no outcome, so that the gate names the line unless the stage's name does."""
    deal = DEAL | {"Is Deal Closed?": closed, "Deal Stage": stage} | ({} if won is None else {"Is Closed Won": won})
    frame, _ = extract(Export([deal]).without(*(["Is Closed Won"] if won is None else [])).write(tmp_path / "deals.csv"))
    assert frame["status"].fillna("").tolist() == [status or ""]


def _staged(*stages: str, **cells: str) -> Export:
    plain = {name: cell for name, cell in DEAL.items() if not name.startswith("Is ")} | cells
    return Export([plain | {"Record ID": str(number), "Deal Stage": stage} for number, stage in enumerate(stages)])


def test_stages_that_say_nothing_are_counted_and_a_few_of_them_assumed_open(tmp_path: Path) -> None:
    stages = ["Closed won"] * 4 + ["Contract Sent"] * 4 + ["Freigabe", "Freigabe"]
    frame, counts = extract(_staged(*stages).write(tmp_path / "deals.csv"))
    assert frame["status"].tolist() == ["closed_won"] * 4 + ["open"] * 6
    assert dict(counts.undecided) == {"Freigabe": 2}
    assert counts.filled["status"]["assumed:Deal Stage names no outcome"] == 2


def test_more_than_a_fifth_assumed_stops_with_the_lines_that_settle_it(tmp_path: Path) -> None:
    location = _staged("Closed won", "Unterschrieben", "Abgesagt", "Abgesagt", "Contract Sent").write(tmp_path / "deals.csv")
    with pytest.raises(ExportUnmappable, match="3 of 5 deals are open only because nothing says otherwise") as caught:
        extract(location)
    message = str(caught.value)
    assert "Abgesagt: 2 deals" in message
    assert "--assume-open" in message
    pasted = message[message.index("extends") : message.index("\n\nOr say")]
    own = tmp_path / "own.toml"
    own.write_text(pasted.replace('"Abgesagt", ', "").replace("closed_lost = []", 'closed_lost = ["Abgesagt"]'))
    frame, _ = extract(location, str(own))
    assert frame["status"].tolist() == ["closed_won", "open", "closed_lost", "closed_lost", "open"]
    frame, _ = extract(location, assume_open=True)
    assert frame["status"].tolist() == ["closed_won", "open", "open", "open", "open"]


def test_what_to_paste_keeps_the_rules_that_decide_the_other_deals(tmp_path: Path) -> None:
    deals = [
        DEAL | {"Record ID": "a", "Is Closed Won": "true"},
        *(DEAL | {"Record ID": x, "Deal Stage": "Aus", "Is Closed Won": ""} for x in "bc"),
    ]
    location = replace(Export(), deals=[{k: v for k, v in deal.items() if k != "Is Deal Closed?"} for deal in deals]).write(
        tmp_path / "d.csv"
    )
    with pytest.raises(ExportUnmappable, match="Aus: 2 deals") as caught:
        extract(location)
    message = str(caught.value)
    own = tmp_path / "own.toml"
    own.write_text(message[message.index("extends") : message.index("\n\nOr say")])
    assert extract(location, str(own))[0]["status"].tolist() == ["closed_won", "open", "open"]


@pytest.mark.parametrize(("closing", "stops"), [("2026-10-01 10:00", True), ("2026-12-18 17:00", False)])
def test_not_one_closed_deal_though_some_should_have_closed(closing: str, stops: bool, tmp_path: Path) -> None:
    stages = ["Contract Sent"] * 9 + ["Erledigt"]
    location = _staged(*stages, **{"Close Date": closing}).write(tmp_path / "deals.csv")
    if stops:
        with pytest.raises(ExportUnmappable, match="not one deal is closed, and 1 should have closed before now"):
            extract(location)
    else:
        assert set(extract(location)[0]["status"]) == {"open"}
    assert len(extract(location, assume_open=True)[0]) == 10


def test_what_a_user_says_of_all_other_stages_is_not_assumed(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('extends = "hubspot"\n[[status]]\nfield = "stage"\nwords = { closed_won = ["Ja"] }\notherwise = "open"\n')
    frame, counts = extract(_staged("JA", "eins", "zwei").write(tmp_path / "deals.csv"), str(own))
    assert frame["status"].tolist() == ["closed_won", "open", "open"]
    assert counts.filled["status"] == {"direct": 1, "default:open": 2}
    assert sum(counts.undecided.values()) == 2


def test_a_flag_and_a_stage_that_contradict_each_other_are_counted(export: Export, tmp_path: Path) -> None:
    location = export.with_deal(1, {"Deal Stage": "Closed Lost", "Is Deal Closed?": "true", "Is Closed Won": "true"}).write(
        tmp_path / "deals.csv"
    )
    frame, counts = extract(location)
    assert frame["status"].tolist() == ["open", "closed_won", "open"]
    assert dict(counts.contradictions) == {"Deal Stage says closed_lost, the flags or the status say closed_won": 1}


def test_a_pattern_that_matches_two_outcomes_decides_none(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('extends = "hubspot"\n[[status]]\nfield = "stage"\npatterns = { closed_won = "(?i)won", closed_lost = "(?i)lost" }\n')
    frame, _ = extract(_staged("A1 won", "B2 lost", "Lost, won by them").write(tmp_path / "deals.csv"), str(own))
    assert frame["status"].fillna("").tolist() == ["closed_won", "closed_lost", ""]


ZOHO = {"Amount": "1", "Closing Date": "2026-12-31", "Created Time": "2026-01-05 10:00:00", "Modified Time": "2026-02-05 10:00:00"}


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        (
            "Forecast Category",
            [("Omitted", "Negotiation/Review", "open"), ("Omitted", "Closed Lost", "closed_lost"), ("Closed", "Ours", "closed_won")],
        ),
        ("Deal Category", [("Closed Won", "Signed", "closed_won"), ("Closed Lost", "No", "closed_lost"), ("Open", "Later", "open")]),
        ("Forecast Type", [("Closed Won", "Signed", "closed_won"), ("Omitted", "Qualification", "open")]),
    ],
)
def test_zoho_decides_by_category_and_omitted_decides_nothing(column: str, cells: list[tuple[str, str, str]], tmp_path: Path) -> None:
    rows = [
        {"Record Id": f"z{n}", "Deal Name": "a", "Stage": stage, column: category} | ZOHO for n, (category, stage, _) in enumerate(cells)
    ]
    frame, _ = extract(Export(rows).write(tmp_path / "deals.csv"), "zoho")
    assert frame["status"].tolist() == [status for _, _, status in cells]


@pytest.mark.parametrize(
    ("active", "probability", "reason", "stage", "status"),
    [
        ("True", "100.0", "", "Signed", "closed_won"),
        ("False", "100", "", "Won", "closed_won"),
        ("False", "60", "", "Won", "closed_won"),
        ("False", "0.0", "", "Proposition", "closed_lost"),
        ("False", "0,00", "", "Won", "closed_lost"),
        ("False", "20", "Too dear", "Proposition", "closed_lost"),
        ("True", "60", "", "Proposition", "open"),
        ("True", "60", "False", "Proposition", "open"),  # as its API writes nothing
        ("False", "60", "", "Proposition", ""),
    ],
)
def test_odoo_wins_stay_won_when_archived(active: str, probability: str, reason: str, stage: str, status: str, tmp_path: Path) -> None:
    row = {"ID": "1", "Opportunity": "a", "Active": active, "Probability": probability, "Lost Reason": reason, "Stage": stage}
    dates = {"Created on": "2026-01-05 10:00:00", "Last Updated on": "2026-02-05 10:00:00", "Closed Date": "2026-02-05 10:00:00"}
    frame, _ = extract(Export([row | dates | {"Expected Revenue": "1"}]).write(tmp_path / "deals.csv"), "odoo")
    assert frame["status"].fillna("").tolist() == [status]


def test_a_nonprofit_s_posted_gift_is_won(tmp_path: Path) -> None:
    dates = {"Close Date": "2024-01-31", "Created Date": "2023-12-01", "Last Modified Date": "2024-02-01", "Amount": "1"}
    stages = {"Posted": "closed_won", "Won": "closed_won", "Lost": "closed_lost", "Withdrawn": "closed_lost", "Prospecting": "open"}
    rows = [{"Opportunity ID": f"006{n}", "Opportunity Name": "a", "Stage": stage} | dates for n, stage in enumerate(stages)]
    frame, _ = extract(Export(rows).write(tmp_path / "deals.csv"), "salesforce")
    assert frame["status"].tolist() == list(stages.values())


@pytest.mark.parametrize(
    ("stage", "status"),
    [
        ("WON", "closed_won"),
        ("C6:WON", "closed_won"),
        ("DT128_6:SUCCESS", "closed_won"),
        ("DT128_6:FAIL", "closed_lost"),
        ("C6:UC_1A2B", "closed_lost"),
    ],
)
def test_a_closed_bitrix_deal_is_won_in_a_stage_of_success_alone(stage: str, status: str, tmp_path: Path) -> None:
    times = dict.fromkeys(("DATE_CREATE", "DATE_MODIFY", "CLOSEDATE"), "2026-01-05T10:00:00+03:00")
    row = {"ID": "7", "TITLE": "a", "STAGE_ID": stage, "OPPORTUNITY": "1", "CLOSED": "Y"} | times
    frame, _ = extract(Export([row]).write(tmp_path / "deals.csv"), "bitrix24")
    assert frame["status"].tolist() == [status]

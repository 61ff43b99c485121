"""Makes the export that ships with the demo: fictional deals in the shape of HubSpot's "all deals" UI export.

Run `python tests/make_demo_export.py` to write it again; the same seed gives the same bytes. Everything in it is invented; the
blemishes are those that real exports have and that no platform refuses: lists with semicolons, contacts without an address,
texts of several lines, quotes, names that repeat, deals closed before they were created, open deals long overdue, a lost stage that
only its flag tells.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

EXPORT = Path(__file__).parent.parent / "deployments/commands/demo" / "hubspot-crm-exports-all-deals-2026-11-02.csv"
EXPORTED = datetime(2026, 11, 2, 7, 30)  # noqa: DTZ001 -- HubSpot writes the account's time without a zone
FIRST_DAY = datetime(2024, 10, 1)  # noqa: DTZ001 -- as above
DEALS = 480

_LABELS = """
    Actual duration (HH:mm:ss); Amount; Amount in company currency; Annual contract value; Annual recurring revenue;
    Campaign of last booking in meetings tool; Close Date; Closed Lost Reason; Closed won count; Closed Won Reason; Create Date;
    Created by user ID; Date of last meeting booked in meetings tool; Days to close; Dead deal reason; Deal Collaborator;
    Deal Description; Deal Name; Deal owner; Deal probability; Deal Stage; Deal Tags; Deal Type; Exchange rate; Forecast amount;
    Forecast category; Forecast probability; HubSpot Team; Is Closed (numeric); Is closed lost; Is Closed Won; Is Deal Closed?;
    Is Open (numeric); Last Activity Date; Last Contacted; Last GS Shared Message; Last Modified Date; Last Partner Shared Message Date;
    Last Shared Message Create Date; Latest Approval Status; Latest Traffic Source; Latest Traffic Source Data 1;
    Latest Traffic Source Data 2; Latest Traffic Source Timestamp; Lead Type; Medium of last booking in meetings tool; Merged Deal IDs;
    Monthly recurring revenue; Next Activity Date; Next Meeting; Next Meeting Name; Next Meeting Start Time; Next step;
    Number of Associated Contacts; Number of Associated Line Items; Number of Sales Activities; Number of times contacted;
    Original Traffic Source; Original Traffic Source Drill-Down 1; Original Traffic Source Drill-Down 2; Owner assigned date; Pipeline;
    Priority; Record source; Record source detail 1; Record source detail 2; Record source detail 3;
    Source of last booking in meetings tool; Total contract value; Updated by user ID; Weighted amount;
    Weighted amount in company currency; Weighted open pipeline in company currency
"""
_ASSOCIATIONS = """
    Call; Payment schedule installment; Communication; Payment Link; Deal create attribution; Goal; Postal Mail; Email; Discount; Ticket;
    Campaign; Forecast; Payment; Approval; Links to Sales Task that is based on the Deal (hidden); Deal split; Revenue attribution; Note;
    Company; Contact; Quote; Company (Primary); Sales Activity; Partner Client; Invoice; Deal; Task; Survey response; Product; Line item;
    Meeting; Conversation session; Order; Cart; Subscription; Sequence enrollment
"""


def _headers() -> list[str]:
    labels = [label.strip() for label in _LABELS.split(";")]
    associations = [name.strip() if name.strip().startswith("Links") else f"Associated {name.strip()}" for name in _ASSOCIATIONS.split(";")]
    ids = [name.replace(" (Primary)", " IDs (Primary)") if name.endswith("(Primary)") else f"{name} IDs" for name in associations]
    return ["Record ID", *labels, *associations, *ids]


HEADERS = _headers()

# New deals a month, relative: quiet in August and December, busy in spring and before the year's end
_SEASON = (0.9, 1.0, 1.3, 1.1, 1.1, 1.0, 0.8, 0.5, 1.2, 1.4, 1.2, 0.6)
_OPEN_STAGES = ("Appointment Scheduled", "Qualified To Buy", "Presentation Scheduled", "Decision Maker Bought-In", "Contract Sent")
_PROBABILITY = dict(zip(_OPEN_STAGES, ("0.2", "0.4", "0.6", "0.8", "0.9"), strict=True))
_WORDS = """
Ada Bo Carla Dmitri Elin Farid Greta Hugo Ines Jonas Kaja Luca Mira Nils Oda Piet Renée Sara Tomás Vera
Aalto Bergström Costa Dahl Ek Ferri Götz Holm Ibsen Jensen Keller Lund Moreau Noor Olsen Petrov Quist Rossi Silva Tanaka
Amber Birch Cobalt Delta Ember Fjord Granite Harbor Indigo Juniper Kestrel Lumen Meridian Northern Onyx Prairie
Analytics Bakeries Ceramics Dental Energy Freight Gardens Hotels Instruments Joinery Kitchens Logistics Mills Optics
"""
_FIRST, _LAST, _HEADS, _TAILS = (line.split() for line in _WORDS.strip().splitlines())
_PRODUCTS = (
    ("annual supply", 9000, "newbusiness"),
    ("renewal", 6500, "existingbusiness"),
    ("pilot", 2500, "newbusiness"),
    ("expansion", 14000, "existingbusiness"),
)
_LOST_REASONS = ("Price", "No budget this year", "Went with a competitor; may come back", 'Said "not now"', "")


def demo_rows(count: int, seed: int = 20261102) -> Iterator[dict[str, str]]:
    """``count`` deals, oldest first, as HubSpot would write them."""
    chance = random.Random(seed)
    companies = [f"{head} {tail}" for head in _HEADS for tail in _TAILS]
    chance.shuffle(companies)
    for number, created in enumerate(sorted(_created(chance) for _ in range(count))):
        yield _deal(chance, number, created, companies[: max(40, count // 3)])


def _created(chance: random.Random) -> datetime:
    span = (EXPORTED - FIRST_DAY).days
    while True:
        day = FIRST_DAY + timedelta(days=chance.randrange(span), hours=chance.randrange(7, 18), minutes=chance.randrange(60))
        if chance.random() * max(_SEASON) < _SEASON[day.month - 1] and (day.weekday() < 5 or chance.random() < 0.1):
            return day


def _deal(chance: random.Random, number: int, created: datetime, companies: list[str]) -> dict[str, str]:
    place = chance.randrange(len(companies))
    company = companies[place]
    product, typical, kind = chance.choice(_PRODUCTS)
    amount = round(typical * chance.lognormvariate(0, 0.5) / 50) * 50 + (0.5 if chance.random() < 0.05 else 0)
    row = dict.fromkeys(HEADERS, "")
    row |= {
        "Record ID": str(14_316_276_246 + number * 7_919_377 + chance.randrange(1000)),
        "Deal Name": chance.choice((f"{company} - {product}", f"{company} - {product}", "New Deal", f"{company} {product} {created.year}")),
        "Deal Type": kind,
        "Deal owner": chance.choice(("Ines Holm", "Luca Keller", "Oda Rossi")),
        "Amount": f"{amount:.1f}" if amount % 1 else f"{amount:.0f}",
        "Create Date": _written(created),
        "Pipeline": "Sales Pipeline",
        "Priority": chance.choice(("", "low", "medium", "high")),
        "Record source": chance.choice(("CRM UI", "Integration", "Import")),
        "Deal Description": _description(chance, product),
    }
    row["Amount in company currency"] = row["Amount"]
    _settle(chance, row, created, amount)
    _associate(chance, row, number, company, 9_000_000_000 + place * 70_921)
    return row


def _settle(chance: random.Random, row: dict[str, str], created: datetime, amount: float) -> None:
    """Won, lost or open, with the flags, dates and numbers that go with it."""
    closes = created + timedelta(days=min(240, chance.lognormvariate(3.8, 0.6)), minutes=chance.randrange(600))
    closed, won = closes < EXPORTED and chance.random() < 0.93, chance.random() < 0.38
    if closed and chance.random() < 0.012:
        closes = created - timedelta(days=chance.randrange(1, 20))
    changed = closes + timedelta(hours=chance.randrange(72)) if closed else created + (EXPORTED - created) * chance.random()
    contacted = created + (min(changed, EXPORTED) - created) * chance.random() if changed > created else created
    stage = (
        ("Closed Won" if won else chance.choice(("Closed Lost", "Closed Lost", "Dead Deals"))) if closed else chance.choice(_OPEN_STAGES)
    )
    probability = ("1.0" if won else "0.0") if closed else _PROBABILITY[stage]
    row |= {
        "Deal Stage": stage,
        "Deal probability": probability,
        "Close Date": _written(closes),
        "Days to close": str(max(0, (closes - created).days)),
        "Is Closed (numeric)": "1.0" if closed else "0.0",
        "Is Open (numeric)": "0.0" if closed else "1.0",
        "Is Deal Closed?": _flag(closed),
        "Is Closed Won": _flag(closed and won),
        "Is closed lost": _flag(closed and not won),
        "Closed won count": "1.0" if closed and won else "0.0",
        "Closed Lost Reason": chance.choice(_LOST_REASONS) if closed and not won else "",
        "Forecast amount": f"{amount * float(probability):.1f}",
        "Last Modified Date": _written(min(max(changed, created), EXPORTED)),
        "Last Activity Date": _written(contacted) if chance.random() < 0.8 else "",
        "Last Contacted": _written(contacted) if chance.random() < 0.7 else "",
        "Number of times contacted": f"{chance.randrange(15)}.0",
    }


def _associate(chance: random.Random, row: dict[str, str], number: int, company: str, company_id: int) -> None:
    people = [f"{chance.choice(_FIRST)} {chance.choice(_LAST)}" for _ in range(chance.choice((1, 1, 1, 2, 3)))]
    domain = f"{company.replace(' ', '').lower()}.example.com"
    mails = [f" ({person.partition(' ')[0].lower()}@{domain})" if chance.random() < 0.85 and person.isascii() else "" for person in people]
    meetings = [str(60_100_000_000 + number * 50 + place) for place in range(chance.choice((0, 0, 1, 2, 4)))]
    row |= {
        "Number of Associated Contacts": str(len(people)),
        "Associated Contact": ";".join(person + mail for person, mail in zip(people, mails, strict=True)),
        "Associated Contact IDs": ";".join(str(7_200_000_000 + number * 10 + place) for place in range(len(people))),
        "Associated Company": company,
        "Associated Company IDs": str(company_id),
        "Associated Company (Primary)": company,
        "Associated Company IDs (Primary)": str(company_id),
        "Associated Meeting": ";".join(f"Call; round {place}" for place, _ in enumerate(meetings, start=1)),
        "Associated Meeting IDs": ";".join(meetings),
    }


def _description(chance: random.Random, product: str) -> str:
    return chance.choice(
        (
            "",
            "",
            f"{product.capitalize()}, as discussed",
            f'They call it "the {product}"',
            f"Asked for {product}.\nBudget approved in spring.\n\nCall back",
        )
    )


def _written(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


def _flag(value: bool) -> str:
    return "true" if value else "false"


def as_csv(rows: Iterator[dict[str, str]]) -> str:
    """The rows as HubSpot writes a file: every cell quoted, a comma between, UTF-8 without BOM."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, HEADERS, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    EXPORT.write_text(as_csv(demo_rows(DEALS)), "utf-8", newline="")

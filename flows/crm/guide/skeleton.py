"""A dialect to start from: the export's headers, what is guessed of them, and what is left to say, with the words for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from expectations.deals_schema import COLUMN_NAMES, COLUMNS
from flows.crm.dialect import Source, known_dialects
from flows.crm.files.header_row import folded
from flows.crm.guide.best_dialect import Fit
from flows.crm.header_match import REQUIRED
from flows.crm.inference.header_factors import factor_in
from flows.errors import quoted

_MEANINGS = {column.name: column.meaning for column in COLUMNS}
_FOLLOWING = {
    "addDatetime": '"@creationDatetime"',
    "currentStageStartDatetime": '["@closedDatetime", "@creationDatetime"]',
    "lastUpdateDatetime": '["@closedDatetime", "@creationDatetime"]',
}
"""Columns that are filled where no header is known: they follow from other columns."""

_FORMS = {
    "closedDatetime": '{ from = "...", while = "closed" }',
    "value": '["...", { default = 0 }]',
    "id": '{ join = ["...", "..."] }',
}


def skeleton(found: Fit) -> str:
    """The TOML for an export: it extends the dialect that matches, or says all itself where none does."""
    base = found.chosen if found.chosen.matches else None
    return "\n".join([*_top(found, base.name if base else None), *(_extending(found) if base else _alone(found)), *_rest(found), ""])


def _top(found: Fit, base: str | None) -> Iterator[str]:
    name = quoted(PurePath(found.path).name)
    yield f"# How {name[1:-1]} is read. Lines that begin with # say nothing: take the # away and fill in a header, as it stands below."
    yield "# Look at what comes of it: dealcast crms EXPORT --crm THIS_FILE; all tables and keys: flows/crm/README.md."
    yield f"title = {name}"
    if base:
        yield f"extends = {quoted(base)} # every table below adds to it or replaces keys of it"
    yield ""
    yield f"# The export's {len(found.headers)} headers:"
    yield from (f"#   {quoted(header)}{_factor(header)}" for header in found.headers)
    yield ""


def _factor(header: str) -> str:
    """The form of the entry where a header says thousands, or cents."""
    factor = factor_in(header)
    return f" as {{ from = {quoted(header)}, times = {factor} }}, or times = 1 if its numbers are whole" if factor else ""


def _extending(found: Fit) -> Iterator[str]:
    yield "[columns] # target = the header that fills it"
    for column in found.columns:
        if column.column in found.chosen.missing:
            yield from _open(column.column, found)
        elif not column.rows and column.column != "lastSyncedAt" and not column.sources:
            yield f'# {column.column} = "" # {_MEANINGS[column.column]}'


def _alone(found: Fit) -> Iterator[str]:
    guesses = _guesses(found.headers)
    yield "[columns] # target = the header that fills it; what a deal cannot do without comes first"
    for name in sorted(COLUMN_NAMES, key=lambda name: (name not in (*REQUIRED, "closedDatetime"), COLUMN_NAMES.index(name))):
        if name in guesses:
            yield f"{name} = {guesses[name]} # guessed: {_MEANINGS[name]}"
        elif name in (*REQUIRED, "closedDatetime") and name != "status":
            yield from _open(name, found)
        elif name not in {"status", "lastSyncedAt"}:
            yield f'# {name} = "" # {_MEANINGS[name]}'
    yield ""
    yield "[[status]] # the whole names of the stages that won or lost a deal; any other is open"
    stage = guesses.get("stage")
    mark = "" if stage else "# "
    yield f"{mark}field = {stage or quoted('...')}"
    yield f"{mark}words = {{ closed_won = [], closed_lost = [] }}"
    yield f'{mark}otherwise = "open"'
    if not stage:
        yield 'is = "unknown" # remove this line once the three above are filled in'


def _open(name: str, found: Fit) -> Iterator[str]:
    """A column that nothing fills yet: what follows from others is taken, the rest is to be filled in."""
    if name == "id" and found.ids:
        yield f"id = {id_line(found.ids[0])} # {ID_COST}"
        yield from (f"# id = {id_line(other)}" for other in found.ids[1:])
    elif name in _FOLLOWING:
        yield f"{name} = {_FOLLOWING[name]} # {_MEANINGS[name]}: taken from other columns where there is none of its own"
    else:
        yield f"# {name} = {_FORMS.get(name, quoted(''))} # {_MEANINGS[name]}"


def _rest(found: Fit) -> Iterator[str]:
    yield ""
    yield "# [dates]"
    yield '# order = "day-first" # or month-first, where no date settles it'
    yield '# timezone = "Europe/Rome" # of times that name none'
    yield "# [numbers]"
    yield '# style = "comma" # or point: the sign before the decimals'
    yield "# [currency]"
    yield '# field = "..." # where the amounts are in several currencies'
    if not found.chosen.matches:
        yield "# [pipeline]"
        yield '# field = "..." # where the deals are in several pipelines'


ID_COST = "made of cells: where one changes, the deal is there twice until a sync with --mode override"
"""The cost of an id that is not the CRM's own."""


def id_line(headers: Sequence[str]) -> str:
    """The headers as an id's entry in TOML."""
    if len(headers) == 1:
        return quoted(headers[0])
    return f"{{ join = [{', '.join(map(quoted, headers))}] }}"


def _guesses(headers: Iterable[str]) -> dict[str, str]:
    """Target column -> what fills it, for headers that some shipped dialect knows; the dialect that knows most of them is asked first."""
    here = {folded(header): header for header in headers}
    dialects = [dialect for dialect in known_dialects() if not dialect.verbatim]
    known = {dialect.name: {folded(header) for header in dialect.headers()} & set(here) for dialect in dialects}
    found: dict[str, str] = {}
    for dialect in sorted(dialects, key=lambda dialect: (-len(known[dialect.name]), dialect.name)):
        for column, recipe in dialect.columns.items():
            for source in recipe:
                names = dialect.headers_of(source.names[0]) if source.how == "field" else ()
                header = next((here[folded(name)] for name in names if folded(name) in here), None)
                if header is not None:
                    found.setdefault(column, _entry(source, header))
    return found


def _entry(source: Source, header: str) -> str:
    return f"{{ from = {quoted(header)}, while = {quoted(source.during)} }}" if source.during else quoted(header)

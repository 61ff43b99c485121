"""A dialect: how one CRM's export says what the 35 columns ask for. Dialects are TOML, data and not code.

``[fields]`` names what the export holds and lists the headers it goes by, first present wins. ``[columns]`` says for each
target column what fills it, first non-empty wins. The shipped files in ``dialects/`` are the reference; a user's own file
may say ``extends = "hubspot"`` and override any table's keys.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from expectations.deals_schema import COLUMN_NAMES, COLUMNS, STATUSES, Kind
from flows.crm.dialect_keys import (
    Misread,
    assumed_rules,
    check_references,
    check_tables,
    known_encoding,
    list_separator,
    one_of,
    pattern_of,
    zone_or_offset,
)
from flows.crm.values.cells import known_nulls
from flows.crm.values.dates import ORDERS, Order
from flows.crm.values.flags import words_for
from flows.crm.values.stage_names import stage_key
from flows.errors import UsageError

LOCAL = "local"
SHIPPED = resources.files("flows.crm") / "dialects"
DERIVATIONS = ("first", "count", "mail_domain_of", "number_in", "hundredth_of", "latest", "join", "default")
KINDS = {column.name: column.kind for column in COLUMNS}
MOMENTS = {"open": ("open",), "won": ("closed_won",), "lost": ("closed_lost",), "closed": ("closed_won", "closed_lost")}


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of a column's chain: a field, another target column (``@name``), or something derived from fields.

    ``during`` (a key of MOMENTS) limits it to deals that are open, won, lost or closed. ``times`` is the factor of its numbers.
    """

    how: str
    names: tuple[str, ...]
    during: str | None = None
    times: str | None = None


Recipe = tuple[Source, ...]
"""The chain that fills a target column: the first non-empty source wins."""


@dataclass(frozen=True, slots=True)
class StatusRule:
    """One way to tell the status. It applies when all its fields are in the export, and decides the rows it matches.

    ``flags`` are booleans that must hold; then ``verdict`` decides, or the text of ``field``: by ``words`` (whole names), by the
    ``patterns`` of one status alone, or with ``known_names`` by the names that stages of that outcome have anywhere. A filled text that
    decides nothing is ``otherwise``, as the user says, or ``assume``, which is counted as assumed and limited.
    """

    flags: tuple[tuple[str, bool], ...] = ()
    verdict: str | None = None
    field: str | None = None
    words: tuple[tuple[str, str], ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    known_names: bool = False
    otherwise: str | None = None
    assume: str | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """Rows that are no deals although they look it.

    Their ``field`` holds one of ``values``, their ``flag`` is true or the flag ``unless`` false, ``filled`` is not empty, all of ``blank``
    are, or another row names their id in ``ids_in``. ``gone``: the CRM once had the deal, and has it no more.
    """

    why: str
    field: str | None = None
    values: frozenset[str] = frozenset()
    blank: tuple[str, ...] = ()
    flag: str | None = None
    filled: str | None = None
    ids_in: str | None = None
    gone: bool = False
    unless: str | None = None
    among: frozenset[str] = frozenset()
    """All texts that ``field`` may hold: where some row has another, it speaks of something else."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that it looks at."""
        return tuple(name for name in (self.field, *self.blank, self.flag, self.unless, self.filled, self.ids_in) if name)


@dataclass(frozen=True)
class Dialect:
    """One CRM's dialect, checked. Field names are the TOML's own."""

    name: str
    title: str
    source: str
    fields: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, Recipe]
    status: tuple[StatusRule, ...] = ()
    drops: tuple[Drop, ...] = ()
    footers: tuple[str, ...] = ()
    verbatim: bool = False
    crm_timezone: str = LOCAL
    """The zone of times that name none; `local`: the user's."""
    utc: frozenset[str] = frozenset()
    local: frozenset[str] = frozenset()
    """The fields or headers whose times are in UTC, or the user's, whatever the others are."""
    date_order: Order | None = None
    days: frozenset[str] = frozenset()
    zone_letters: Mapping[str, str] = field(default_factory=dict)
    """The zone, or the offset, that letters behind a time stand for, where several zones have them."""
    number_style: str = "proven"
    nulls: frozenset[str] = frozenset()
    nulls_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    leading_apostrophe: bool = False
    blank_is_false: frozenset[str] = frozenset()
    flag_words: Mapping[str, str] = field(default_factory=dict)
    list_separator: str = ";"
    pipeline: str | None = None
    units: tuple[str, ...] = ()
    """The fields that say what an amount is in: its currency, its period."""
    converted: Recipe = ()
    zip_members: tuple[str, ...] = ()
    first_of_a_name: bool = False
    """True if the CRM's own columns stand before those of its users, which may repeat their headers."""
    encoding: str | None = None
    assume_accepted: tuple[str, ...] = ()
    """Rules that are only assumed of the platform, and that may be broken with a warning."""

    def headers_of(self, name: str) -> tuple[str, ...]:
        """The headers that the field ``name`` goes by; a name that is no field is a header itself."""
        return self.fields.get(name, (name,))

    def headers(self) -> set[str]:
        """Every header that this dialect knows."""
        named = {name for recipe in self.columns.values() for source in recipe for name in source.names if source.how != "default"}
        named |= set(self.fields)
        return {header for name in named if not name.startswith("@") for header in self.headers_of(name)}


def known_dialects() -> list[Dialect]:
    """Every shipped dialect, `canonical` first, then by name."""
    names = sorted(Path(entry.name).stem for entry in SHIPPED.iterdir() if entry.name.endswith(".toml"))
    return [load_dialect(name) for name in sorted(names, key=lambda name: (name != "canonical", name))]


def load_dialect(crm: str) -> Dialect:
    """The dialect that ``--crm`` names: a shipped one, or the path of a TOML.

    Raises UsageError for an unknown name, a file that is missing or not TOML, and for anything in it that makes no sense.
    """
    with _well_formed(crm):
        return _dialect(_name_of(crm), _tables(crm, seen=()))


def tables_of(crm: str) -> dict[str, Any]:
    """The tables of the dialect's TOML, together with those it extends. Raises UsageError as `load_dialect`."""
    with _well_formed(crm):
        return _tables(crm, seen=())


@contextmanager
def _well_formed(crm: str) -> Iterator[None]:
    """Raise UsageError for whatever in a dialect makes no sense."""
    try:
        yield
    except Misread as error:
        raise UsageError(f"The dialect {_name_of(crm)!r}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"The dialect {_name_of(crm)!r} is not well formed ({type(error).__name__}: {error}). Compare it with a shipped one."
        ) from error


def _name_of(crm: str) -> str:
    return Path(crm).stem if crm.endswith(".toml") else crm


def _tables(crm: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if crm in seen:
        raise UsageError(f"The dialect {crm!r} extends itself ({' -> '.join((*seen, crm))}). Remove one `extends`.")
    tables = _read(crm)
    check_tables(tables)
    base = tables.pop("extends", None)
    if base is None:
        return tables
    if str(base).endswith(".toml") and crm.endswith(".toml"):
        base = str(Path(crm).parent / base)
    return _merge(_without_converted(_tables(str(base), (*seen, crm)), tables), tables)


def _without_converted(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The base as it is for a dialect whose ``value`` is of other fields: what the base converts is another amount."""
    if "value" not in own.get("columns", {}) or "currency" not in base:
        return base
    fields = _amounts(base)
    if _amounts(own) <= fields | {header for name in fields for header in _names(base.get("fields", {}).get(name, []))}:
        return base
    return base | {"currency": {key: said for key, said in base["currency"].items() if key != "converted"}}


def _amounts(tables: dict[str, Any]) -> set[str]:
    """The fields or headers that fill the value."""
    return {
        name for source in _recipe("value", tables.get("columns", {}).get("value", [])) if source.how != "default" for name in source.names
    }


def _read(crm: str) -> dict[str, Any]:
    try:
        if crm.endswith(".toml"):
            return tomllib.loads(Path(crm).expanduser().read_text("utf-8-sig"))
        if crm in shipped_names():
            return tomllib.loads((SHIPPED / f"{crm}.toml").read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--crm {crm}: the dialect file cannot be read: {error}. Check the path.") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--crm {crm} is not valid TOML: {error}. Fix that line; `dealcast crms` lists the shipped dialects.") from error
    close = difflib.get_close_matches(crm.casefold(), shipped_names(), n=1, cutoff=0.4)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"Unknown --crm {crm!r}.{hint} Known: {', '.join(shipped_names())}; or give the path of your own .toml dialect.")


def shipped_names() -> list[str]:
    """The names of the shipped dialects."""
    return sorted(Path(entry.name).stem for entry in SHIPPED.iterdir() if entry.name.endswith(".toml"))


def _merge(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        both_tables = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = {**base[key], **value} if both_tables else value
    return merged


def _dialect(name: str, tables: dict[str, Any]) -> Dialect:
    dates, numbers, cells = tables.get("dates", {}), tables.get("numbers", {}), tables.get("cells", {})
    verbatim = tables.get("verbatim", False)
    columns = {column: [column] for column in COLUMN_NAMES} if verbatim else tables.get("columns", {})
    if unknown := set(columns) - set(COLUMN_NAMES):
        raise Misread(f"[columns] names {', '.join(sorted(unknown))}, which is none of the 35 columns.")
    recipes = {column: _recipe(column, said) for column, said in columns.items()}
    check_references({column: [source.names[0][1:] for source in recipe if source.how == "column"] for column, recipe in recipes.items()})
    return Dialect(
        name=name,
        title=tables.get("title", name),
        source=tables.get("source", ""),
        fields={key: _names(headers) for key, headers in tables.get("fields", {}).items()},
        columns=recipes,
        status=tuple(_status_rule(rule) for rule in tables.get("status", [])),
        drops=tuple(_drop(rule) for rule in tables.get("drop", [])),
        footers=tuple(pattern_of(pattern) for pattern in _names(tables.get("footers", {}).get("patterns", []))),
        verbatim=verbatim,
        crm_timezone=dates.get("timezone", LOCAL),
        utc=frozenset(_names(dates.get("utc", []))),
        local=frozenset(_names(dates.get("local", []))),
        date_order=one_of(dates.get("order"), (None, *ORDERS), "dates.order"),
        days=frozenset(_names(dates.get("days", []))),
        zone_letters={letters: zone_or_offset(letters, said) for letters, said in dates.get("letters", {}).items()},
        number_style=one_of(numbers.get("style", "proven"), ("point", "comma", "proven"), "numbers.style"),
        nulls=frozenset(_names(cells.get("nulls", []))) | (frozenset() if verbatim else known_nulls()),
        nulls_of={key: frozenset(_names(values)) for key, values in cells.get("nulls_of", {}).items()},
        leading_apostrophe=cells.get("leading_apostrophe", False),
        blank_is_false=frozenset(_names(cells.get("blank_is_false", []))),
        flag_words=words_for(_names(cells.get("true", [])), _names(cells.get("false", []))),
        list_separator=list_separator(cells.get("list_separator", ";")),
        pipeline=tables.get("pipeline", {}).get("field"),
        units=_names(tables.get("currency", {}).get("field", [])),
        converted=_recipe("value", tables.get("currency", {}).get("converted", [])),
        first_of_a_name=tables.get("file", {}).get("first_of_a_name", False),
        encoding=known_encoding(tables.get("file", {}).get("encoding")),
        zip_members=_names(tables.get("zip", {}).get("members", [])),
        assume_accepted=assumed_rules(_names(tables.get("assume_accepted", []))),
    )


def _names(said: Any) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(said)


def _recipe(column: str, said: Any) -> Recipe:
    return tuple(source for entry in (said if isinstance(said, list) else [said]) for source in _sources(column, entry))


def _sources(column: str, entry: Any) -> list[Source]:
    if isinstance(entry, str):
        if entry.startswith("@") and entry[1:] not in COLUMN_NAMES:
            raise Misread(f"columns.{column} refers to {entry}, which is none of the 35 columns.")
        return [Source("column" if entry.startswith("@") else "field", (entry,))]
    during = one_of(entry.get("while"), (None, *MOMENTS), f"columns.{column}.while")
    if "from" in entry:
        times = str(entry["times"]) if "times" in entry else None
        if times and KINDS[column] not in {Kind.DECIMAL, Kind.INTEGER}:
            raise Misread(f"columns.{column} has `times`, and holds no numbers.")
        sources = _recipe(column, entry["from"])
        if times and any(source.how != "field" for source in sources):
            raise Misread(f"columns.{column} has `times` beside what is no header or field.")
        return [replace(source, during=during, times=times or source.times) for source in sources]
    how = next(how for how in DERIVATIONS if how in entry)
    return [Source(how, (_value(entry[how]),) if how == "default" else _names(entry[how]), during)]


def _value(said: Any) -> str:
    """A fixed value as text: 0 as `0`, true as `true`, a date as ISO writes it."""
    if isinstance(said, bool):
        return str(said).lower()
    return said.isoformat() if hasattr(said, "isoformat") else str(said)


def _drop(rule: dict[str, Any]) -> Drop:
    if "why" not in rule:
        raise Misread(f"[[drop]] {rule!r} needs a `why`: what its rows are counted as.")
    drop = Drop(
        rule["why"],
        rule.get("field"),
        frozenset(value.casefold() for value in _names(rule.get("values", []))),
        tuple(rule.get("blank", [])),
        rule.get("flag"),
        rule.get("filled"),
        rule.get("ids_in"),
        rule.get("gone", False),
        rule.get("unless"),
    )
    if not drop.fields:
        raise Misread(f"[[drop]] {rule!r} needs one of field, flag, unless, filled, blank, ids_in.")
    return drop


def _status_rule(rule: dict[str, Any]) -> StatusRule:
    verdict = one_of(rule.get("is"), (None, "unknown", *STATUSES), "status.is")
    if (verdict is None) == (rule.get("field") is None) or any(not isinstance(flag, bool) for flag in rule.get("flags", {}).values()):
        raise Misread(f"[[status]] {rule!r} needs either `is` or `field`, and true or false for each of its `flags`.")
    outcomes: dict[str, str] = {}
    for status, words in rule.get("words", {}).items():
        for word in _names(words):
            if outcomes.setdefault(stage_key(word), status) != status:
                raise Misread(f"status.words has {word!r} for {outcomes[stage_key(word)]} and for {status}; it can mean one.")
    return StatusRule(
        flags=tuple(rule.get("flags", {}).items()),
        verdict=verdict,
        field=rule.get("field"),
        words=tuple((word, one_of(status, STATUSES, "status.words")) for word, status in outcomes.items()),
        patterns=tuple(
            (pattern_of(pattern), one_of(status, STATUSES, "status.patterns")) for status, pattern in rule.get("patterns", {}).items()
        ),
        known_names=rule.get("known_names", False),
        otherwise=one_of(rule.get("otherwise"), (None, *STATUSES), "status.otherwise"),
        assume=one_of(rule.get("assume"), (None, *STATUSES), "status.assume"),
    )

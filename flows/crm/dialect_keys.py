"""The tables and keys of a dialect's TOML, and what each may hold: a typing error ends in one sentence.

``flows/crm/README.md`` explains them; a test holds the two together.
"""

from __future__ import annotations

import codecs
import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from expectations.rules import accepting
from flows.crm.values.zones import OFFSET
from flows.errors import UsageError
from flows.runtime.zone_names import checked_zone

TEXT, TEXTS, FLAG = "a text", "a text or a list of texts", "true or false"
RECIPE, ENTRIES = "a field, a table, or a list of these", "any names, each with"

KEYS: dict[str, dict[str, str]] = {
    "": {"title": TEXT, "source": TEXT, "extends": TEXT, "verbatim": FLAG, "assume_accepted": TEXTS},
    "fields": {"*": TEXTS},
    "columns": {"*": RECIPE},
    "status": {
        "flags": f"{ENTRIES} {FLAG}",
        "is": TEXT,
        "field": TEXT,
        "words": f"{ENTRIES} {TEXTS}",
        "patterns": f"{ENTRIES} {TEXT}",
        "known_names": FLAG,
        "otherwise": TEXT,
        "assume": TEXT,
    },
    "drop": {
        "why": TEXT,
        "field": TEXT,
        "values": TEXTS,
        "blank": TEXTS,
        "flag": TEXT,
        "filled": TEXT,
        "ids_in": TEXT,
        "unless": TEXT,
        "gone": FLAG,
    },
    "cells": {
        "nulls": TEXTS,
        "nulls_of": f"{ENTRIES} {TEXTS}",
        "list_separator": TEXT,
        "leading_apostrophe": FLAG,
        "blank_is_false": TEXTS,
        "true": TEXTS,
        "false": TEXTS,
    },
    "numbers": {"style": TEXT},
    "dates": {"order": TEXT, "timezone": TEXT, "utc": TEXTS, "local": TEXTS, "days": TEXTS, "letters": f"{ENTRIES} {TEXT}"},
    "currency": {"field": TEXTS, "converted": RECIPE},
    "pipeline": {"field": TEXT},
    "footers": {"patterns": TEXTS},
    "file": {"encoding": TEXT, "first_of_a_name": FLAG},
    "zip": {"members": TEXTS},
}
"""The tables (the empty name: the top of the file), their keys (`*`: any name), and what a key may hold."""

REPEATED = ("status", "drop")
"""The tables that are written ``[[name]]``, any number of times."""

ENTRY_KEYS = ("from", "while", "times", "first", "count", "mail_domain_of", "number_in", "hundredth_of", "latest", "join", "default")
"""The keys of a table in a column's chain: ``while`` beside one of the others, ``times`` beside ``from``."""


class Misread(Exception):
    """A statement of a dialect that makes no sense."""


def check_tables(tables: Mapping[str, Any]) -> None:
    """Check the names and the types of everything that a TOML says. Raises Misread in one sentence."""
    for name, said in tables.items():
        if name in KEYS[""]:
            _check(name, said, KEYS[""][name])
        elif name not in KEYS:
            raise Misread(f"unknown key {name!r}.{_close(name, [*KEYS[''], *filter(None, KEYS)])}")
        elif name in REPEATED:
            if not isinstance(said, list):
                raise Misread(f"[{name}] must be written [[{name}]], with double brackets: there may be several.")
            for entry in said:
                _check_table(f"[{name}]", entry, KEYS[name])
        else:
            _check_table(name, said, KEYS[name])


def _check_table(name: str, said: Any, keys: Mapping[str, str]) -> None:
    where = f"[{name}]"
    if not isinstance(said, dict):
        raise Misread(f"{name.strip('[]')} must be a table: write {where} on a line of its own, and its keys below.")
    for key, value in said.items():
        kind = keys.get(key, keys.get("*"))
        if kind is None:
            raise Misread(f"{where} has no key {key!r}.{_close(key, keys)}")
        _check(f"{where} {key}", value, kind)


def _check(where: str, said: Any, kind: str) -> None:
    if kind.startswith(ENTRIES):
        if not isinstance(said, dict):
            raise Misread(f"{where} is {_told(said)}; it must be a table such as {{ name = ... }}.")
        for name, value in said.items():
            _check(f"{where}.{name}", value, kind.removeprefix(f"{ENTRIES} "))
    elif kind == RECIPE:
        for entry in said if isinstance(said, list) else [said]:
            _check_entry(where, entry)
    elif not _is(said, kind):
        raise Misread(f"{where} is {_told(said)}; it must be {kind}{_in_quotes(said)}.")


def _is(said: Any, kind: str) -> bool:
    if kind == FLAG:
        return isinstance(said, bool)
    return isinstance(said, str) or (kind == TEXTS and isinstance(said, list) and all(isinstance(one, str) for one in said))


def _check_entry(where: str, entry: Any) -> None:
    if not isinstance(entry, dict):
        if not isinstance(entry, str):
            raise Misread(f"{where} has {_told(entry)}; it must be {RECIPE}{_in_quotes(entry)}, and a fixed value {{ default = ... }}.")
        return
    hows = [key for key in entry if key not in {"while", "times"}]
    if unknown := [key for key in hows if key not in ENTRY_KEYS]:
        raise Misread(f'{where} has {unknown[0]!r}; known: a field, "@column", or a table with one of {", ".join(ENTRY_KEYS)}.')
    if len(hows) != 1:
        raise Misread(f"{where} has a table with {' and '.join(hows) or 'nothing'} in it; beside `while` it must have one key.")
    if "times" in entry and ("from" not in entry or isinstance(entry["times"], bool) or not _is_positive(entry["times"])):
        raise Misread(f"{where}.times stands beside `from`, and is a number above 0, such as {{ from = ..., times = 1000 }}.")
    for key, value in entry.items():
        if key == "from":
            _check(f"{where}.from", value, RECIPE)
        elif key not in {"default", "times"}:
            _check(f"{where}.{key}", value, TEXTS)
        elif key == "default" and isinstance(value, list | dict):
            raise Misread(f"{where}.default is {_told(value)}; it must be one value, such as {{ default = 0 }}.")


def _is_positive(said: Any) -> bool:
    return isinstance(said, int | float) and 0 < said < math.inf


def one_of(value: Any, allowed: tuple[Any, ...], where: str) -> Any:
    """The value, which is one of those ``allowed``. Raises Misread."""
    if value not in allowed:
        raise Misread(f"{where} is {value!r}; it may be {', '.join(str(one) for one in allowed if one is not None)}.")
    return value


def check_references(columns: Mapping[str, Iterable[str]]) -> None:
    """Check that no column is made of itself by way of others; ``columns`` gives the ``@column``s of each. Raises Misread."""

    def follow(path: tuple[str, ...]) -> None:
        for name in columns.get(path[-1], ()):
            if name in path:
                raise Misread(f"[columns] {' -> '.join((*path[path.index(name) :], name))}: a column is made of itself. Remove one @.")
            follow((*path, name))

    for column in columns:
        follow((column,))


def _told(said: Any) -> str:
    words = {bool: "true or false", dict: "a table", list: "a list"}
    return next((word for kind, word in words.items() if isinstance(said, kind)), f"{said!r} without quotes")


def _in_quotes(said: Any) -> str:
    return "" if isinstance(said, str | list | dict | bool) else f", in quotes: '{said}'"


def _close(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(sorted(known))}."


def zone_or_offset(letters: str, said: str) -> str:
    """The zone or offset that ``letters`` stand for. Raises Misread for what is neither."""
    if not OFFSET.fullmatch(said):
        try:
            checked_zone(said)
        except UsageError as error:
            raise Misread(f"dates.letters.{letters} is {said!r}, which is neither an offset such as -06:00 nor a zone. {error}") from error
    return said


def assumed_rules(rules: tuple[str, ...]) -> tuple[str, ...]:
    """The rules that may be broken. Raises Misread for one that is not assumed."""
    try:
        accepting(rules)
    except ValueError as error:
        raise Misread(f"assume_accepted: {error}.") from error
    return rules


def known_encoding(name: str | None) -> str | None:
    """The encoding by the name that Python has for it. Raises Misread."""
    try:
        return codecs.lookup(name).name if name else None
    except LookupError as error:
        raise Misread(f"file.encoding is {name!r}, which is no encoding that Python knows.") from error


def list_separator(said: str) -> str:
    """The text between the entries of a list. Raises Misread for an empty one."""
    if not said:
        raise Misread("cells.list_separator is empty; it must be what parts the entries of a list.")
    return said


def pattern_of(pattern: str) -> str:
    """The regular expression, which both Python and RE2 know. Raises Misread."""
    try:
        re.compile(pattern)
        pc.match_substring_regex(pa.nulls(1, pa.string()), pattern)  # an array made of a list would import pandas
    except (re.error, pa.ArrowInvalid) as error:
        raise Misread(f"the pattern {pattern!r} is no regular expression that both Python and RE2 know: {error}.") from error
    return pattern

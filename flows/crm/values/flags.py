"""Cells that say yes or no, in the words of many languages."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from flows.crm.values.cells import by_value
from flows.errors import ExportUnmappable, quoted

_LONGEST = 12
"""Characters of a word that a message may show: a flag's is not longer, and a deal's own text mostly is."""
_NO_WORD = '@"\\\n'

DELETED = "deleted in the CRM"
"""The reason for leaving out a row that its CRM or its warehouse has marked as deleted."""

OLDER = "an older version of a deal"
"""The reason for leaving out a row that its warehouse has marked as history."""

_OWNER = "fivetran|airbyte|ab_cdc|sdc|dlt|dbt|hevo|hs|property|meta|soft|source|etl"
_WHAT = "deal|opportunity|record|row"
_IN_OTHER_WORDS = (
    r"gel\u00f6scht|supprim\u00e9e?|eliminad[oa]|eliminat[oa]|exclu\u00edd[oa]|apagad[oa]|verwijderd|usuni\u0119t[yae]|borttagen|slettet"
    r"|poistettu|smaz\u00e1n[oa]?|silindi|\u0443\u0434\u0430\u043b[\u0435\u0451]\u043d[\u043e\u0430]?|\u524a\u9664\u6e08\u307f|\u5df2\u5220\u9664"
)
_DELETED_FLAG = re.compile(
    rf"_*(?:(?:{_OWNER})_)*(?:is[ _]?)?(?:(?:{_WHAT})[ _]?)?deleted(?:[ _]?flag)?\??|delete[ _]?flag"
    rf"|(?:(?:ist|est|est\u00e1|\u00e8|is|\u00e9) )?(?:{_IN_OTHER_WORDS})\??"
    r"|(?:is[ _]?)?trashed|(?:is[ _]?)?in[ _]?(?:trash|recycle[ _]?bin)|is[ _]?(?:removed|merged|del)|d(?:el)?[ _]?flag"
    rf"|(?:{_WHAT})[ _]is[ _]deleted|deleted \((?:y/n|yes/no|true/false|0/1|1/0)\)|is_?deleted__c"
)
_DELETED_AT = re.compile(
    rf"_*(?:[a-z]+_)*(?:(?:{_WHAT}) )?(?:deleted|removed|trashed|purged)[ _]?(?:at|on|time|date)"
    rf"|delete[ _]?(?:time|date)|(?:date|time)[ _]?deleted|deletion[ _]?(?:date|time)"
    rf"|(?:{_IN_OTHER_WORDS}) (?:am|le|el|il|em|op|den)|merged[ _]?into(?:[ _](?:{_WHAT}))?(?:[ _]?id)?"
)
_CURRENT = re.compile(r"_fivetran_active|_*is_(?:current|latest)(?:_(?:version|record|row))?|_*curr(?:ent)?_fl(?:ag|g)")
_REPLACED_AT = re.compile(r"dbt_valid_to|__end_at|_valid_to")
_CHANGE = re.compile(
    r"_*(?:cdc[_ ]?)?(?:op|operation|dml)(?:[_ ]?type)?|_*(?:cdc_)?change_type|_*row_?kind|metadata\$action"
    r"|sys_change_operation|event(?:_?type)?|action"
)
_CODED_CHANGE = re.compile(r"__\$operation")
_NEVER = r"^(?:[0:./ TZ+-]*|(?:0001-01-01|1899-12-3[01]|1900-01-0[01]|1970-01-01|9999-12-31)[0-9:. TZ+-]*|-?infinity|f|false|no|n)$"

_DELETES = frozenset({"d", "-d", "delete", "deleted"})
_BEFORE = frozenset({"-u", "update_preimage", "update_before", "before"})
_AFTER = frozenset(
    {
        "c",
        "i",
        "u",
        "r",
        "+i",
        "+u",
        "insert",
        "update",
        "upsert",
        "create",
        "read",
        "inserted",
        "updated",
        "created",
        "update_postimage",
        "update_after",
        "snapshot",
    }
)
_CODES = frozenset("12345")
"""Of SQL Server: 1 deletes, 3 is a row before its change."""

Words = Mapping[str, str]
"""From a word, as :func:`word_of` writes it, to `true` or `false`."""


def word_of(text: str) -> str:
    """A cell's text as words are compared: without surrounding blanks, case, and ways to write one letter."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


@cache
def known_words() -> Words:
    """The words for true and false that any dialect has."""
    said = tomllib.loads((resources.files("flows.crm.values") / "words" / "yes_no.toml").read_text("utf-8"))
    return words_for(said["true"], said["false"])


def words_for(true: Iterable[str], false: Iterable[str]) -> Words:
    """Words of one's own."""
    return {word_of(word): "true" for word in true} | {word_of(word): "false" for word in false}


def to_booleans(column: pa.Array, *, blank: str | None = None, own: Words | None = None) -> tuple[pa.Array, int]:
    """The column as `true` and `false`, ``blank`` where it is empty, and how many cells could not be read and keep their text."""
    words = {**known_words(), **(own or {})}
    read = by_value(column, lambda text: words.get(word_of(text)))
    unread = read.null_count - column.null_count
    result = pc.coalesce(read, column)
    return (pc.fill_null(result, blank) if blank else result), unread


def first_unread(column: pa.Array) -> int:
    """The first row of what :func:`to_booleans` made that is neither true nor false nor empty; -1 if there is none."""
    read = pc.is_in(column, pa.array(["true", "false"]))
    return int(pc.index(pc.and_(pc.is_valid(column), pc.invert(read)), True).as_py())


class Mark(NamedTuple):
    """A way of saying, in any CRM or warehouse, that a row is no deal: by a yes or a no, a time, or the word of a change.

    A change is told by ``words``, where all of the column are ``among`` those that changes have.
    """

    how: Literal["flag", "unless", "filled", "change"]
    why: str = DELETED
    words: frozenset[str] = frozenset()
    among: frozenset[str] = frozenset()


_WORDS = _DELETES | _BEFORE | _AFTER
_MARKS = (
    (_DELETED_FLAG, [Mark("flag")]),
    (_DELETED_AT, [Mark("filled")]),
    (_CURRENT, [Mark("unless", OLDER)]),
    (_REPLACED_AT, [Mark("filled", OLDER)]),
    (_CODED_CHANGE, [Mark("change", DELETED, frozenset("1"), _CODES), Mark("change", OLDER, frozenset("3"), _CODES)]),
    (_CHANGE, [Mark("change", DELETED, _DELETES, _WORDS), Mark("change", OLDER, _BEFORE, _WORDS)]),
)


def marks_of(header: str) -> list[Mark]:
    """The marks that a column of this header sets; none for most."""
    name = header.strip().casefold()
    return next((marks for pattern, marks in _MARKS if pattern.fullmatch(name)), [])


def is_filled(column: pa.Array) -> pa.Array:
    """True where a column of times has one: neither empty, nor zeros, nor a no."""
    return pc.invert(pc.fill_null(pc.match_substring_regex(pc.utf8_lower(column), _NEVER.lower()), True))


def unread_flag(place: str, text: str, fields: Iterable[str], dialect: str) -> ExportUnmappable:
    """The error for a cell at ``place`` that says neither yes nor no, with the TOML that settles it for the flags ``fields``."""
    shown = text.strip()
    word = shown if len(shown) <= _LONGEST and not any(sign.isdigit() or sign in _NO_WORD for sign in shown) else ""
    said = f"{word!r}" if word else f"a text of {len(text)} characters"
    return ExportUnmappable(
        f"{place}: {said} is neither yes nor no in any language that is known here."
        " Say what it means in a dialect of your own, and pass its path as --crm:\n"
        f'  extends = "{dialect}"\n'
        "  [cells]\n"
        f"  true = [{quoted(word or '...')}] # or false = [...]\n"
        f"  blank_is_false = [{', '.join(map(quoted, fields))}] # where only yes is written, and a blank means no"
    )

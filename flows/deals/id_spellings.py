"""One deal, one id: rows that are equal are one deal, and an id that is written in two ways stops the sync."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations import FileProfile
from expectations.deals_schema import COLUMN_NAMES, SOURCE_LINE
from expectations.disclosure import shape
from expectations.formats import one_chunk
from flows.crm.values.cells import by_value
from flows.crm.values.identifiers import plain_ids
from flows.deals.records import StagedDeals
from flows.deals.staged_file import STAGED_SCHEMA, batches
from flows.errors import ExportUnmappable, StoppedByGuard

EQUAL_ROWS = "equal to another row in every column"
"""The name that such rows are counted under."""

_CONTENT = [name for name in COLUMN_NAMES if name != "lastSyncedAt"]
_NUMBER = r"^[0-9]+(?:\.0+|,0{1,2})?$"
_GROUPED = r"^[1-9][0-9]{0,2}(?:(?:[, '][0-9]{3})+|(?:\.[0-9]{3}){2,})$"
_UUID = r"^\{?([0-9A-Fa-f]{8})-?([0-9A-Fa-f]{4})-?([0-9A-Fa-f]{4})-?([0-9A-Fa-f]{4})-?([0-9A-Fa-f]{12})\}?$"
_SIGNS = str.maketrans("\u2010\u2011\u2212\u2019", "---'")
_SUFFIX = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", np.uint8)


def spelling_keys(ids: pa.Array) -> pa.Array:
    """The key that all spellings of one id have in common.

    That is its text without blanks around it, the digits of `007`, `7.0`, `1,007` and `1'007`, the first 15 characters of Salesforce's 18,
    and a UUID in small letters without braces; and letters and digits beyond ASCII in one form, wide ones narrow and accents composed.
    """
    ids = _composed(plain_ids(ids))
    numbers = pc.fill_null(pc.match_substring_regex(ids, rf"^0[0-9]|^[0-9]+(?:\.0+|,0{{1,2}})$|{_GROUPED}"), False)
    if pc.any(numbers).as_py():
        ids = pc.if_else(pc.match_substring_regex(ids, _GROUPED), pc.replace_substring_regex(ids, "[., ']", ""), ids)
        plain = pc.replace_substring_regex(ids, r"^0*([0-9]+?)(?:\.0+|,0{1,2})?$", r"\1")
        ids = pc.if_else(pc.match_substring_regex(ids, _NUMBER), plain, ids)
    return _short(_small(ids))


def _composed(ids: pa.Array) -> pa.Array:
    beyond = pc.fill_null(pc.invert(pc.string_is_ascii(ids)), False)
    if not pc.any(beyond).as_py():
        return ids
    return pc.replace_with_mask(
        ids, beyond, by_value(ids.filter(beyond), lambda text: unicodedata.normalize("NFKC", text).translate(_SIGNS))
    )


def _small(ids: pa.Array) -> pa.Array:
    """UUIDs in small letters with hyphens and without braces, the others as they are."""
    if not pc.any(pc.is_in(pc.binary_length(ids), pa.array([32, 36, 38], pa.int32()))).as_py():
        return ids
    hyphened = pc.replace_substring_regex(ids, _UUID, r"\1-\2-\3-\4-\5")
    return pc.if_else(pc.match_substring_regex(ids, _UUID), pc.ascii_lower(hyphened), ids)


def _short(ids: pa.Array) -> pa.Array:
    """Salesforce's 18 characters as its 15."""
    places = pc.indices_nonzero(pc.fill_null(pc.equal(pc.binary_length(ids), 18), False))
    places = places.filter(pc.match_substring_regex(ids.take(places), "^[0-9A-Za-z]*$"))
    if len(places):
        long = ids.take(places)
        mask = np.zeros(len(ids), dtype=bool)
        mask[places.to_numpy()[_suffix_fits(long)]] = True
        ids = pc.if_else(pa.array(mask), pc.utf8_slice_codeunits(ids, 0, 15), ids)
    return ids


def _suffix_fits(ids: pa.Array) -> npt.NDArray[np.bool_]:
    """True if the last three of 18 characters are Salesforce's checksum: which of the first 15 are capitals, five bits each."""
    signs = np.frombuffer("".join(ids.to_pylist()).encode("ascii"), np.uint8).reshape(-1, 18)
    capitals = (signs[:, :15] >= ord("A")) & (signs[:, :15] <= ord("Z"))
    number = capitals.reshape(-1, 3, 5) @ (1 << np.arange(5))
    fits: npt.NDArray[np.bool_] = (_SUFFIX[number] == signs[:, 15:]).all(axis=1)
    return fits


class Spellings:
    """The ids of an export that have another spelling, picked up while its batches go by."""

    def __init__(self) -> None:
        self._odd: list[pa.Array] = []
        self._rows = 0

    def watch(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The same tables, whose ids are looked at."""
        for table in tables:
            ids = one_chunk(table["id"])
            keys = spelling_keys(ids)
            odd = pc.fill_null(pc.not_equal(keys, ids), False)
            self._rows += len(ids)
            if pc.any(odd).as_py():
                self._odd.append(ids.filter(odd))
            yield table

    def refuse_several(self, staged: StagedDeals) -> None:
        """Raise ExportUnmappable where two ids differ in their spelling alone, and name the first two by line."""
        if not self._odd:
            return
        odd = pa.concat_arrays(self._odd)
        keys = spelling_keys(odd)
        all_long = len(odd) == self._rows and pc.all(pc.equal(pc.binary_length(odd), 18)).as_py()
        if all_long or (len(odd) == self._rows and pc.count_distinct(keys).as_py() == pc.count_distinct(odd).as_py()):
            return
        found: dict[str, tuple[int, str]] = {}
        for table in batches(staged, ("id", SOURCE_LINE)):
            ids = one_chunk(table["id"])
            near = spelling_keys(ids)
            suspect = pc.is_in(near, value_set=keys)
            for key, text, line in zip(
                near.filter(suspect).to_pylist(),
                ids.filter(suspect).to_pylist(),
                table[SOURCE_LINE].filter(suspect).to_pylist(),
                strict=True,
            ):
                first = found.setdefault(key, (line, text))
                if text != first[1]:
                    raise ExportUnmappable(_two_spellings(staged.export.path, first, (line, text)))


def refuse_held_spellings(to_send: Iterable[pa.Array], gone: Iterable[pa.Array]) -> None:
    """Compare the ids that are about to be sent with held ones that the export no longer has.

    Raises:
        StoppedByGuard: some differ in their spelling alone: sent beside each other, they would be one deal twice.
    """
    ids = pa.concat_arrays([pa.array([], pa.string()), *gone]).drop_null()
    keys = spelling_keys(ids)
    twice, example = 0, None
    for texts in to_send if len(ids) else ():
        place = pc.index_in(spelling_keys(texts), value_set=keys)
        found = pc.is_valid(place)
        twice += pc.sum(found).as_py() or 0
        if twice and example is None:
            first = pc.index(found, pa.scalar(True)).as_py()
            example = shape(ids[place[first].as_py()].as_py()), shape(texts[first].as_py())
    if example is not None:
        raise StoppedByGuard(
            f"The guard stopped the sync, nothing was sent: the ids of {twice:,} of its deals are held as {example[0]}, and the export"
            f" writes them as {example[1]}. Sent beside each other, each would be there twice. Export the ids as they are held,"
            " or replace all that the collection holds with --mode override."
        )


def _two_spellings(where: str, first: tuple[int, str], second: tuple[int, str]) -> str:
    return (
        f"{where} writes one id in two ways: line {first[0]} as {id_shape(first[1])}, line {second[0]} as {id_shape(second[1])}."
        " The platform would hold one deal twice. Give the id column one form in the export (as text, without leading zeros, `.0` or"
        " separators, UUIDs in one case, and Salesforce's ids all with 15 or all with 18 characters)."
    )


def id_shape(text: str) -> str:
    """An id's form without its content: `007.0` is `999.9 (5 characters)`."""
    return f"`{shape(text)}` ({len(text)} characters)"


def merge_equal_rows(staged: StagedDeals, profile: FileProfile) -> StagedDeals:
    """The deals with one of each group of rows that are equal in every column; a report of deal lines has a row for each line."""
    if not profile.repeats:
        return staged
    suspects = [table.take(pa.array(profile.duplicated(table["id"]))) for table in batches(staged)]
    repeated = pa.concat_tables(suspects)
    kept = repeated.group_by(_CONTENT, use_threads=False).aggregate([(SOURCE_LINE, "min")])[f"{SOURCE_LINE}_min"]
    lines = repeated[SOURCE_LINE]
    dropped = one_chunk(lines.filter(pc.invert(pc.is_in(lines, value_set=one_chunk(kept)))))
    if not len(dropped):
        return staged
    path = staged.path.with_name(f"{staged.path.stem}-once.arrow")
    _write_without(staged, dropped, path)
    staged.path.unlink()
    non_rows = {**staged.non_rows, EQUAL_ROWS: len(dropped)}
    return replace(staged, path=path, deals=staged.deals - len(dropped), non_rows=non_rows)


def _write_without(staged: StagedDeals, lines: pa.Array, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, STAGED_SCHEMA) as writer:
        for table in batches(staged):
            writer.write_table(table.filter(pc.invert(pc.is_in(table[SOURCE_LINE], value_set=lines))))

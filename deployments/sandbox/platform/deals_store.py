"""The deals that a collection holds: one Arrow file per collection, replaced whole by write, fsync and rename.

A file of deals is all there or not at all (S), whenever the process dies; who reads meanwhile reads on in the file before.
A known id replaces that deal in its place (A), new ones follow in the order of the upload; an empty cell is null.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from deployments.sandbox.platform.csv_reader import read_batches
from deployments.sandbox.platform.deals_rules import COLUMNS

_SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
_PAGE = 50_000


class Deals:
    """The deals of all collections, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove("*.new")

    def merge(self, collection: str, upload: Path, separator: str, *, replace_all: bool) -> None:
        """Merge a valid file by id; with ``replace_all`` it replaces everything held (D)."""
        path, uploaded, merged = (self._folder / f"{collection}{ending}" for ending in (".arrow", ".upload.new", ".new"))
        with self._writing[collection]:
            _write(uploaded, (table.select(COLUMNS) for table in read_batches(upload, separator)))
            if path.exists() and not replace_all:
                _write(merged, _merge(_read(path), _read(uploaded)))
                uploaded.unlink()
                merged.replace(path)
            else:
                uploaded.replace(path)
            sync(self._folder)

    def delete(self, collection: str, ids: Sequence[str] | None) -> None:
        """Delete the deals of these ids, or without them all of the collection's (D*); an id that is not held is let be (A)."""
        path, left = self._path(collection), self._folder / f"{collection}.new"
        with self._writing[collection]:
            if ids is None:
                path.unlink(missing_ok=True)
            elif path.exists():
                held = _read(path)
                gone = pc.is_in(held["id"], value_set=pa.array(ids, pa.string()))
                _write(left, [held.filter(pc.invert(gone))])
                left.replace(path)
            sync(self._folder)

    def any(self, collection: str) -> bool:
        """True where the collection holds a deal."""
        return next(self.tables(collection, ["id"]), None) is not None

    def tables(self, collection: str, columns: Sequence[str] = COLUMNS) -> Iterator[pa.Table]:
        """Yield columns of the deals held at this moment, in their order; no table is empty."""
        if not self._path(collection).exists():
            return
        deals = _read(self._path(collection)).select(columns)
        for start in range(0, deals.num_rows, _PAGE):
            yield deals.slice(start, _PAGE)

    def dump(self, collection: str) -> Iterator[bytes]:
        """Yield the deals held as CSV: the header, then page by page; quotes only where they are needed."""
        yield ",".join(COLUMNS).encode() + b"\n"
        for page in self.tables(collection):
            rows = pc.binary_join_element_wise(*(_quoted(page[name]) for name in COLUMNS), ",")
            yield "\n".join([*rows.to_pylist(), ""]).encode()

    def clear(self) -> None:
        """Remove the deals of every collection."""
        self._remove("*")

    def _path(self, collection: str) -> Path:
        return self._folder / f"{collection}.arrow"

    def _remove(self, pattern: str) -> None:
        for path in self._folder.glob(pattern):
            path.unlink()


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> pa.Table:
    """Map the file, so that only what is looked at takes memory."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _write(path: Path, tables: Iterable[pa.Table]) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, _SCHEMA) as writer:
        for table in tables:
            writer.write_table(table)
    sync(path)


def _merge(held: pa.Table, new: pa.Table) -> Iterator[pa.Table]:
    """Yield the held deals, each in its newest version, then the new ones."""
    both = pa.concat_tables([held, new])
    newest = pc.add(pc.index_in(held["id"], value_set=new["id"]), held.num_rows)
    own = np.arange(both.num_rows)
    is_new = pc.invert(pc.is_in(new["id"], value_set=held["id"])).to_numpy()
    replaced = pc.is_valid(newest).to_numpy()
    order = np.concatenate([np.where(replaced, pc.fill_null(newest, 0).to_numpy(), own[: held.num_rows]), own[held.num_rows :][is_new]])
    for start in range(0, len(order), _PAGE):
        rows = order[start : start + _PAGE]
        unchanged = np.array_equal(rows, own[start : start + len(rows)])
        yield both.slice(start, len(rows)) if unchanged else both.take(pa.array(rows))


def _quoted(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pc.fill_null(cells, "")
    special = pc.match_substring_regex(text, '[",\r\n]')
    if not pc.any(special).as_py():
        return text
    return pc.if_else(special, pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', ""), text)

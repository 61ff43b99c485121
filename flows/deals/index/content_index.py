"""The content index in memory: what the platform is known to hold, a content hash per id. On disk: ``index_file``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.file_profile import HashPile
from expectations.formats import memory, one_chunk
from flows.deals.index.content_hash import CONTENT_COLUMNS, Hashes, Mask, cells_of

Places = npt.NDArray[np.intp]

IN_DOUBT = 0
"""In place of a content hash: the platform may hold the deal in another content, or not at all."""


@dataclass(frozen=True, slots=True)
class Held:
    """Some of the deals that a collection holds: ``ids`` are hashes, ``table`` has the columns id, content and cells.

    A null id is one that an index of an earlier version knows by its hash alone; a null content is in doubt.
    """

    ids: Hashes
    table: pa.Table

    def only(self, which: Mask) -> Held:
        """The deals that ``which`` chooses."""
        return self if which.all() else Held(self.ids[which], self.table.filter(pa.array(which)))

    def in_doubt(self, which: Mask) -> Held:
        """The same deals, the content of those that ``which`` chooses in doubt."""
        if not which.any():
            return self
        place = self.table.schema.get_field_index("content")
        content = pc.if_else(pa.array(which), pa.scalar(None, pa.uint64()), self.table["content"])
        return Held(self.ids, self.table.set_column(place, self.table.schema.field(place), content))


def among(ids: Hashes, others: Hashes) -> Mask:
    """Those of ``ids`` that are among ``others``, which are in order."""
    if not len(others):
        return np.zeros(len(ids), np.bool_)
    found: Mask = others[np.minimum(np.searchsorted(others, ids), len(others) - 1)] == ids
    return found


class ContentIndex:
    """The deals that a collection holds, or may hold, and what an export makes of them."""

    def __init__(self, held: Iterable[Held] = ()) -> None:
        ids, contents = HashPile(), HashPile()
        cells: list[npt.NDArray[np.uint32]] = [np.empty((0, len(CONTENT_COLUMNS)), "<u4")]
        cell_ids: list[Hashes] = [np.empty(0, np.uint64)]
        unnamed: list[Hashes] = [np.empty(0, np.uint64)]
        for rows in held:
            ids.add(rows.ids)
            contents.add(pc.fill_null(rows.table["content"], IN_DOUBT).to_numpy())
            unnamed.append(rows.ids[rows.table["id"].is_null().to_numpy()])
            known = rows.table["cells"].is_valid().to_numpy()
            if known.any():
                cell_ids.append(rows.ids[known])
                cells.append(_unpacked(one_chunk(rows.table["cells"]).drop_null()))
        self._ids, self._contents = ids.gathered(), contents.gathered()
        order = np.argsort(self._ids)
        for each in (self._ids, self._contents):  # in turn and in place: one copy at a time
            each[:] = each[order]
        self._cell_ids = np.concatenate(cell_ids)
        by_id = np.argsort(self._cell_ids)
        self._cell_ids, self._cells = self._cell_ids[by_id], np.concatenate(cells)[by_id]
        self._unnamed = np.sort(np.concatenate(unnamed))
        self._seen = np.zeros(len(self._ids), dtype=bool)
        self.names: list[pa.Array] = []
        """Ids of the export that an index of an earlier version knows by their hashes alone."""

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, ids: Hashes) -> Places:
        """The place of each id in the index, -1 for those that are not known."""
        order = np.argsort(ids)  # so that a search begins where the one before ended, in the processor's cache
        places = np.full(len(ids), -1, np.intp)
        if len(self):
            near = np.minimum(np.searchsorted(self._ids, ids[order]), len(self) - 1)
            places[order] = np.where(self._ids[near] == ids[order], near, -1)
        return places

    def compare(self, places: Places, contents: Hashes) -> tuple[Mask, Mask]:
        """Two masks over deals at ``places``: the known ones, and those known in another content than in ``contents``, or in doubt."""
        known = places >= 0
        other = known.copy()
        other[known] = self._contents[places[known]] != contents[known]
        return known, other

    def columns_changed(self, ids: Hashes, deals: pa.Table, changed: Mask) -> tuple[int, Counter[str]]:
        """Of those ``deals`` that have ``changed``, how many have cells that are known, and how many of those differ in each column."""
        which = changed & among(ids, self._cell_ids)
        if not which.any():
            return 0, Counter()
        before = self._cells[np.searchsorted(self._cell_ids, ids[which])]
        differing = (before != cells_of(deals.filter(pa.array(which)))).sum(axis=0)
        columns = zip(CONTENT_COLUMNS, differing.tolist(), strict=True)
        return int(which.sum()), Counter({name: count for name, count in columns if count})

    def see(self, places: Places, texts: pa.Array) -> None:
        """Note that the export has deals at these places, whose ids are the ``texts``."""
        known = places >= 0
        self._seen[places[known]] = True
        if len(self._unnamed) and (named := known & among(self._ids[places], self._unnamed)).any():
            self.names.append(texts.filter(pa.array(named)))

    def gone(self) -> int:
        """Number of known deals that were not seen in the export."""
        return len(self) - int(self._seen.sum())

    def unseen(self, ids: Hashes) -> Mask:
        """Those of the known ``ids`` that were not seen in the export."""
        places = self.find(ids)
        unseen: Mask = places >= 0
        unseen[unseen] = ~self._seen[places[unseen]]
        return unseen


def _unpacked(cells: pa.BinaryArray) -> npt.NDArray[np.uint32]:
    return np.frombuffer(memory(cells), "<u4").reshape(-1, len(CONTENT_COLUMNS))

"""Record of what was begun and answered, kept outside Prefect so that a killed sync can go on.

One small JSON per sync under ``<ledger>/<collection>/``, rewritten before and after every step that cannot be taken
back (write to a temporary file, fsync, rename; one put on an object store). Beside it, the Arrow file of the
deals that the sync sends, by id and content. Nothing in either holds a row's content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel, ConfigDict, Field

from flows.errors import FileTrouble, LedgerDamaged, LockLost, UnexpectedAnswer, UsageError
from flows.ledger.checksums import json_of, line_of, sealed_json, sealed_line, unsealed_json
from flows.nostradamus import RequestMode
from flows.options import shown_url
from flows.runtime.atomic_files import private_folder, write_whole
from flows.runtime.remote import url_to_fs

KEPT = 50
"""Finished syncs that a collection's ledger remembers: history for the guard and for poll delays."""

CONTENT = ".parquet"
"""The ending of files of what syncs send, and of the content index."""

OLD_CONTENT = ".xxh3"
"""The same of earlier versions: sixteen bytes a deal, hashes of its id and of its content."""

PIECE = 16 << 20
"""Bytes of such a file that are held in memory at once."""

TIMEZONE = "_timezone.txt"
"""The file that remembers a collection's timezone, an IANA name."""

HOLDER = "_holder.json"
"""The file that says who holds a collection's lock, while somebody does."""

NAME = "_name.txt"
"""The file that remembers the name by which people know a collection."""

_RESERVE, _RESERVED = "_reserve.bin", 1 << 16
"""The file that takes up bytes for what has to be written once a send is accepted, should the disk be full by then; and its size."""

_HELD: dict[tuple[str, str], bytes] = {}
"""(ledger, collection) -> what :data:`HOLDER` says while this process holds the lock: no two holders ever write the same."""

SendState = Literal["intended", "unsent", "unknown", "accepted", "completed", "refused", "superseded"]
"""``intended``: about to be sent. ``unsent``: surely not accepted, to be tried again.
``unknown``: sent, or perhaps sent, without an answer. The rest is the platform's word,
but ``superseded``: a later sync sent those deals."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Sending(_Record):
    """A POST and what became of it; the id is the request's or the invocation's."""

    state: SendState
    intended_at: datetime
    sends: int = 0
    id: str | None = None
    accepted_at: datetime | None = None
    completed_at: datetime | None = None
    reason: str | None = None
    doubt: bool = Field(False, description="some send had no clear answer: the platform may have done it")
    failed: int = Field(0, description="sends that went out and were not accepted")
    failed_in: str | None = Field(None, description="the Prefect run of the last of these")

    def seconds(self) -> float | None:
        """Seconds the platform took, from accepted to seen completed; None while it is not, or where the clock was set back meanwhile."""
        if self.accepted_at is None or self.completed_at is None:
            return None
        took = (self.completed_at - self.accepted_at).total_seconds()
        return took if took >= 0 else None


class Entry(_Record):
    """One sync of one collection, from the intent to send to the forecast downloaded."""

    version: int = 1
    number: int = Field(0, description="counts the sends of a collection, and alone orders them: clocks differ, and go back; old files: 0")
    fingerprint: str
    collection: str
    mode: RequestMode
    created_at: datetime
    export: dict[str, Any] = Field(description="path, sha256, whether limited, won by month, and the guard's measures of the whole export")
    csv_sha256: str
    rows: int
    quarantined: int
    unchanged: int = 0
    totals: dict[str, str]
    upload: Sending
    indexed: bool = Field(False, description="the rows sent are in the content index; older files do not say it")
    late_since: datetime | None = Field(None, description="since when a send of it without an answer, made good, may yet be taken in")
    held: int | None = Field(None, description="deals in the content index once this sync is in it")
    wanted: dict[str, Any] | None = Field(None, description="arguments of the forecast that this sync is to download; null: none")
    options: dict[str, Any] = Field(default_factory=dict, description="the sync's options, for `dealcast resume`")
    forecast: Sending | None = None
    predicted: list[str] = Field(default_factory=list, description="the forecast's months, YYYY-MM, once downloaded")
    certified: bool = Field(False, description="forecast and certificate are written")

    @property
    def order(self) -> tuple[int, datetime]:
        """Its place among a collection's syncs."""
        return self.number, self.created_at

    @property
    def deletes(self) -> bool:
        """True if it sends ids of deals to be deleted, and no rows."""
        return self.mode == "delete"

    @property
    def awaits_forecast(self) -> bool:
        """True if the upload completed and its forecast is wanted and not downloaded yet."""
        return self.upload.state == "completed" and self.wanted is not None and not self.certified

    @property
    def in_doubt(self) -> bool:
        """True if the platform may hold the rows, or have dropped others by ``override``, without their counting as held."""
        if self.upload.state in ("unsent", "refused"):
            return self.upload.doubt
        return self.upload.state != "superseded" and not self.indexed

    @property
    def finished(self) -> bool:
        """True if nothing of this sync is left to do."""
        return self.upload.state in ("refused", "superseded") or (
            self.upload.state == "completed" and self.indexed and not self.awaits_forecast
        )


class Ledger:
    """The syncs of all collections, at a folder or any fsspec URL (``s3://bucket/dealcast``)."""

    def __init__(self, url: str) -> None:
        """Name the place; nothing is read or made yet.

        Raises:
            UsageError: the URL's protocol is not known, or its package is not installed.
        """
        try:
            self._fs, self._root = url_to_fs(url)
            self._shown = shown_url(url).rstrip("/")
        except (ValueError, ImportError) as error:
            raise UsageError(
                f"The ledger {shown_url(url)!r} cannot be opened ({type(error).__name__}). "
                "Set DEALCAST_LEDGER to a folder or a URL that fsspec knows."
            ) from error

    def hold(self, collection: str, holder: bytes) -> None:
        """Say who holds the lock of ``collection``, this process; from now on it writes no entry once another does.

        Halves of files that a killed holder was writing are removed.
        """
        if isinstance(self._fs, LocalFileSystem):
            for left in Path(self._root, collection).glob("_*.tmp"):
                left.unlink(missing_ok=True)
        self.put(collection, HOLDER, holder)
        _HELD[self._root, collection] = holder

    def let_go(self, collection: str) -> None:
        """End what :meth:`hold` began; what another holder has said since is let be."""
        holder = _HELD.pop((self._root, collection), None)
        with suppress(OSError, FileTrouble):  # what the run came to stands; the next holder writes over it
            if holder is not None and self.get(collection, HOLDER) == holder:
                self.delete(collection, HOLDER)

    def require_lock(self, collection: str) -> None:
        """Go on only where the lock that this process took is still its own: ask immediately before what cannot be taken back.

        Raises:
            LockLost: it is another's, or nobody's. A process that took none may go on.
        """
        holder = _HELD.get((self._root, collection))
        if holder is not None and self.get(collection, HOLDER) != holder:
            raise LockLost.of(collection)

    def _fence(self, collection: str) -> Iterator[bytes]:
        self.require_lock(collection)
        yield b""

    def next_number(self, entry: Entry) -> int:
        """The number of a send about to begin: above those of all others of its collection."""
        return 1 + max((other.number for other in self.entries(entry.collection) if other.fingerprint != entry.fingerprint), default=0)

    def write(self, entry: Entry) -> Entry:
        """Make ``entry`` the durable truth of its fingerprint, whole or not at all. Raises LockLost as :meth:`stream`."""
        return self._write(entry)

    def write_late(self, entry: Entry, content: Iterable[bytes]) -> Entry:
        """Write an entry of its own, without the lock, of a send that went out as the lock was lost: the newest of its collection."""
        self.stream(entry.collection, f"{entry.fingerprint}{CONTENT}", content, fenced=False)
        return self._write(entry.model_copy(update={"number": self.next_number(entry)}), fenced=False)

    def _write(self, entry: Entry, *, fenced: bool = True) -> Entry:
        data = sealed_json(entry.model_dump_json(indent=1).encode())
        if "intended" in (entry.upload.state, entry.forecast and entry.forecast.state):
            self._reserve(entry.collection, 2 * len(data))
        try:
            self.stream(entry.collection, f"{entry.fingerprint}.json", [data], fenced=fenced)
        except OSError:
            if not (isinstance(self._fs, LocalFileSystem) and self.has(entry.collection, _RESERVE)):
                raise
            self.delete(entry.collection, _RESERVE)
            self.stream(entry.collection, f"{entry.fingerprint}.json", [data], fenced=fenced)
        return entry

    def _reserve(self, collection: str, size: int) -> None:
        """Take up the bytes that writing down an acceptance may need, before what is accepted goes out."""
        path = Path(self._root, collection, _RESERVE)
        if isinstance(self._fs, LocalFileSystem) and not (path.exists() and path.stat().st_size >= size):
            self.put(collection, _RESERVE, os.urandom(max(size, _RESERVED)))  # zeros may take up nothing

    def read(self, collection: str, fingerprint: str) -> Entry | None:
        """The entry of ``fingerprint``, or None. Raises LedgerDamaged where its file is."""
        data, where = self.get(collection, f"{fingerprint}.json"), self.where(collection, f"{fingerprint}.json")
        if data is None:
            return None
        try:
            entry = Entry.model_validate_json(unsealed_json(data, where))
        except ValueError as error:
            raise LedgerDamaged(where) from error
        if entry.upload.state == "completed" and "indexed" not in entry.model_fields_set:
            return entry.model_copy(update={"indexed": not self.has_content(entry)})
        return entry

    def has_content(self, entry: Entry) -> bool:
        """True if it still has what a sync sent, which goes once that is in the content index, or later."""
        return any(self.has(entry.collection, f"{entry.fingerprint}{ending}") for ending in (CONTENT, OLD_CONTENT))

    def known(self, collection: str, fingerprint: str) -> Entry:
        """The entry of ``fingerprint``, which a running sync wrote.

        Raises:
            UnexpectedAnswer: it is gone.
        """
        entry = self.read(collection, fingerprint)
        if entry is None:
            raise UnexpectedAnswer(
                f"The ledger lost sync {fingerprint} of {collection} while it ran: was it moved, or does it not keep "
                "what is written? Run the sync again."
            )
        return entry

    def entries(self, collection: str) -> list[Entry]:
        """All remembered syncs of ``collection``, oldest first."""
        self._fs.invalidate_cache()
        names: list[str] = []
        with suppress(FileNotFoundError), self._in_reach():
            names = [Path(path).name for path in self._fs.ls(f"{self._root}/{collection}", detail=False)]
        found = [self.read(collection, name.removesuffix(".json")) for name in names if name.endswith(".json") and not name.startswith("_")]
        return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.order)

    def collections(self) -> list[str]:
        """The ids of all collections that were ever synced, in order."""
        self._fs.invalidate_cache()
        with suppress(FileNotFoundError), self._in_reach():
            return sorted(Path(found["name"]).name for found in self._fs.ls(self._root, detail=True) if found["type"] == "directory")
        return []

    def find(self, named: str) -> str:
        """The id of the collection that was synced, by its id or its name.

        Raises:
            UsageError: none was, or several of that name.
        """
        known = self.collections()
        same = [named] if named in known else [each for each in known if self.name_of(each) == named]
        if len(same) == 1:
            return same[0]
        if same:
            raise UsageError(f"{len(same)} collections are named {named!r}. Give the id of the one that is meant: {', '.join(same[:10])}.")
        raise UsageError(f"The ledger at {shown_url(self._root)} knows no collection {named!r}. It has: {', '.join(known[:10]) or 'none'}.")

    def name_of(self, collection: str) -> str | None:
        """The name by which people know a collection, where a sync was told it."""
        return self.line(collection, NAME)

    def last_completed(self, collection: str) -> Entry | None:
        """The newest sync of ``collection`` whose upload the platform completed."""
        return next((entry for entry in reversed(self.entries(collection)) if entry.upload.state == "completed"), None)

    def prune(self, collection: str) -> None:
        """Forget finished syncs beyond the newest :data:`KEPT`, the last completed one excepted."""
        finished = [entry for entry in self.entries(collection) if entry.finished and not (entry.in_doubt or entry.late_since)]
        completed = [entry.fingerprint for entry in finished if entry.upload.state == "completed"]
        for entry in finished[:-KEPT]:
            if entry.fingerprint not in completed[-1:]:
                for ending in (".json", CONTENT, OLD_CONTENT):
                    self.delete(collection, f"{entry.fingerprint}{ending}")

    def forget(self, collection: str) -> None:
        """Remove all that is remembered of ``collection``."""
        with suppress(FileNotFoundError), self._in_reach():
            self._fs.rm(f"{self._root}/{collection}", recursive=True)

    def where(self, collection: str, name: str) -> str:
        """The location of one file of ``collection``, for people."""
        return f"{self._shown}/{collection}/{name}"

    def put_json(self, collection: str, name: str, data: Any) -> None:
        """Write one file of ``collection``, a JSON object with its checksum."""
        self.put(collection, name, sealed_json(json.dumps(data, default=str).encode()))

    def json(self, collection: str, name: str) -> dict[str, Any] | None:
        """The object that :meth:`put_json` wrote, or None. Raises LedgerDamaged where it is not as it was."""
        data = self.get(collection, name)
        return None if data is None else json_of(data, self.where(collection, name))

    def put_line(self, collection: str, name: str, text: str) -> None:
        """Write one file of ``collection``, a line of text with its checksum."""
        self.put(collection, name, sealed_line(text))

    def line(self, collection: str, name: str) -> str | None:
        """The line that :meth:`put_line` wrote, or None, also where it is not as it was."""
        return line_of(self.get(collection, name))

    def set_aside(self, collection: str, name: str) -> None:
        """Give one file of ``collection`` another name, for people to look at; the ledger goes on without it. Raises LockLost before."""
        self.require_lock(collection)
        with self._in_reach():
            self._fs.mv(f"{self._root}/{collection}/{name}", f"{self._root}/{collection}/_damaged{name}")

    def put(self, collection: str, name: str, data: bytes) -> None:
        """Write one file of ``collection`` so that a reader sees the old or the new one, never a part."""
        self.stream(collection, name, [data])

    def stream(self, collection: str, name: str, pieces: Iterable[bytes], *, fenced: bool = True) -> None:
        """As :meth:`put`, for a file that comes in pieces. They may be made from the old file while the new one is written.

        Raises:
            LockLost: as :meth:`require_lock`, asked when the new file is ready; the old one is left as it was. Never where not ``fenced``.
        """
        path = f"{self._root}/{collection}/{name}"
        pieces = chain(pieces, self._fence(collection) if fenced else ())
        if isinstance(self._fs, LocalFileSystem):
            private_folder(Path(path).parent)
            write_whole(Path(path), pieces)
            return
        data = b"".join(pieces)
        with self._in_reach():
            try:
                self._fs.pipe_file(path, data)
            except FileNotFoundError:  # a store with real folders
                self._fs.makedirs(f"{self._root}/{collection}", exist_ok=True)
                self._fs.pipe_file(path, data)

    def get(self, collection: str, name: str) -> bytes | None:
        """One file of ``collection``, or None where there is none."""
        path = f"{self._root}/{collection}/{name}"
        with suppress(FileNotFoundError), self._in_reach():
            return Path(path).read_bytes() if isinstance(self._fs, LocalFileSystem) else bytes(self._fs.cat_file(path))
        return None

    def open(self, collection: str, name: str) -> IO[bytes]:
        """One file of ``collection``, to be read at any place in it.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._in_reach():
            opened: IO[bytes] = self._fs.open(f"{self._root}/{collection}/{name}", "rb")
            return opened

    def has(self, collection: str, name: str) -> bool:
        """True if there is such a file of ``collection``."""
        with self._in_reach():
            return bool(self._fs.exists(f"{self._root}/{collection}/{name}"))

    def delete(self, collection: str, name: str) -> None:
        """Remove one file of ``collection``; that it is gone already is no error."""
        with suppress(FileNotFoundError), self._in_reach():
            self._fs.rm_file(f"{self._root}/{collection}/{name}")

    @contextmanager
    def _in_reach(self) -> Iterator[None]:
        """Say in one sentence that a store elsewhere is out of reach, whatever its library raises; a disk's errors name their file."""
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            if isinstance(self._fs, LocalFileSystem):
                raise
            raise FileTrouble(
                f"The ledger at {self._shown} cannot be read or written ({type(error).__name__}), and nothing is sent without it. "
                "Check DEALCAST_LEDGER, the network and your credentials, and run the same again."
            ) from error

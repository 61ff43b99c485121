"""A whole sync as a command of its own, beside what people would use instead; every one in turn, there and back, medians of five.

*Client time* is wall time less the time in which the platform holds the request, from its 202 to the moment it is done, as
the sandbox's own list of uploads tells it. The Prefect server and the sandbox run as processes of their own and are not counted.
``python -m tests.benchmarks sync``; ``N=`` deals, 1M by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
import psutil

from flows.deals.deals_csv import write_deals_csv
from flows.nostradamus import Nostradamus
from tests.benchmarks.deals import make_deals
from tests.benchmarks.result import Row, ratio
from tests.benchmarks.servers import TOKEN, servers

ROUNDS = 5
_BATCH = 100_000
_DAY = 86_400
_AT_WORK = ("queued", "in_progress")


@dataclass(frozen=True, slots=True)
class Taken:
    """One command: client seconds, CPU seconds, and the peak of the resident bytes of all its processes."""

    client: float
    cpu: float
    peak: int


def run() -> list[Row]:
    """Medians of client time, and of its ratios round by round."""
    deals = int(os.environ.get("N", "1_000_000"))
    with tempfile.TemporaryDirectory() as place, servers(Path(place)) as url:
        export = make_export(Path(place) / "deals.csv", deals)
        contenders = {
            "dealcast sync": ["-m", "deployments.cli", "sync", str(export), "--crm", "canonical", "--no-forecast", "--collection"],
            "plain script": ["-m", "tests.benchmarks.syncing.plain_script", str(export), url, TOKEN],
            "dlt": ["-m", "tests.benchmarks.syncing.dlt_pipeline", str(export), url, TOKEN],
            "bare": ["-m", "tests.benchmarks.syncing.bare", str(export), url, TOKEN],
        }
        taken: dict[str, list[Taken]] = {name: [] for name in contenders}
        for number in range(ROUNDS):
            turns = list(contenders.items())
            for name, command in turns if number % 2 == 0 else reversed(turns):  # nobody always comes after the same one
                taken[name].append(measure([sys.executable, *command], url))
    return _rows(deals, taken)


def make_export(path: Path, deals: int, *, changed: bool = False) -> Path:
    """A canonical export of ``deals`` good deals, as of today, or with every other hundred thousand of them ``changed``."""
    now = int(time.time()) // _DAY * _DAY
    starts = range(0, deals, _BATCH)
    moments = [now - (_DAY if changed and number % 2 else 0) for number in range(len(starts))]
    batches = (make_deals(start, min(_BATCH, deals - start), now=moment) for start, moment in zip(starts, moments, strict=True))
    write_deals_csv(batches, path)
    return path


def new_collection(url: str) -> str:
    """The id of a new collection at the sandbox."""
    with Nostradamus(url, TOKEN) as platform:
        return platform.create_collection("benchmark", "Europe/Rome").id


def measure(command: list[str], url: str, collection: str | None = None) -> Taken:
    """Run ``command`` with a collection's id behind it, by default a new one's."""
    collection = collection or new_collection(url)
    watch, tree = _Watch(url, collection), _Tree()
    begun = time.monotonic()
    process = subprocess.Popen([*command, collection], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with watch, tree.watched(process.pid):
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{said.decode()[-2000:]}")
    return Taken(wall - watch.held, used.ru_utime + used.ru_stime, max(tree.peak, used.ru_maxrss * 1024))


class _Tree:
    """The memory of a command's processes, asked of the kernel twenty times a second.

    ``peak`` is the most bytes of those alive at once, each counted with the most that it has held so far.
    """

    def __init__(self) -> None:
        self.peak = 0

    @contextmanager
    def watched(self, pid: int) -> Iterator[None]:
        """Watch process ``pid`` and those below it."""
        end = threading.Event()

        def look() -> None:
            command = psutil.Process(pid)
            while not end.wait(0.05):
                with suppress(psutil.NoSuchProcess):  # the command has ended
                    self.peak = max(self.peak, sum(map(_peak_if_alive, (command, *command.children(recursive=True)))))

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


def _peak_if_alive(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
        return peak_of(process)
    return 0


def peak_of(process: psutil.Process) -> int:
    """The most resident bytes that a process has held, as the kernel has it; where it does not tell, what it holds now."""
    status = Path(f"/proc/{process.pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peak = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    return peak[0] if peak else int(process.memory_info().rss)


class _Watch:
    """Sees, from outside and twenty times a second, how long the platform holds a collection's next upload."""

    def __init__(self, url: str, collection: str) -> None:
        self.held = 0.0
        self._http, self._collection = httpx.Client(base_url=url, headers={"Authorization": f"Token {TOKEN}"}, timeout=60), collection
        self._before = len(self._uploads())
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        while any(state in _AT_WORK for state in self._uploads()):  # who did not wait for it leaves the next one a busy machine
            time.sleep(0.1)
        self._http.close()

    def _uploads(self) -> list[str]:
        """The state of each upload of the collection."""
        return [one["status"] for one in self._http.get("/_sandbox/uploads").json() if one["collectionId"] == self._collection]

    def _look(self) -> None:
        accepted: float | None = None
        while not self._end.wait(0.05):
            uploads = self._uploads()[self._before :]
            if uploads and accepted is None:
                accepted = time.monotonic()
            if accepted is not None and uploads[0] not in _AT_WORK:
                self.held = time.monotonic() - accepted
                return


def _rows(deals: int, taken: dict[str, list[Taken]]) -> list[Row]:
    def times_as_long(other: str) -> float:
        return median(ours.client / theirs.client for ours, theirs in zip(taken["dealcast sync"], taken[other], strict=True))

    figures = [
        Row(
            f"{deals:,} deals: {name}",
            f"{median(one.client for one in each):.2f} s client, {median(one.cpu for one in each):.2f} s CPU, "
            f"{median(one.peak for one in each) / 2**20:.0f} MiB peak",
        )
        for name, each in taken.items()
    ]
    return [
        *figures,
        ratio("dealcast / plain script", times_as_long("plain script"), at_most=0.5),
        ratio("dealcast / bare Arrow and polars", times_as_long("bare"), at_most=1.5),
        ratio("dealcast / dlt", times_as_long("dlt")),
    ]

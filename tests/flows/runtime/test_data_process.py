"""The process beside the flow's own: what it does is done there, what goes wrong there is told here, and it never outlives its starter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from flows.errors import DealcastError, ExportUnreadable
from flows.runtime.data_process import DataProcess, beside
from tests.deployments.conftest import wait_for

NOTHING = "builtins:list"
"""What a process does first that is to be there at once."""


class Fussy(Exception):
    """One that cannot be made again from what is pickled of it."""

    def __init__(self, here: str, there: str) -> None:
        super().__init__(f"{here} and {there}")


def fail(error: type[Exception], *words: str) -> NoReturn:
    raise error(*words)


def pid() -> int:
    print("this is no answer")
    return os.getpid()


def leave_behind() -> str:
    """What is fetched or spooled when the process is killed."""
    return tempfile.mkdtemp()


class Hollow:
    """What cannot be made again from what is pickled of it."""

    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        return int, ("x",)


@pytest.fixture(scope="module")
def process() -> Iterator[DataProcess]:
    started = DataProcess(first=NOTHING)
    yield started
    started.stop()


def test_without_one_the_work_is_done_here() -> None:
    assert beside(os.getpid) == os.getpid()


def test_where_one_is_started_the_work_is_done_there(monkeypatch: pytest.MonkeyPatch, process: DataProcess) -> None:
    monkeypatch.setattr("flows.runtime.data_process._STARTED", [process])
    assert beside(os.getpid) == process.run(os.getpid) != os.getpid()


def test_the_work_is_done_there(process: DataProcess) -> None:
    there = process.run(pid)
    assert there != os.getpid()
    assert psutil.Process(there).ppid() == os.getpid()
    assert process.run(int, "ff", base=16) == 255


def test_an_error_there_is_the_same_here(process: DataProcess) -> None:
    with pytest.raises(ExportUnreadable, match=r"^line 7 is torn\n") as raised:
        process.run(fail, ExportUnreadable, "line 7 is torn")
    assert "in fail" in raised.value.__notes__[0]
    assert process.run(len, "abc") == 3


def test_an_error_that_cannot_come_over_is_told(process: DataProcess) -> None:
    with pytest.raises(RuntimeError, match=r"^Fussy: this and that\n") as raised:
        process.run(fail, Fussy, "this", "that")
    assert "in fail" in raised.value.__notes__[0]
    assert process.run(len, "abc") == 3


def test_an_answer_that_cannot_come_over_is_an_error(process: DataProcess) -> None:
    with pytest.raises(TypeError, match="pickle"):
        process.run(threading.Lock)
    with pytest.raises(ValueError, match="invalid literal"):
        process.run(Hollow)
    assert process.run(len, "abc") == 3


def test_its_death_is_told_of_the_work_that_it_was_at() -> None:
    process = DataProcess(first=NOTHING)
    with pytest.raises(DealcastError, match=r"was killed by SIGKILL at work on one, and nothing of it was sent\. .*memory"):
        process.run(signal.raise_signal, signal.SIGKILL)
    assert process.run(len, "abc") == 3, "what comes after has another process"
    process.stop()


def test_it_ends_with_its_last_piece_of_work() -> None:
    """What it held is free while the flow goes on; whatever comes after all has another."""
    process = DataProcess(2, NOTHING)
    there = psutil.Process(process.run(os.getpid))
    assert process.run(os.getpid) == there.pid
    assert not there.is_running()
    assert process.run(os.getpid) != there.pid
    process.stop()


def test_an_interruption_ends_it_at_once() -> None:
    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    process = DataProcess(first=NOTHING)
    there, left = psutil.Process(process.run(os.getpid)), Path(process.run(leave_behind))
    assert left.is_dir()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            process.run(time.sleep, 60)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not there.is_running()
    assert not left.exists()
    assert process.run(len, "abc") == 3
    process.stop()


_STARTER = """
import os, threading, time
from pathlib import Path
from flows.runtime.data_process import DataProcess
process = DataProcess(first="builtins:list")
there = process.run(os.getpid)
threading.Thread(target=process.run, args=(time.sleep, 60), daemon=True).start()
time.sleep(0.5)
Path("there").write_text(str(there))
time.sleep(60)
"""


def test_killed_its_starter_takes_it_along_from_the_middle_of_its_work(tmp_path: Path) -> None:
    """And it imports nothing from the folder where that was started."""
    (tmp_path / "pandas.py").write_text("raise SystemExit('this is not pandas')")
    with subprocess.Popen([sys.executable, "-P", "-c", _STARTER], cwd=tmp_path) as starter:
        told = tmp_path / "there"
        there = psutil.Process(int(wait_for(lambda: told.read_text() if told.exists() else None, 30, "a data process at work")))
        starter.kill()
    there.wait(30)

"""The process beside the flow's own: what it does is done there, what goes wrong there is told here, and it never outlives its starter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

from flows.errors import DealcastError, Defect, ExportUnreadable
from flows.runtime.data_process import end_data_process, in_data_process, start_data_process
from tests.conftest import HANG, wait_for


def fail(error: type[Exception], *words: str) -> NoReturn:
    raise error(*words)


def pid() -> int:
    print("this is no answer")
    return os.getpid()


@pytest.fixture
def _started() -> None:
    start_data_process("builtins:list")


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    end_data_process()


def test_where_none_is_started_the_work_is_done_here() -> None:
    end_data_process()
    assert in_data_process(os.getpid) == os.getpid()


@pytest.mark.usefixtures("_started")
def test_the_work_is_done_there() -> None:
    there = in_data_process(pid)
    assert there != os.getpid()
    assert psutil.Process(there).ppid() == os.getpid()
    assert in_data_process(int, "ff", base=16) == 255
    start_data_process("builtins:list")
    assert in_data_process(pid) == there, "one is enough"


def test_it_has_great_expectations_without_prefect_and_is_gone_once_ended() -> None:
    end_data_process()
    start_data_process()
    try:
        there = psutil.Process(in_data_process(os.getpid))
        imported = in_data_process(
            eval, "[name for name in ('great_expectations', 'pandas', 'prefect') if name in __import__('sys').modules]"
        )
        assert imported == ["great_expectations", "pandas"]
    finally:
        end_data_process()
    assert not there.is_running()
    assert in_data_process(os.getpid) == os.getpid()


def test_the_flow_s_process_begins_without_pandas() -> None:
    """It takes 30 MB beside an export that is being read; the first Arrow array that is made of Python's values imports it."""
    asked = "import sys, flows.sync_deals; print('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.usefixtures("_started")
def test_an_error_there_is_the_same_here() -> None:
    with pytest.raises(ExportUnreadable, match=r"^line 7 is torn$") as raised:
        in_data_process(fail, ExportUnreadable, "line 7 is torn")
    assert "in fail" in str(raised.value.__cause__)
    assert in_data_process(len, "abc") == 3


@pytest.mark.usefixtures("_started")
def test_an_answer_that_cannot_come_over_is_an_error() -> None:
    with pytest.raises(Defect, match="TypeError"):
        in_data_process(threading.Lock)
    assert in_data_process(len, "abc") == 3


READS_A_CELL = "exec(compile('def read(): return float(\"Giovanna Kanari\")', '/x/flows/crm/cells.py', 'exec')); read()"


def test_an_error_that_nothing_foresaw_is_told_without_its_words_here_and_there() -> None:
    for start in (end_data_process, partial(start_data_process, "builtins:list")):
        start()
        with pytest.raises(Defect, match=r"^ValueError at flows/crm/cells.py, line 1: .*defect") as raised:
            in_data_process(exec, READS_A_CELL)
        assert "Kanari" not in "".join(traceback.format_exception(raised.value))
    end_data_process()


@pytest.mark.usefixtures("_started")
def test_its_death_is_told_of_the_work_that_it_was_at() -> None:
    with pytest.raises(DealcastError, match=r"was killed by SIGKILL at work on one, and nothing of it was sent\. .*memory"):
        in_data_process(signal.raise_signal, signal.SIGKILL)
    assert in_data_process(len, "abc") == 3, "what comes after has another process"


@pytest.mark.usefixtures("_started")
def test_an_interruption_ends_it_at_once() -> None:
    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    there = psutil.Process(in_data_process(os.getpid))
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            in_data_process(exec, f"import os, time; os.kill({os.getpid()}, {int(signal.SIGALRM)}); time.sleep(600)")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not there.is_running()
    assert in_data_process(len, "abc") == 3


@pytest.mark.slow
@pytest.mark.usefixtures("_started")
def test_an_interruption_before_the_answer_is_waited_for_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    submit = ProcessPoolExecutor.submit

    def interrupted(*arguments: Any, **named: Any) -> NoReturn:
        submit(*arguments, **named)
        raise KeyboardInterrupt

    there = psutil.Process(in_data_process(os.getpid))
    with monkeypatch.context() as patched:
        patched.setattr(ProcessPoolExecutor, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            in_data_process(exec, "import time; time.sleep(600)")
    assert not there.is_running()
    assert in_data_process(len, "abc") == 3


_STARTER = """
from flows.runtime.data_process import in_data_process, start_data_process
if __name__ == "__main__":
    start_data_process("builtins:list")
    in_data_process(exec, "import os, time; print(os.getpid(), file=open('there', 'w'), flush=True); time.sleep(600)")
"""


def test_killed_its_starter_takes_it_along_from_the_middle_of_its_work(tmp_path: Path) -> None:
    """And it imports nothing from the folder where that was started."""
    (tmp_path / "pandas.py").write_text("raise SystemExit('this is not pandas')")
    (tmp_path / "multiprocessing.py").write_text("raise SystemExit('this is not multiprocessing')")
    with subprocess.Popen([sys.executable, "-P", "-c", _STARTER], cwd=tmp_path) as starter:
        told = tmp_path / "there"
        there = psutil.Process(int(wait_for(lambda: told.read_text() if told.exists() else None, "a data process at work")))
        starter.kill()
    there.wait(HANG)

"""Least privilege: what is written is its owner's alone, whatever the umask, and goes through no symbolic link."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from click.testing import CliRunner

from deployments.cli import main
from deployments.command_line.temporary_server import without_tokens
from flows.errors import UsageError
from flows.ledger.store import Ledger
from flows.runtime import data_process
from flows.runtime.atomic_files import private_descriptor, private_folder, remove_halves, require_own, write_whole
from flows.runtime.staging_area import staging_folder, sweep


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_a_killed_process_was_writing_is_removed_by_the_next(tmp_path: Path) -> None:
    """It may be a quarantine, which has rows; what a living process is writing, and what is another's, stays."""
    killed = multiprocessing.get_context("fork").Process(target=_killed_as_it_writes, args=(tmp_path,))
    killed.start()
    killed.join()
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "_mine.4711.tmp").write_text("mine")
    seen: list[int] = []

    def pieces() -> Iterator[bytes]:
        yield b"row"
        remove_halves(tmp_path)
        seen.append(len(list(tmp_path.iterdir())))

    write_whole(tmp_path / "quarantine.csv", pieces())
    assert seen == [2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_mine.4711.tmp", "quarantine.csv"]


def _killed_as_it_writes(folder: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"row"
        os.kill(os.getpid(), signal.SIGKILL)

    write_whole(folder / "gone.csv", pieces())


def test_files_are_0600_in_folders_of_0700(tmp_path: Path) -> None:
    home = tmp_path / "a/home"
    with staging_folder(home) as folder:
        assert mode(folder) == 0o700
    Ledger(str(home / "ledger")).put("acme", "0.json", b"{}")
    write_whole(private_folder(home / "forecasts/acme") / "forecast.json", [b"[]"])
    with open(private_folder(home / "locks") / "acme.lock", "a+", opener=private_descriptor):
        pass
    found = {path.relative_to(tmp_path): mode(path) for path in tmp_path.rglob("*")}
    assert {str(path): oct(bits) for path, bits in found.items() if bits != (0o600 if path.suffix else 0o700)} == {}
    assert sum(bool(path.suffix) for path in found) == 3


def test_a_file_of_others_is_written_through_no_link(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs", encoding="ascii")
    for name in ("report.md", f"_report.md.{os.getpid()}.dealcast.tmp"):
        (tmp_path / name).symlink_to(theirs)
    write_whole(tmp_path / "report.md", [b"ours"])
    assert (theirs.read_text("ascii"), (tmp_path / "report.md").read_text("ascii")) == ("theirs", "ours")
    assert not (tmp_path / "report.md").is_symlink()
    (tmp_path / "lock").symlink_to(theirs)
    with pytest.raises(OSError, match="symbolic links"):
        open(tmp_path / "lock", "a+", opener=private_descriptor)  # noqa: SIM115 - it is not opened


@pytest.mark.parametrize("bits", [0o777, 0o703, 0o1777])
def test_a_home_that_everybody_can_write_to_is_refused(bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(bits)
    monkeypatch.setenv("DEALCAST_HOME", str(home))
    (tmp_path / "deals.csv").write_text("id,stage\n1,2\n", encoding="ascii")
    done = CliRunner().invoke(main, ["check", str(tmp_path / "deals.csv"), "--crm", "canonical"])
    assert (done.exit_code, f"Everybody can write to {home}" in done.output) == (2, True)
    assert [*home.iterdir()] == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a folder to another")
def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(UsageError, match="belongs to another user"):
        require_own(tmp_path)
    os.chown(tmp_path, 0, 0)
    require_own(tmp_path)
    require_own(tmp_path / "to be made")


@pytest.mark.parametrize(
    ("members", "said"), [(["ann", "bob", "cy"], "ann and bob and others can write"), (["ann"], "ann can write"), ([], "")]
)
def test_a_home_that_others_of_its_group_can_write_to_is_refused(
    members: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's own group has nobody else, and some systems let it write to all that the user makes."""
    tmp_path.chmod(0o770)
    monkeypatch.setattr("grp.getgrgid", lambda _: SimpleNamespace(gr_mem=members))
    monkeypatch.setattr("pwd.getpwall", lambda: [SimpleNamespace(pw_name="me", pw_uid=os.getuid(), pw_gid=tmp_path.stat().st_gid)])
    with pytest.raises(UsageError, match=said) if said else nullcontext():
        require_own(tmp_path)
    tmp_path.chmod(0o750)
    require_own(tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a link to another")
def test_a_home_behind_the_link_of_another_user_is_refused(tmp_path: Path) -> None:
    """It could lead to any folder of this user's."""
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "home").symlink_to(tmp_path / "folder")
    require_own(tmp_path / "home")
    os.chown(tmp_path / "home", 65534, 65534, follow_symlinks=False)
    with pytest.raises(UsageError, match="belongs to another user"):
        require_own(tmp_path / "home")


def test_the_sweep_removes_nothing_behind_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor anything of a home that others can write to, whichever command comes next."""
    theirs, home = tmp_path / "theirs", private_folder(tmp_path / "home")
    (theirs / "letters").mkdir(parents=True)
    monkeypatch.setenv("DEALCAST_HOME", str(home))
    (home / "staging").symlink_to(theirs)
    sweep(home)
    assert (theirs / "letters").is_dir()
    (home / "staging").unlink()
    (private_folder(home / "staging") / "link").symlink_to(theirs)
    (home / "staging" / "dead").mkdir()
    sweep(home)
    assert ([*(home / "staging").iterdir()], (theirs / "letters").is_dir()) == ([], True)
    (home / "staging" / "dead").mkdir()
    home.chmod(0o777)
    done = CliRunner().invoke(main, ["crms"])
    assert (done.exit_code, f"Everybody can write to {home}" in done.output) == (2, True)
    assert (home / "staging" / "dead").is_dir()


_DATA_PROCESS = """
from flows.runtime.data_process import start_data_process
start_data_process("os:getpid")
print("started", flush=True)
input()
"""


def test_no_process_that_reads_exports_has_a_token_in_its_environment() -> None:
    """Nor has the one in which multiprocessing tracks what they share, which is started on the way."""
    environment = {**os.environ, "DEALCAST_TOKEN": "secret-token-4711", "DEALCAST_SANDBOX_TOKEN": "secret-token-4711"}
    with subprocess.Popen(
        [sys.executable, "-c", _DATA_PROCESS], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        family = psutil.Process(child.pid).children(recursive=True)
        given = [process.environ() for process in family]
        child.communicate("\n")
    assert len(given) == 2
    assert [name for each in given for name, value in each.items() if value == "secret-token-4711"] == []


def test_the_environment_made_for_a_child_has_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the temporary server nor the process that reads; the name of a Prefect block is no secret."""
    monkeypatch.setenv("DEALCAST_TOKEN", "secret-token-4711")
    monkeypatch.setenv("DEALCAST_TOKEN_BLOCK", "name")
    given = without_tokens(os.environ)
    assert (given["DEALCAST_TOKEN_BLOCK"], "secret-token-4711" in given.values()) == ("name", False)
    with data_process._environment_of_a_child():  # noqa: SLF001 - what a process is started in
        assert "secret-token-4711" not in os.environ.values()
    assert os.environ["DEALCAST_TOKEN"] == "secret-token-4711"
    assert "PYTHONSAFEPATH" not in os.environ

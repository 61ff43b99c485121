"""What is installed: the locks, the wheel, and the systems it runs on."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deployments.cli import main
from tests.make_docs import ROOT

RUNTIME, DEVELOPMENT = ((ROOT / name).read_text(encoding="utf-8") for name in ("requirements.lock", "requirements-dev.lock"))


def pins(lock: str) -> set[str]:
    return set(re.findall(r"^[\w.-]+==[^ ]+", lock, re.MULTILINE))


def test_what_runs_it_is_a_part_of_what_develops_it() -> None:
    assert pins(RUNTIME) < pins(DEVELOPMENT)
    tools = {"pytest", "mypy", "ruff", "polars", "dlt", "playwright", "hypothesis", "schemathesis"}
    assert tools.isdisjoint(pin.partition("==")[0] for pin in pins(RUNTIME))


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT], ids=["runtime", "development"])
def test_a_lock_has_hashes_and_names_no_registry(lock: str) -> None:
    hashed = re.findall(r"^([\w.-]+==[^ ]+)(?: ; .+)? \\\n +--hash=sha256:", lock, re.MULTILINE)
    assert len(hashed) == len(re.findall(r"^[\w.-]+==", lock, re.MULTILINE))
    assert "://" not in lock
    assert "--index-url" not in lock


def test_the_wheel_has_all_that_is_read_at_run_time(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("expectations", "flows", "deployments"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("dealcast-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    read = {".py", ".toml", ".csv", ".css", ".yaml"}
    files = [path for top in ("expectations", "flows", "deployments") for path in (ROOT / top).rglob("*")]
    wanted = {str(path.relative_to(ROOT)).removeprefix("deployments/entrypoints/") for path in files if path.suffix in read}
    assert packed == wanted


def test_a_plain_installation_without_bytecode_takes_less_than_800_mb() -> None:
    """Without bytecode, which is made of what is imported: as `uv tool install .` and `pip install --no-compile .` leave it."""
    needed, wanted = {"dealcast"}, ["dealcast"]
    while wanted:
        for text in distribution(wanted.pop()).requires or []:
            found = Requirement(text)
            if found.marker is None or found.marker.evaluate({"extra": ""}):
                new = {canonicalize_name(found.name)} - needed
                needed |= new
                wanted += new
    files = [path for name in needed for path in distribution(name).files or [] if path.suffix != ".pyc"]
    weight = sum(Path(str(path.locate())).stat().st_size for path in files if Path(str(path.locate())).is_file())
    assert 300e6 < weight < 800e6, f"{weight / 1e6:.0f} MB in {len(needed)} packages"


def test_a_system_without_file_locks_is_told_so_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.command_line.base_command.find_spec", lambda _: None)
    result = CliRunner().invoke(main, ["crms"])
    assert result.exit_code == 2
    assert result.stderr == "dealcast: dealcast runs on Linux and macOS; on Windows, run it in WSL or in a container.\n"

"""What Prefect imports of dealcast, beside a project that has packages of the same names."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from deployments.project.prefect_yaml import shipped

DEALCAST_FLOWS = import_module("dealcast_flows")  # no type checker knows where it is installed
FLOWS = sorted({each["entrypoint"] for each in shipped().values()})


def in_folder(folder: Path, code: str) -> list[str]:
    """The lines that a process with Prefect prints, whose imports Prefect makes from ``folder``, as its commands do."""
    begin = "from prefect.utilities.importtools import import_object, load_module; from prefect.plugins import load_prefect_collections; "
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-P", "-c", f"import os; {begin} os.chdir({str(folder)!r}); {code}"]
    return subprocess.run(command, cwd="/", env=own, capture_output=True, text=True, check=True).stdout.splitlines()


def test_they_are_dealcasts_whatever_the_working_directory_has(hostile: Path, tmp_path: Path) -> None:
    assert len(FLOWS) == 5
    said = in_folder(hostile, f"[print(import_object(each).fn.__name__, import_object(each).fn.__module__) for each in {FLOWS}]")
    assert [f"dealcast_flows.{line.split()[0]}" for line in said] == FLOWS
    assert {line.split()[1].split(".")[0] for line in said} == {"flows"}
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()


def test_dealcast_beside_it_takes_no_name_from_a_project(tmp_path: Path) -> None:
    """Its worker has dealcast installed, whose entry point Prefect imports, and runs flows of its own."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/__init__.py").touch()
    (tmp_path / "flows/mine.py").write_text("def run(): return 'theirs'")
    (said,) = in_folder(tmp_path, "load_prefect_collections(); print(import_object('flows.mine.run')())")
    assert said == "theirs"


def test_a_project_whose_package_is_loaded_already_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both in one `prefect.yaml`: a process has one package of a name."""
    theirs = ModuleType("flows")
    theirs.__path__ = ["/srv/project/flows"]
    monkeypatch.setitem(sys.modules, "flows", theirs)
    with pytest.raises(ImportError, match=r"\(/srv/project/flows\).*`dealcast deploy`"):
        DEALCAST_FLOWS.__getattr__("sync_deals")


def test_a_flow_that_is_not_there_is_no_flow() -> None:
    with pytest.raises(AttributeError, match="hourly"):
        DEALCAST_FLOWS.__getattr__("hourly")

"""The flows as Prefect imports them, by a name that no project of a user's has: ``dealcast_flows.sync_deals``.

Prefect puts the working directory before the installed packages, and a project of a user's may have a ``flows/`` there. The wheel has
this module beside the packages, so that it knows by its own place which ``flows`` is dealcast's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

FLOWS = {
    "sync_deals": "flows.sync_deals",
    "sync_on_demand": "flows.sync_deals",
    "resume_sync": "flows.sync_deals",
    "sync_pipelines": "flows.sync_pipelines",
    "sync_collections": "flows.sync_collections",
}
"""Flow -> the module that has it."""

_PACKAGES = ("flows", "expectations", "deployments")
_ROOT = next(parent for parent in Path(__file__).resolve().parents if (parent / "flows/sync_deals.py").is_file())


class _OwnPackages(MetaPathFinder):
    """Finds the three packages where this module comes from, whatever lies in the working directory."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The place of one of them; None for any other module."""
        del path, target
        if name not in _PACKAGES:
            return None
        return spec_from_file_location(name, _ROOT / name / "__init__.py", submodule_search_locations=[str(_ROOT / name)])


def __getattr__(name: str) -> Any:
    """A flow, or the module that a Prefect server is to import, once somebody asks for it.

    Raises:
        AttributeError: there is no such flow.
        ImportError: a package of another project is loaded under the name of one of dealcast's.
    """
    if name in FLOWS:
        _claim()
        return getattr(import_module(FLOWS[name]), name)
    if name == "server_plugin":
        if "prefect.server.api.server" not in sys.modules:  # a worker, which may run flows of other projects
            return None
        _claim()
        return import_module("flows.runtime.server_plugin")
    raise AttributeError(name)


def _claim() -> None:
    """Let the three names mean dealcast's packages from here on. Raises ImportError as :func:`__getattr__`."""
    for name in _PACKAGES:
        loaded = getattr(sys.modules.get(name), "__path__", None)
        if loaded is not None and str(_ROOT / name) not in map(str, loaded):
            raise ImportError(
                f"A package {name} of another project ({next(iter(loaded), '')}) is loaded already, and dealcast has one of that name. "
                "Run `dealcast deploy`, or the same command from the root folder: (cd / && prefect ...)."
            )
    if not any(isinstance(finder, _OwnPackages) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OwnPackages())

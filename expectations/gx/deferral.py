"""Packages that another one imports and rarely uses, kept from loading: until it does, or at all where it can do without."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """Give whoever imports the modules ``names`` within the block a stand-in, which becomes the module when it is first used.

    Outside of the block, imports find the modules themselves; those that are loaded already are left alone.
    """
    absent = [name for name in names if name not in sys.modules and find_spec(name) is not None]
    sys.modules.update({name: _Deferred(name) for name in absent})
    try:
        yield
    finally:
        for name in absent:
            if isinstance(sys.modules.get(name), _Deferred):
                del sys.modules[name]


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Let imports of this thread, within the block, find none of the packages ``names`` installed, but for what is loaded already.

    For packages that are optional to whoever imports them. Other threads find them all the while.
    """
    hidden = _Absent(names)
    sys.meta_path.insert(0, hidden)
    try:
        yield
    finally:
        sys.meta_path.remove(hidden)


class _Absent(MetaPathFinder):
    def __init__(self, names: tuple[str, ...]) -> None:
        self._names, self._thread = names, threading.get_ident()

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:  # noqa: ARG002 - the import system's own names
        if threading.get_ident() == self._thread and fullname.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r} here, on purpose", name=fullname)


class _Deferred(ModuleType):
    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # the import system looks at these
            raise AttributeError(attribute)
        if isinstance(sys.modules.get(self.__name__), _Deferred):
            del sys.modules[self.__name__]
        module = importlib.import_module(self.__name__)
        self.__dict__.update(module.__dict__)
        return getattr(module, attribute)

"""The house plan, held by every import: arrows run one way, modules are short, and a name names one thing."""

from __future__ import annotations

import ast
import subprocess
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS: list[set[str]] = [
    {"expectations"},
    {"flows.errors", "flows.options"},
    {"flows.nostradamus", "flows.runtime"},
    {"flows.settings"},
    {"flows.crm", "flows.ledger"},
    {"flows.deals", "flows.delivery"},
    {"flows.ui"},
    {"flows.tasks"},
    {"flows.sync_deals", "flows.sync_pipelines", "flows.sync_collections", "flows.table_of_syncs", "flows.many_collections"},
    {"deployments"},
]
"""From the ground up: a room imports those below its own layer, and nothing else; the stories alone import one another."""

STORIES, MOST_LINES, LONGEST_FUNCTION, MOST_FILES = LAYERS[-2], 400, 40, 10


def _modules() -> dict[str, Path]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    found = listed or [
        str(path.relative_to(ROOT)) for top in ("flows", "expectations", "deployments") for path in (ROOT / top).rglob("*.py")
    ]
    product = [path for path in found if path.split("/")[0] in ("flows", "expectations", "deployments") and (ROOT / path).exists()]
    return {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): ROOT / path for path in product}


MODULES = _modules()
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}


def _imports(module: str) -> set[str]:
    """The product's modules that ``module`` imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name in MODULES}


IMPORTS = {module: _imports(module) for module in MODULES}


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2]) if module.startswith("flows.") else module.split(".", maxsplit=1)[0]


def _layer(room: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


def test_every_module_has_its_room_in_the_plan() -> None:
    rooms = {_room(module) for module in MODULES} - {"flows"}
    assert rooms == set().union(*LAYERS), "a room that DESIGN.md does not have, or lost"


def test_no_arrow_runs_up() -> None:
    offenders = []
    for module, imported in IMPORTS.items():
        for other in imported:
            here, there = _room(module), _room(other)
            if here == there or "flows" in (here, there):
                continue
            if _layer(here) < _layer(there) or (_layer(here) == _layer(there) and here not in STORIES):
                offenders.append(f"{module} -> {other}")
    assert not offenders, "\n".join(sorted(offenders))


def test_there_is_no_circle() -> None:
    """A package's ``__init__`` names its modules for others: what they import of it is another of its modules."""
    packages = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    inner = {module: {other for other in imported if other not in packages} for module, imported in IMPORTS.items()}
    try:
        TopologicalSorter(inner).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_module_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES.values()}
    assert not (offenders := {path: lines for path, lines in lengths.items() if lines > MOST_LINES}), offenders


def test_no_function_is_too_long() -> None:
    offenders = {
        f"{module}.{node.name}": lines
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert not offenders, offenders


def test_no_folder_has_too_many_files() -> None:
    """A list of dialects, or of words, is data."""
    folders = defaultdict(list)
    for path in {path.parent for path in MODULES.values()}:
        folders[str(path.relative_to(ROOT))] = [each.name for each in path.iterdir() if each.is_file() and each.name != "__init__.py"]
    exempt = ("flows/crm/dialects", "flows/crm/words")
    offenders = {folder: sorted(files) for folder, files in folders.items() if len(files) > MOST_FILES and not folder.startswith(exempt)}
    assert not offenders, offenders


def test_a_name_names_one_module() -> None:
    """Commands are named after what people type, so that they may share a name with what they show."""
    by_name = defaultdict(list)
    for module, path in MODULES.items():
        if path.name != "__init__.py" and not module.startswith("deployments.commands."):
            by_name[path.stem].append(module)
    assert not (offenders := [modules for modules in by_name.values() if len(modules) > 1]), offenders


def test_no_module_is_named_by_a_gerund() -> None:
    assert not (offenders := [module for module in MODULES if module.rsplit(".", 1)[-1].endswith("ing")]), offenders


def test_no_docstring_begins_with_a_clause() -> None:
    """A clause ("What the user said", "How it ended") is understood only at the second reading."""
    clauses = ("What ", "How ", "Whether ", "Where ", "When ", "Which ", "Who ", "Why ")
    texts = [
        (f"{module}:{statement.lineno}", statement.value.value)
        for module, tree in TREES.items()
        for outer in ast.walk(tree)
        if isinstance(outer, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in outer.body
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    ]
    assert not (offenders := [place for place, text in texts if str(text).strip().startswith(clauses)]), offenders

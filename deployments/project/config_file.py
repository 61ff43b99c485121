"""A user's `dealcast.toml`: settings and collections. Command line and environment win over it; relative paths start from its folder."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flows.errors import UsageError
from flows.options import SyncOptions, has_credentials, is_target, located
from flows.settings import PATHS, Settings, variable_of

NAME = "dealcast.toml"

CONFIG = variable_of("config")
"""The variable that names one, wherever a command runs."""

_DESTINATIONS = ("platform_url", "allow_http", "token_file", "token_block", "home", "ledger", "forecasts")
"""Settings that say where the token and the deals go, or where is written: a file that only lies in the working directory says none."""

_TOKEN = ("token", "token_file", "token_block")

DEPLOYMENTS = ("incremental", "weekly-resync", "on-demand", "resume")
"""The shipped deployments of one collection."""


class DeploySection(BaseModel):
    """The work pool of the deployments, and the zone of their clocks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pool: str = "dealcast"
    type: Literal["process", "docker", "kubernetes"] = "process"
    image: str | None = None
    timezone: str = "UTC"


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)
    collections: dict[str, dict[str, Any]] = Field(default_factory=dict)
    deploy: DeploySection = Field(default_factory=DeploySection)


@dataclass(frozen=True)
class Project:
    """A `dealcast.toml` as it was read; ``settings`` as text for the environment, locations absolute."""

    path: Path
    named: bool
    settings: Mapping[str, str] = field(default_factory=dict)
    collections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    deployments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Collection -> deployment -> its cron schedule, empty where it runs by hand only."""
    deploy: DeploySection = field(default_factory=DeploySection)

    def options(self, collection: str | None) -> Mapping[str, Any]:
        """The options of a collection, or of the only one where none is named; none where it is not in the file."""
        if collection is None and len(self.collections) == 1:
            collection = next(iter(self.collections))
        return {"collection": collection, **self.collections[collection]} if collection and collection in self.collections else {}

    def checked_options(self, collection: str | None) -> Mapping[str, Any]:
        """As :meth:`options`. Raises UsageError where a file that nobody named sends forecasts out of its folder."""
        options = self.options(collection)
        out = options.get("out")
        if out and not self.named and (is_target(out) or not Path(out).resolve().is_relative_to(self.path.parent.resolve())):
            raise _unnamed(self.path, "out")
        return options

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Its settings as variables of the environment, which win where they are set.

        Raises:
            UsageError: the file was not named, and says where the token or the deals go.
        """
        before = dict(os.environ)
        for name, value in self.settings.items():
            if not self.overridden(name):
                self.check_destination(name)
                os.environ[variable_of(name)] = value
        os.environ[CONFIG] = str(self.path)
        try:
            yield
        finally:
            for name in (*map(variable_of, self.settings), CONFIG):
                if name in before:
                    os.environ[name] = before[name]
                else:
                    os.environ.pop(name, None)

    def overridden(self, name: str) -> bool:
        """Tell whether the environment says otherwise: of the three whereabouts of the token, one in it is enough."""
        return any(map(os.environ.get, map(variable_of, _TOKEN))) if name in _TOKEN else variable_of(name) in os.environ

    def check_destination(self, name: str) -> None:
        """See that a setting of a file that nobody named says nothing of where the token or the deals go. Raises UsageError."""
        default = str(Settings.model_fields[name].default)
        if not self.named and name in _DESTINATIONS and self.settings[name].casefold() != default.casefold():
            raise _unnamed(self.path, name)


def _unnamed(path: Path, key: str) -> UsageError:
    return UsageError(
        f"{path} only lies in the working directory, and would say where the token or the deals go ({key}). If the file is yours, "
        f"name it: `dealcast --config {NAME} ...`, or `export {CONFIG}={path}`. Else say it by the command line or the environment."
    )


def find_project(named: str | None) -> Project | None:
    """The `dealcast.toml` that ``named``, or the environment, names; else the one in the working directory, if there is one.

    Raises:
        UsageError: it cannot be read, or has a key or value that means nothing; the message names file and key.
    """
    location = named or os.environ.get(CONFIG)
    if location:
        return read_project(Path(location).expanduser().absolute(), named=True)
    here = Path.cwd() / NAME
    return read_project(here, named=False) if here.is_file() else None


def read_project(path: Path, *, named: bool) -> Project:
    """Read a file. Raises UsageError as :func:`find_project`."""
    try:
        file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}. `dealcast init` writes one.") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}. Fix that line.") from error
    except ValidationError as error:
        raise UsageError(f"{path}: {_wrong(error)}.") from error
    collections = dict(file.collections)
    deployments = {name: _schedules(path, name, table) for name, table in collections.items()}
    return Project(
        path,
        named,
        _settings(path, file.settings),
        {name: _options(path, name, table) for name, table in collections.items()},
        deployments,
        file.deploy,
    )


def _settings(path: Path, said: Mapping[str, str | int | float | bool]) -> dict[str, str]:
    known = [name for name in Settings.model_fields if name not in ("token", "config")]
    if "token" in said:
        raise UsageError(
            f"{path}, [settings]: the token is no business of a file that others read. Take it out, and set {variable_of('token')}, "
            "or name the file that holds it: token_file."
        )
    _require_known(path, "[settings]", said, known)
    if secret := [name for name, value in said.items() if has_credentials(str(value))]:
        where = f"the environment variable {variable_of(secret[0])}"
        raise UsageError(
            f"{path}, [settings], {secret[0]}: the URL has what may be credentials, which others would read. Put it into {where}."
        )
    text = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in said.items()}
    text |= {name: located(text[name], path.parent) for name in PATHS if name in text}
    try:
        Settings(**text)  # type: ignore[arg-type] # pydantic reads the text as it would read the environment's
    except ValidationError as error:
        wrong = [each for each in error.errors(include_input=False) if each["loc"][0] in text]
        if wrong:
            raise UsageError(f"{path}, [settings], {wrong[0]['loc'][0]}: {wrong[0]['msg']}.") from error
    return text


def _schedules(path: Path, name: str, table: dict[str, Any]) -> dict[str, str]:
    said = table.get("deployments", {})
    where = f"[collections.{name}.deployments]"
    if not isinstance(said, dict) or not all(isinstance(cron, str) for cron in said.values()):
        raise UsageError(f'{path}, {where}: write NAME = "CRON", or NAME = "" for one that runs by hand only.')
    _require_known(path, where, said, DEPLOYMENTS)
    return dict(said)


def _options(path: Path, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one collection as a sync has them, of which only export and dialect may be missing."""
    said = {key: value for key, value in table.items() if key != "deployments"}
    known = [key for key in SyncOptions.model_fields if key != "collection"]
    _require_known(path, f"[collections.{name}]", said, known)
    try:
        checked = SyncOptions.model_validate({"export": "-", "crm": "-", **said, "collection": name}).from_folder(path.parent)
    except ValidationError as error:
        raise UsageError(f"{path}, [collections.{name}], {_wrong(error)}.") from error
    return {key: getattr(checked, key) for key in said}


def _require_known(path: Path, where: str, said: Collection[str], known: Collection[str]) -> None:
    for key in said:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"Is {close[0]} meant?" if close else f"Known: {', '.join(known)}."
            raise UsageError(f"{path}, {where}: {key} is not known. {hint}")


def _wrong(error: ValidationError) -> str:
    found = error.errors(include_input=False)[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg'].removeprefix('Value error, ')}"

"""Settings of dealcast's surroundings: read from the environment inside a flow or command, never at import."""

from __future__ import annotations

import difflib
import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from flows.errors import UsageError
from flows.nostradamus import Nostradamus
from flows.options import FROM_ENVIRONMENT, SyncOptions, checked_target, is_target, located
from flows.runtime.prefect_settings import load_prefect


class Settings(BaseSettings):
    """The environment's ``DEALCAST_...`` variables, one field each; times are seconds."""

    model_config = SettingsConfigDict(env_prefix="DEALCAST_", extra="ignore", frozen=True)

    platform_url: str = Field("https://nostradamus.u-hopper.com", description="the platform's base URL (S)")
    token: SecretStr = Field(SecretStr(""), description="the platform's API token")
    token_file: Path | None = Field(None, description="file that holds the token alone, in place of DEALCAST_TOKEN")
    token_block: str | None = Field(None, description="name of a Prefect Secret block that holds the token, in place of DEALCAST_TOKEN")
    home: Path = Field(Path("~/.dealcast"), description="folder for the ledger, staging and forecasts")
    ledger: str | None = Field(None, description="where syncs are remembered: a folder or any fsspec URL; default: `ledger` in the home")
    forecasts: SecretStr | None = Field(
        None,
        description="where the history of forecasts is delivered to: a folder or a .parquet or .csv file, at any fsspec URL, or "
        "`SQLALCHEMY-URL#TABLE`",
    )
    deadline: float = Field(3600.0, gt=0, description="seconds from acceptance until a request or invocation counts as overdue")
    poll_delay: float = Field(
        1.0, gt=0, description="the shortest time between two polls, in seconds; later ones wait a tenth of the time so far"
    )
    poll_delay_max: float = Field(60.0, gt=0, description="the longest time between two polls, in seconds")
    upload_timeout: float = Field(
        300.0, gt=0, description="seconds that the platform may take to answer an upload, besides two for each MB of it"
    )
    send_retries: int = Field(10, ge=0, description="how often a platform that is away is asked again for one step")
    upload_backoff: float = Field(
        75.0,
        ge=0,
        description="seconds until an upload that went out and was not accepted is sent once more, later if the platform asks for that; "
        "later runs send it once each, and from the third failure on wait this long, then twice as long each time",
    )
    on_unknown: Literal["resend", "stop"] = Field(
        "resend", description="what to do where a send got no answer: `resend`, or `stop` with exit 8"
    )
    allow_http: bool = Field(False, description="send the token over http:// to hosts that are not loopback")
    unpacked_limit: int = Field(
        4096,
        gt=0,
        description="MB that an export's archive may hold unpacked, and a dump; one of over 256 MB may not be 200 times its packed size",
    )
    workbook_limit: int = Field(
        704,
        gt=0,
        description="MB of memory that opening a workbook may take, and a second for every 50; a large one may take 32 times its size",
    )
    export_protocols: str = Field(
        "file,local,http,https,s3,s3a,gs,gcs,az,abfs,abfss,sftp,ssh,ftp,zip,memory",
        description="the kinds of URL that an export may have, separated by commas; others that fsspec knows are not opened",
    )
    extra_suite: Path | None = Field(None, description="a Great Expectations suite (JSON) whose expectations join the gate's")
    config: Path | None = Field(None, description="the `dealcast.toml` that commands read; default: that of the working directory, if any")
    folder: Path | None = Field(
        None, description="folder where relative paths of exports, dialects, tables and `out` start; default: the working directory"
    )

    @field_validator("forecasts")
    @classmethod
    def _a_target(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            checked_target(value.get_secret_value())
        return value or None

    @property
    def ledger_url(self) -> str:
        """The ledger's location, as an fsspec URL or a path."""
        return self.ledger or str(self.home_folder / "ledger")

    @property
    def home_folder(self) -> Path:
        """The home with ``~`` expanded."""
        return self.home.expanduser()

    def out_folder(self, options: SyncOptions) -> Path:
        """The folder for a sync's files."""
        return Path(str(options.out)).expanduser() if options.has_own_folder else self.home_folder / "forecasts" / options.collection

    def forecast_targets(self, options: SyncOptions) -> list[str]:
        """The URLs to which the history of forecasts is delivered, with their credentials.

        Raises:
            UsageError: a variable that names one is not set, or is of no kind that is known.
        """
        named = [self.forecasts.get_secret_value()] if self.forecasts else []
        named += [options.out] if options.out is not None and is_target(options.out) else []
        return list(dict.fromkeys(map(_target, named)))

    def from_folder(self, options: SyncOptions) -> SyncOptions:
        """The options with their paths as they are from ``folder``."""
        return options.from_folder(self.folder.expanduser()) if self.folder else options

    def path_of(self, table: str) -> str:
        """A table's path as it is from ``folder``."""
        return located(table, self.folder.expanduser()) if self.folder else table

    @property
    def has_token(self) -> bool:
        """True if the environment says where the token is."""
        return bool(self.token.get_secret_value() or self.token_file or self.token_block)

    def platform(self) -> Nostradamus:
        """Open a client with the token of the environment, or of the file or Prefect Secret block that it names.

        Raises:
            UsageError: no token is set, the file or block cannot be loaded, or the URL would send the token in clear.
        """
        return Nostradamus(
            self.platform_url,
            self._token(),
            allow_http=self.allow_http,
            upload_timeout=self.upload_timeout,
            largest_dump=self.unpacked_limit << 20,
        )

    def _token(self) -> str:
        if self.token_file is not None:
            return _only_line(self.token_file.expanduser())
        if self.token_block is None:
            return self.token.get_secret_value()
        load_prefect()
        from prefect.blocks.system import Secret  # noqa: PLC0415 - two seconds of import that only this path needs

        try:
            return str(Secret.load(self.token_block, _sync=True).get())  # type: ignore[union-attr, call-arg] # prefect's sync_compatible hides the type
        except ValueError as error:
            raise UsageError(
                f"DEALCAST_TOKEN_BLOCK names the block {self.token_block!r}, which Prefect does not know: create it as a Secret block."
            ) from error


def _target(named: str) -> str:
    """The target itself, or the one that the environment variable of ``env:NAME`` holds; a path becomes an absolute one."""
    variable = named.removeprefix(FROM_ENVIRONMENT) if named.startswith(FROM_ENVIRONMENT) else ""
    target = os.environ.get(variable, "") if variable else named
    if not target:
        raise UsageError(f"Forecasts go to {named}, and the environment has no variable {variable}: put the URL into it.")
    try:
        return checked_target(target) if "://" in target else str(Path(target).expanduser().absolute())
    except ValueError as error:
        raise UsageError(f"Forecasts cannot be delivered to {variable or 'DEALCAST_FORECASTS'}: {error}.") from error


def _only_line(path: Path) -> str:
    try:
        words = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"DEALCAST_TOKEN_FILE: {path} cannot be read ({type(error).__name__}). It must hold the token, and nothing else."
        ) from error
    if len(words) != 1:
        raise UsageError(f"DEALCAST_TOKEN_FILE: {path} holds {len(words)} words. It must hold the token, and nothing else.")
    return words[0]


PATHS = ("token_file", "home", "ledger", "forecasts", "extra_suite", "folder")
"""Settings that are paths, or may be."""


def variable_of(name: str) -> str:
    """The environment's variable of a setting."""
    return f"DEALCAST_{name.upper()}"


_OF_THE_SANDBOX = "DEALCAST_SANDBOX_TOKEN"
"""Read by `dealcast sandbox` alone."""


def unknown_variables() -> dict[str, str | None]:
    """The environment's ``DEALCAST_...`` variables that are no setting, each with the one that it may be meant for."""
    known = [*map(variable_of, Settings.model_fields), _OF_THE_SANDBOX]
    unknown = sorted(name for name in os.environ if name.startswith("DEALCAST_") and name not in known)
    return {name: next(iter(difflib.get_close_matches(name, known, n=1)), None) for name in unknown}


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        UsageError: a variable has a value that its setting does not admit.
    """
    return _settings(tuple(sorted(item for item in os.environ.items() if item[0].upper().startswith("DEALCAST_"))))


@lru_cache(maxsize=1)
def _settings(environment: tuple[tuple[str, str], ...]) -> Settings:  # noqa: ARG001 - the same variables make the same settings
    """The settings of an environment: a sync asks for them at each step, and reading them takes longer than checking a few deals."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"{variable_of(str(e['loc'][0]))}: {e['msg']}" for e in error.errors(include_input=False))
        raise UsageError(f"The environment is not usable: {wrong}. Correct that, or unset it.") from error

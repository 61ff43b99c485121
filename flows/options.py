"""The options of one sync: the same declaration makes the flow's parameters and the form in the Prefect UI."""

from __future__ import annotations

import codecs
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

_USER = re.compile(r"(?<=://)[^/@\s]*@")
_REST = re.compile(r"(?:[?#].*)$", re.DOTALL)
_LONGEST_NAME = 200
_SIGNED = re.compile(r"(?:^|::)https?://|[?&][^=&]*=")
"""Places where a question mark begins a query: over HTTP, or before a name and a value; in a bucket's path it stands for any character."""


def counted(count: int, noun: str) -> str:
    """The ``count`` with its ``noun``: `1 deal`, `2,000 deals`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shown_url(location: str) -> str:
    """``location`` without the user, query and fragment of a URL, which may be credentials; a path stays as it is."""
    if "://" not in location:
        return location
    bare = _USER.sub("", location)
    return _REST.sub("", bare) if _SIGNED.search(bare) else bare


def located(location: str, folder: Path) -> str:
    """A path as it is from ``folder``; a URL, an `env:NAME` and an absolute path as they are."""
    if "://" in location or "::" in location or location.startswith(FROM_ENVIRONMENT):
        return location
    return str(folder / Path(location).expanduser())


def has_credentials(location: str) -> bool:
    """Tell whether a URL has a part that may be a credential."""
    return shown_url(location) != location


def checked_id(value: str) -> str:
    """``value``, the id of a collection.

    Raises:
        ValueError: it could be part of a path, or of an address, as something else.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._~-]*", value):
        raise ValueError("a collection id has letters, digits, '.', '_', '~' and '-' only")
    return value


def checked_name(value: str) -> str:
    """``value``, the id or the name of a collection.

    Raises:
        ValueError: it could be part of a path, or of an address, as something else.
    """
    if (
        not value.isprintable()
        or not value[:1].isalnum()
        or value != value.strip()
        or len(value) > _LONGEST_NAME
        or set(value) & set("/\\?#")
    ):
        raise ValueError(
            f"an id or a name begins with a letter or digit, has at most {_LONGEST_NAME} characters, and no '/', '\\', '?' or '#'"
        )
    return value


def is_id(value: str) -> bool:
    """Tell whether ``value`` is written as the platform's ids are, so that no name is looked for: 32 hex digits, or a UUID."""
    return re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value) is not None


FROM_ENVIRONMENT = "env:"
"""The prefix of a location that is, with its credentials, in an environment variable."""


def is_target(value: str) -> bool:
    """Tell whether ``value`` is where forecasts are delivered to, beside the folder of a sync's own files."""
    return "://" in value or value.startswith(FROM_ENVIRONMENT)


def is_database(target: str) -> bool:
    """Tell whether a target of forecasts is a table in a database: a URL of a kind that no file has."""
    from fsspec import available_protocols  # noqa: PLC0415 - most commands deliver nothing

    scheme = target.partition("://")[0].rpartition("::")[2]
    return "://" in target and scheme not in available_protocols()


def checked_target(value: str) -> str:
    """``value``, where forecasts are delivered to: a folder or a .parquet or .csv file at an fsspec URL, or SQLALCHEMY-URL#TABLE.

    Raises:
        ValueError: it is a URL of no kind that is known, or names no table.
    """
    if not value.startswith(FROM_ENVIRONMENT) and is_database(value):
        from sqlalchemy import make_url  # noqa: PLC0415 - as above
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError  # noqa: PLC0415 - as above

        url, mark, table = value.rpartition("#")
        if not mark or not re.fullmatch(r"(\w+\.)?\w+", table):
            raise ValueError("write a database's URL with the table after it, such as postgresql://host/database#forecasts")
        try:
            kind = make_url(url)
            if kind.drivername != "postgres":
                kind.get_dialect()
        except (ArgumentError, NoSuchModuleError):
            raise ValueError("neither fsspec nor SQLAlchemy knows a URL of that kind") from None
        except ImportError:  # of the driver, without which each sync says so and goes on
            return value
    return value


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age_of(value: str) -> timedelta:
    """The age that ``value`` says: ``36h``, ``7d``.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"[0-9]{1,5}[mhdw]", value):
        raise ValueError("write a number with m, h, d or w, such as 36h or 7d")
    return timedelta(**{_UNITS[value[-1]]: int(value[:-1])})


class SyncOptions(BaseModel):
    """One sync: an export, a collection, and the policies between them. Nothing in here is secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    export: str = Field(description="path, glob (newest wins) or fsspec URL of the CRM export: .csv, .csv.gz, .zip, .xlsx")
    crm: str = Field(description="the export's dialect: a shipped one (see `dealcast crms`), `canonical`, or a path to a TOML")
    collection: str = Field(description="the platform's collection: its id, or its name where one alone has it")
    pipeline: str | None = Field(None, min_length=1, description="the one pipeline to take, where the export holds several")
    crm_timezone: str | None = Field(
        None, description="IANA zone of the export's times that name none; default: the dialect's, or the collection's"
    )
    timezone: str | None = Field(None, description="IANA zone of the collection; default: asked of the platform")
    date_order: Literal["day-first", "month-first", "year-first"] | None = Field(
        None, description="how to read dates such as 03/04/24 that prove no order"
    )
    decimal: Literal["point", "comma"] | None = Field(
        None, description="the sign before the decimals, where numbers such as 1.200 or 1,200 do not show it"
    )
    encoding: str | None = Field(None, description="the export's encoding, such as cp1252, where the file does not prove it")
    assume_open: bool = Field(
        False, description="go on although no flag, status or stage of many deals says an outcome: all of these are open"
    )
    default: tuple[str, ...] = Field(
        (), description="COLUMN=VALUE, or COLUMN=@OTHER: what fills a column of the platform's where the export has nothing"
    )
    assume_accepted: tuple[str, ...] = Field(
        (), description="RULE, or COLUMN:RULE: a rule that is only assumed of the platform; what breaks it is sent, with a warning"
    )
    closed_date: Literal["stage", "modified", "created"] | None = Field(
        None, description="what stands for a missing closing date: when the stage began, the last change, or the creation"
    )
    currency: str | None = Field(None, min_length=1, description="the one currency to take, where the export holds several")
    horizon: int = Field(6, ge=1, le=12, description="months to forecast, 1 to 12")
    first_month: str | None = Field(None, description="first month to predict, YYYY-MM; default: the one after the last in the data")
    mode: Literal["append", "override"] = Field(
        "append", description="append: merge by id; override: replace all that the collection holds"
    )
    full: bool = Field(False, description="send every deal, not only what is new or changed since the last completed sync")
    quarantine_limit: str = Field("0", description="failing rows to quarantine before the sync stops: a number, or a share such as 2%")
    accept_shrink: bool = Field(False, description="go on although the export is much smaller or older than the last completed one")
    accept_change: bool = Field(
        False, description="go on although more than a fifth of the known deals, and at least 50, are new or changed"
    )
    limit: int | None = Field(None, ge=1, description="take only the first deals of the export (of each of its pipelines), for a trial")
    accept_reading_change: bool = Field(False, description="go on although the export is read differently than by the last completed sync")
    forget_reading: bool = Field(
        False, description="take no zone, date order, decimal sign, filter or default from the last completed sync: what is said now counts"
    )
    max_age: str | None = Field(
        None, description="stop where the file, or its newest change, is older: a number with m, h, d or w, such as 36h or 7d"
    )
    missing: Literal["keep", "delete"] = Field(
        "keep", description="what becomes of deals that the export no longer has: keep them on the platform, or delete them there by id"
    )
    missing_limit: str | None = Field(
        None, description="the most gone deals to delete at once: a number, or a share such as 5%; default: 1%, or 20 where that is more"
    )
    dry_run: bool = Field(False, description="read, check and guard as a sync would, and end as it would; send nothing")
    forecast: Literal["if-new", "always", "never"] = Field(
        "if-new", description="invoke a forecast after new data, after every sync, or never"
    )
    out: str | None = Field(
        None,
        description="folder for forecast, certificate, report and quarantine, by default in DEALCAST_HOME; or a URL to which the history "
        "of forecasts is delivered, as DEALCAST_FORECASTS",
    )

    @field_validator("export")
    @classmethod
    def _no_credentials(cls, value: str) -> str:
        if has_credentials(value):
            raise ValueError(
                "the URL has a user, query or fragment, which may be credentials, and a run's parameters are shown to everyone: "
                "put the URL into an environment variable and give env:NAME"
            )
        return value

    @field_validator("out")
    @classmethod
    def _a_target_without_credentials(cls, value: str | None) -> str | None:
        if value is None or not is_target(value):
            return value
        if has_credentials(value) or "?" in value:
            raise ValueError(
                "the URL has a user or query, which may be credentials, and a run's parameters are shown to everyone: "
                "put the URL into an environment variable and give env:NAME, or set DEALCAST_FORECASTS"
            )
        return checked_target(value)

    @field_validator("collection")
    @classmethod
    def _no_path(cls, value: str) -> str:
        return checked_name(value)

    @field_validator("encoding")
    @classmethod
    def _an_encoding(cls, value: str | None) -> str | None:
        try:
            return codecs.lookup(value).name if value else None
        except LookupError:
            raise ValueError("write an encoding's name as Python knows it, for example cp1252, macroman or shift_jis") from None

    @field_validator("assume_accepted")
    @classmethod
    def _of_assumed_rules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from expectations.rules import accepting  # noqa: PLC0415 - pandas takes longer to import than all of `dealcast status`

        accepting(value)
        return value

    @field_validator("default", "assume_accepted", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        """A table of syncs has one cell for all of them."""
        return tuple(part.strip() for part in value.split(";") if part.strip()) if isinstance(value, str) else value

    @field_validator("first_month")
    @classmethod
    def _a_month(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", value):
            raise ValueError("write it as YYYY-MM, for example 2026-12")
        return value

    @field_validator("max_age")
    @classmethod
    def _an_age(cls, value: str | None) -> str | None:
        if value is not None:
            age_of(value)
        return value

    @field_validator("quarantine_limit", "missing_limit")
    @classmethod
    def _a_number_or_share(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[0-9]+|[0-9]+(\.[0-9]+)?%", value):
            raise ValueError("write a number of rows such as 20, or a share such as 2%")
        return value

    @property
    def forecast_args(self) -> dict[str, Any] | None:
        """Arguments of the invocation, or None where no forecast is asked for."""
        return None if self.forecast == "never" else {"horizon": self.horizon, "first_month": self.first_month}

    @property
    def has_own_folder(self) -> bool:
        """True if the files of the sync go into a folder that the user named."""
        return self.out is not None and not is_target(self.out)

    def from_folder(self, folder: Path) -> SyncOptions:
        """The same with the paths of export, dialect and ``out`` as they are from ``folder``."""
        paths = {"export": self.export, "out": self.out, "crm": self.crm if self.crm.endswith(".toml") else None}
        return self.model_copy(update={name: located(path, folder) for name, path in paths.items() if path})

    def quarantine_allowance(self, rows: int) -> int:
        """Number of failing rows, of ``rows``, that the quarantine may hold."""
        if self.quarantine_limit.endswith("%"):
            return int(rows * Decimal(self.quarantine_limit[:-1]) / 100)
        return int(self.quarantine_limit)

"""Findings of ``dealcast doctor`` on Prefect: its server, the deployments, their work pools and workers, the automations."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import httpx

from deployments.commands.doctor import findings
from deployments.commands.doctor.findings import Finding
from deployments.commands.doctor.stale_deployments import stale_deployments
from flows.errors import UsageError
from flows.runtime.prefect_settings import load_prefect, refresh_prefect

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_SETUP = "See deployments/README.md, Schedule it on your Prefect server."
_USAGE = 2
_HEARTBEATS = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
_IN_MEMORY = "prefect.server.concurrency.lease_storage.memory"


def prefect_findings() -> Iterator[Finding]:
    """Examine the Prefect server of the current settings, and what is deployed there."""
    refresh_prefect()
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - prefect takes seconds to import
    from prefect.context import get_settings_context  # noqa: PLC0415 - as above
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED, temporary_settings  # noqa: PLC0415

    context = get_settings_context()
    url, profile = context.settings.api.url, context.profile.name
    yield from _profile(profile)
    if not url:
        yield Finding("prefect", "ok", "no server is set: each command starts a temporary one.", "For schedules, set PREFECT_API_URL.")
        return
    if proxied := _proxy_of(url):
        remedy = "Set NO_PROXY=127.0.0.1,localhost for dealcast and the workers."
        yield Finding("proxy", "failed", f"calls to {httpx.URL(url).host} go through {proxied}.", remedy, _USAGE)
        return
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False}):
        try:
            with get_client(sync_client=True) as client:
                yield _server(client, url)
                yield from _protection(url)
                yield from _leases(client)
                yield from _deployed(client)
                yield from _last_run(client)
        except (httpx.HTTPError, RuntimeError) as error:
            yield _unreachable(error, url, profile)


def _profile(taken: str) -> Iterator[Finding]:
    """The profile that the user means, where Prefect has taken another one."""
    from prefect.settings import load_profiles  # noqa: PLC0415 - prefect takes seconds to import

    wanted = os.environ.get("PREFECT_PROFILE") or load_profiles().active_name
    if wanted not in (None, taken):
        remedy = "`prefect profile ls` shows those that there are, `prefect profile use NAME` takes one; or unset PREFECT_PROFILE."
        yield Finding("profile", "warning", f"there is no profile {wanted}: Prefect takes {taken}.", remedy)


def require_server() -> None:
    """See that the Prefect server that the settings name answers, before a run begins there; none need be named.

    Raises:
        UsageError: it does not, or refuses; the message has its URL, the profile and the remedy.
    """
    load_prefect()
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - prefect takes seconds to import
    from prefect.context import get_settings_context  # noqa: PLC0415 - as above
    from prefect.settings import PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED, temporary_settings  # noqa: PLC0415 - as above

    context = get_settings_context()
    if not context.settings.api.url:
        return
    try:
        with temporary_settings({PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False}), get_client(sync_client=True) as client:
            client.api_version()
    except (httpx.HTTPError, RuntimeError, ValueError) as error:
        found = _unreachable(error, context.settings.api.url, context.profile.name)
        raise UsageError(f"Prefect: {found.message} {found.remedy} Nothing was begun; `dealcast doctor` examines the rest.") from error


def _proxy_of(url: str) -> str | None:
    """The variable whose proxy takes calls to ``url``, where that is this machine."""
    target = httpx.URL(url)
    if not _is_loopback(target) or proxy_bypass(target.host):
        return None
    kinds = [kind for kind in (target.scheme, "all") if kind in getproxies()]
    return f"{kinds[0].upper()}_PROXY" if kinds else None


def _is_loopback(url: httpx.URL | str) -> bool:
    host = httpx.URL(url).host
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unreachable(error: Exception, url: str, profile: str) -> Finding:
    where = f"{httpx.URL(url).copy_with(userinfo=b'')} (profile {profile})"
    status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
    if status in (401, 403):
        remedy = "Set PREFECT_API_AUTH_STRING or PREFECT_API_KEY."
        return Finding("prefect", "failed", f"{where} refuses our credentials ({status}).", remedy, _USAGE)
    if status is not None:
        remedy = "PREFECT_API_URL is to end in /api." if status == 404 else "See the server's log."
        return Finding("prefect", "failed", f"{where} answers {status}.", remedy, _USAGE)
    if isinstance(error, httpx.UnsupportedProtocol):
        remedy = "PREFECT_API_URL is to begin with http:// or https://."
        return Finding("prefect", "failed", f"{where} is no address of a server.", remedy, _USAGE)
    remedy = "Start it, or set PREFECT_API_URL to one that runs."
    return Finding("prefect", "failed", f"no server answers at {where} ({type(error).__name__}).", remedy, _USAGE)


def _server(client: SyncPrefectClient, url: str) -> Finding:
    theirs, ours = client.api_version(), client.client_version()
    if theirs.split(".")[:2] != ours.split(".")[:2]:
        remedy = f"Run version {ours} on both sides."
        return Finding("prefect", "failed", f"the server at {url} is version {theirs}, ours is {ours}.", remedy, _USAGE)
    return Finding("prefect", "ok", f"{url} answers, version {theirs}.")


def _protection(url: str) -> Iterator[Finding]:
    """The secret that the server asks for: without one, it takes commands from every web page that its machine shows."""
    if httpx.get(f"{url}/admin/version", trust_env=False, timeout=findings.ANSWER_SECONDS).is_success:
        remedy = "Set PREFECT_SERVER_API_AUTH_STRING for it, and PREFECT_API_AUTH_STRING for its clients."
        yield Finding("secret", "warning", "the server asks for none: any page in a browser there may run commands through it.", remedy)
    else:
        yield Finding("secret", "ok", "the server asks for one.")


def _leases(client: SyncPrefectClient) -> Iterator[Finding]:
    """The place where the server keeps leases; a hosted one does not tell."""
    try:
        settings: dict[str, Any] = client.request("GET", "/admin/settings").json()
        storage = settings["server"]["concurrency"]["lease_storage"]
    except (httpx.HTTPError, KeyError, ValueError):
        return
    if storage == _IN_MEMORY:
        remedy = (
            "Install dealcast where it runs, or set PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE: deployments/README.md, The Prefect server."
        )
        yield Finding("leases", "warning", "the server forgets at a restart which collections are locked.", remedy)
    else:
        yield Finding("leases", "ok", "the server keeps locks over a restart.")


def _deployed(client: SyncPrefectClient) -> Iterator[Finding]:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags  # noqa: PLC0415 - prefect takes seconds to import

    deployments = client.read_deployments(deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=["dealcast"])))
    if not deployments:
        yield Finding("deployments", "warning", "none is on the server: nothing is scheduled.", _SETUP)
        return
    paused = sorted(each.name for each in deployments if each.paused)
    if paused:
        yield Finding("deployments", "warning", f"paused: {', '.join(paused)}.", "Resume them in the UI.")
    else:
        yield Finding("deployments", "ok", f"{len(deployments)} are on the server.")
    yield from stale_deployments(deployments, local=_is_loopback(client.api_url))
    pools = sorted({each.work_pool_name for each in deployments if each.work_pool_name})
    for pool in pools:
        yield from _pool(client, pool)
    yield from _database(client, pools)
    silent = sorted(each.name for each in deployments if _HEARTBEATS not in {**os.environ, **each.job_variables.get("env", {})})
    if silent:
        what = f"{_HEARTBEATS} is set neither here nor for {', '.join(silent)}."
        yield Finding("heartbeats", "warning", what, "Start workers with 30, for the sweep of dead runs.")
    if client.read_automations_by_name("dealcast zombie sweep"):
        yield Finding("automations", "ok", "the sweep for dead runs is installed.")
    else:
        yield Finding("automations", "warning", "no sweep marks runs whose process died.", "Run `dealcast automations`.")


def _database(client: SyncPrefectClient, pools: Sequence[str]) -> Iterator[Finding]:
    """The server's database, if it is SQLite and several workers write to it."""
    count = sum(len(_online(client, pool)) for pool in pools)
    if count > 1 and _is_sqlite(client):
        what = f"{count} workers, and the server's database is SQLite."
        remedy = "Install dealcast where the server runs, or use PostgreSQL: deployments/README.md, The Prefect server."
        yield Finding("database", "warning", what, remedy)


def _is_sqlite(client: SyncPrefectClient) -> bool:
    """Tell whether the server says so; of one on this machine, whether the settings that it shares with us do."""
    from prefect.settings import get_current_settings  # noqa: PLC0415 - prefect takes seconds to import

    with suppress(httpx.HTTPError, KeyError, ValueError):
        if driver := client.request("GET", "/admin/settings").json()["server"]["database"]["driver"]:
            return str(driver).startswith("sqlite")
    named = get_current_settings().server.database.connection_url
    return _is_loopback(client.api_url) and (named is None or named.get_secret_value().startswith("sqlite"))


def _online(client: SyncPrefectClient, pool: str) -> list[str]:
    """The names of the workers that poll ``pool``."""
    from prefect.client.schemas.objects import WorkerStatus  # noqa: PLC0415 - prefect takes seconds to import
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415 - as above

    try:
        return [each.name for each in client.read_workers_for_work_pool(pool) if each.status == WorkerStatus.ONLINE]
    except ObjectNotFound:
        return []


def _last_run(client: SyncPrefectClient) -> Iterator[Finding]:
    """The last run of a deployment of ours that ended."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterEndTime, FlowRunFilterTags  # noqa: PLC0415 - as above
    from prefect.client.schemas.sorting import FlowRunSort  # noqa: PLC0415 - as above

    ended = FlowRunFilter(tags=FlowRunFilterTags(all_=["dealcast"]), end_time=FlowRunFilterEndTime(is_null_=False))
    for run in client.read_flow_runs(flow_run_filter=ended, limit=1, sort=FlowRunSort.END_TIME_DESC):
        what = f"{run.name}: {run.state_name}, {run.end_time:%Y-%m-%d %H:%M} UTC."
        if run.state is not None and run.state.is_completed():
            yield Finding("last run", "ok", what)
        else:
            yield Finding("last run", "warning", what, "Its message in Prefect's UI says what to do.")


def _pool(client: SyncPrefectClient, name: str) -> Iterator[Finding]:
    """A work pool, and whether a worker polls it."""
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415 - prefect takes seconds to import

    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        yield Finding("work pool", "failed", f"{name} is not there.", f"Run `prefect work-pool create {name} --type process`.", _USAGE)
        return
    if pool.is_paused:
        yield Finding("work pool", "failed", f"{name} is paused.", f"Run `prefect work-pool resume {name}`.", _USAGE)
    else:
        yield Finding("work pool", "ok", f"{name}, of type {pool.type}.")
    if pool.is_push_pool or pool.is_managed_pool:
        return
    workers = _online(client, name)
    if not workers:
        elsewhere = sorted(other.name for other in client.read_work_pools() if other.name != name and _online(client, other.name))
        others = f"; one polls {', '.join(elsewhere)}" if elsewhere else ""
        yield Finding("worker", "failed", f"none polls {name}{others}.", f"Run `prefect worker start --pool {name}`.", _USAGE)
    else:
        yield Finding("worker", "ok", f"{', '.join(workers)}.")

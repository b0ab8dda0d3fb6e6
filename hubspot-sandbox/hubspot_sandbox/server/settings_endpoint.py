"""The settings of a running sandbox: one row per setting of `POST /sandbox/settings`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hubspot_sandbox.behaviour.tokens import ALL_SCOPES

if TYPE_CHECKING:
    from hubspot_sandbox.sandbox.sandbox import Sandbox


def _quirks(sandbox: Sandbox, value: Any) -> None:
    for name, setting in dict(value).items():
        sandbox.quirks.set(str(name), str(setting))


def _scopes(sandbox: Sandbox, value: Any) -> None:
    lacking = set(map(str, value))
    if lacking - ALL_SCOPES:
        raise ValueError(f"There is no scope {min(lacking - ALL_SCOPES)!r}.")
    sandbox.tokens.scopes = ALL_SCOPES - lacking


def _latency(sandbox: Sandbox, value: Any) -> None:
    sandbox.latency_ms = float(value)


def _date_offset(sandbox: Sandbox, value: Any) -> None:
    sandbox.date_offset_seconds = None if value is None else float(value)


def _daily_used(sandbox: Sandbox, value: Any) -> None:
    sandbox.limits.daily_used = int(value)


def _token_seconds(sandbox: Sandbox, value: Any) -> None:
    sandbox.tokens.life_seconds = int(value)


SETTINGS: dict[str, Callable[[Sandbox, Any], None]] = {
    "tier": lambda sandbox, value: sandbox.limits.set_tier(str(value)),
    "dailyUsed": _daily_used,
    "latencyMs": _latency,
    "dateOffsetSeconds": _date_offset,
    "indexLagSeconds": lambda sandbox, value: sandbox.portal.set_index_lag(float(value)),
    "quirks": _quirks,
    "withoutScopes": _scopes,
    "tokenSeconds": _token_seconds,
}


def change(sandbox: Sandbox, asked: Any) -> None:
    """Apply settings such as `{"tier": "free", "quirks": {"list-cursor": "opaque"}}`; ValueError if one is invalid."""
    if not isinstance(asked, dict):
        raise ValueError("Send a JSON object of settings.")
    for name, value in asked.items():
        if name not in SETTINGS:
            raise ValueError(f"There is no setting {name!r}; there are: {', '.join(SETTINGS)}.")
        try:
            SETTINGS[name](sandbox, value)
        except TypeError as error:
            raise ValueError(f"The setting {name} cannot have the value {value!r}.") from error

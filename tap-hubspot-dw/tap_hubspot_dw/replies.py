"""What HubSpot's replies say: JSON, refusals and how long to wait. No request is made here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from tap_hubspot_dw.errors import (
    AuthenticationError,
    DailyLimitError,
    HubSpotError,
    MissingScopesError,
    ReplyError,
    RequestError,
    UnreachableError,
)

Reply = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What came back for a request. Header names are found in any case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


def decode(content: bytes) -> Reply:
    """Return a JSON reply; lone surrogates, which no database takes, become U+FFFD.

    Raises:
        HubSpotError: the body is not a JSON object.
    """
    try:
        reply = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            text = json.dumps(json.loads(content), ensure_ascii=False)
        except ValueError as error:
            raise HubSpotError("HubSpot sent a reply that is not JSON: run again later.") from error
        reply = json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    if not isinstance(reply, dict):
        raise HubSpotError("HubSpot sent a reply that is not a JSON object: run again later.")
    return reply


def error_reply(response: Answer) -> Reply:
    """Return the JSON body of an error, or nothing: proxies before HubSpot answer in HTML (observed)."""
    try:
        reply = json.loads(response.content)
    except ValueError:
        return {}
    return reply if isinstance(reply, dict) else {}


def refusal(response: Answer, request: str) -> HubSpotError:
    """Return the error for a reply that no retry will change."""
    reply = error_reply(response)
    status = response.status_code
    if status == 401:
        return AuthenticationError(
            f"HubSpot does not accept the token (HTTP 401 to {request}): check access_token, "
            "or make a new service key in HubSpot under Development, Keys.",
            reply=reply,
        )
    if status == 403:
        scopes = _scopes(reply)
        named = f"the scope {' or '.join(scopes)}" if scopes else "a scope it does not name"
        return MissingScopesError(
            f"HubSpot refuses {request}: the token lacks {named}; grant it to the app or key and run again.",
            reply=reply,
        )
    said = str(reply.get("message") or "no message")
    return RequestError(f'HubSpot refuses {request} (HTTP {status}): "{said[:300]}".', status=status, reply=reply)


def gave_up(response: Answer | None, request: str, tries: int, trouble: str) -> HubSpotError:
    """Return the error for a request that was tried in vain; without any response nothing else will work either."""
    if response is None:
        return UnreachableError(
            f"No answer to {request} in {tries} tries (last: {trouble}): "
            "check the setting api_url and the network, then run again."
        )
    return HubSpotError(
        f"No usable answer to {request} in {tries} tries (last: {trouble}): run again later; "
        "if it stays, tell HubSpot's support the correlation id.",
        reply=error_reply(response),
    )


def _scopes(reply: Reply) -> list[str]:
    scopes: list[str] = []
    for error in reply.get("errors") or []:
        scopes += (error.get("context") or {}).get("requiredGranularScopes") or []
    return scopes


def header_number(response: Answer, name: str) -> int | None:
    """Return the whole number in a header, or None: HubSpot promises none of them."""
    text = response.headers.get(name, "")
    return int(text) if text.isdigit() else None


def header_date(response: Answer) -> datetime | None:
    """Return HubSpot's clock when it replied; None where the header says none."""
    try:
        moment = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def retry_after_seconds(response: Answer) -> float:
    """Return what a Retry-After in seconds asks for; 0 without one."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0


def throttle_seconds(reply: Reply) -> float:
    """Return how long a 429 asks to wait: HubSpot's have no Retry-After (observed); the policy tells.

    Raises:
        DailyLimitError: the day's requests are used up; waiting would take hours.
    """
    policy, message = str(reply.get("policyName")), str(reply.get("message")).lower()
    if policy == "DAILY" or "daily limit" in message:
        raise DailyLimitError(
            "The account's daily HubSpot requests are used up; "
            "the state is kept: run again after midnight in the account's time zone.",
            reply=reply,
        )
    if policy == "SECONDLY" or "secondly limit" in message.replace("ten_secondly", ""):
        return 1.0
    return 2.0  # of a rolling ten-second window: the oldest requests leave it continuously


def check_batch_errors(reply: Reply, name: str) -> None:
    """Check that a batch read's reply names no other errors than records that are gone.

    Raises:
        ReplyError: it does.
    """
    for error in reply.get("errors") or []:
        if error.get("category") != "OBJECT_NOT_FOUND":
            raise ReplyError(f"HubSpot could not read some {name} in a batch: run again later.", reply=error)


def check_association_errors(reply: Reply, from_name: str, to_name: str) -> None:
    """Check that a reply names no other errors than records without associations.

    Raises:
        ReplyError: it does.
    """
    for error in reply.get("errors") or []:
        if error.get("subCategory") != "crm.associations.NO_ASSOCIATIONS_FOUND":
            raise ReplyError(
                f"HubSpot could not read associations from {from_name} to {to_name}: "
                f'"{str(error.get("message"))[:300]}".',
                reply=error,
            )

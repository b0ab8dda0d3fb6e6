"""Reading HubSpot's replies: JSON, refusals, waiting times. This module makes no requests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from tap_hubspot_dw.errors import (
    AuthenticationError,
    DailyLimitError,
    ForbiddenError,
    HubSpotError,
    MisshapenReplyError,
    MissingScopesError,
    ReplyError,
    RequestError,
    UnreachableError,
    UnreadableReplyError,
)
from tap_hubspot_dw.shown import shown

Reply = dict[str, Any]

_NO_ASSOCIATIONS = "NO_ASSOCIATIONS_FOUND"
_NUMBER = re.compile(r"\d+", re.ASCII)

_SHORT_NUMBER = re.compile(r"\d{1,15}", re.ASCII)
_TITLE = re.compile(rb"<title[^>]*>([^<]*)", re.IGNORECASE)
_MOST_SCOPES = 10
_LONGEST_SECONDS = 1e9


@dataclass(frozen=True)
class Answer:
    """The answer to a request. Header names are case-insensitive."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


def decode(content: bytes) -> Reply:
    """Return a JSON reply; lone surrogates, which no database accepts, become U+FFFD.

    Raises:
        UnreadableReplyError: the body is not a JSON object.
    """
    try:
        reply = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        reply = _repaired(content)
    if not isinstance(reply, dict):
        raise MisshapenReplyError("HubSpot sent a reply that is not a JSON object: run again later.")
    return reply


def _repaired(content: bytes) -> Any:
    try:
        text = json.dumps(json.loads(content, parse_constant=_no_number), ensure_ascii=False)
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError) as error:
        raise UnreadableReplyError("HubSpot sent a reply that is not JSON: run again later.") from error


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not a number in JSON")


def error_reply(response: Answer) -> Reply:
    """Return the JSON body of an error, with the correlation id of the header if the body lacks one.

    Proxies in front of HubSpot answer in HTML (observed); then only the header's id is known.
    """
    try:
        reply = json.loads(response.content)
    except (ValueError, RecursionError):
        reply = None
    return {
        "correlationId": response.headers.get("X-HubSpot-Correlation-Id"),
        **(reply if isinstance(reply, dict) else {}),
    }


def refusal(response: Answer, request: str) -> HubSpotError:
    """Return the error for a reply that a retry would not change."""
    reply = error_reply(response)
    status = response.status_code
    said = _said(response, reply)
    if status == 401:
        return AuthenticationError(
            f"HubSpot does not accept the token (HTTP 401 to {request}): check access_token, "
            "or make a new service key in HubSpot under Development, Keys.",
            reply=reply,
        )
    if status == 403:
        scopes = _scopes(reply)
        if scopes or reply.get("category") == "MISSING_SCOPES":
            named = f"the scope {' or '.join(scopes)}" if scopes else "a scope that HubSpot does not name"
            return MissingScopesError(
                f"HubSpot refuses {request}: the token lacks {named}; grant it to the app or key and run again. "
                f"HubSpot says: {said}.",
                reply=reply,
            )
        return ForbiddenError(
            f"HubSpot refuses {request} (HTTP 403): {said}. If the account or the token has no right to this, remove "
            "it from the settings.",
            reply=reply,
        )
    return RequestError(f"HubSpot refuses {request} (HTTP {status}): {said}.", status=status, reply=reply)


def _said(response: Answer, reply: Reply) -> str:
    """Return HubSpot's own message in quotes, or else the title of a web page."""
    texts = [reply.get("message"), *(error.get("message") for error in _errors(reply))]
    title = _TITLE.search(response.content[:10_000])
    texts += [title[1].decode(errors="replace")] if title else []
    said = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    return f'"{shown(said, 300).strip().rstrip(".")}"' if said else "without a message"


def gave_up(
    response: Answer | None, request: str, tries: int, trouble: str, *, was_ever_answered: bool
) -> HubSpotError:
    """Return the error for a request whose last try failed; without any response the run stops."""
    if response is None:
        return UnreachableError(
            f"No answer to {request} in {tries} tries (last: {trouble}): "
            "check the setting api_url and the network, then run again."
        )
    advice = "run again later" if was_ever_answered else "check the setting api_url, or run again later"
    return HubSpotError(
        f"No usable answer to {request} in {tries} tries (last: {trouble}): {advice}; "
        "if it keeps failing, give HubSpot's support the correlation id.",
        reply=error_reply(response),
    )


def _errors(reply: Reply) -> list[Reply]:
    """Return the errors in a reply: mostly objects, sometimes texts (observed)."""
    errors = reply.get("errors") or []
    return [
        error if isinstance(error, dict) else {"message": str(error)}
        for error in (errors if isinstance(errors, list) else [errors])
    ]


def _scopes(reply: Reply) -> list[str]:
    """Return the scopes that a refusal names; refusals have several shapes (observed)."""
    scopes: list[str] = []
    for holder in [reply, *_errors(reply)]:
        context = holder.get("context")
        for name in ("requiredGranularScopes", "requiredScopes"):
            named = context.get(name) if isinstance(context, dict) else None
            scopes += [scope for scope in (named if isinstance(named, list) else [named]) if isinstance(scope, str)]
    return [shown(scope, 100) for scope in dict.fromkeys(scopes)][:_MOST_SCOPES]


def header_number(response: Answer, name: str) -> int | None:
    """Return the whole number in a header, or None: HubSpot promises no header."""
    text = response.headers.get(name, "").strip()
    return int(text) if _SHORT_NUMBER.fullmatch(text) else None


def header_date(response: Answer) -> datetime | None:
    """Return the time of HubSpot's reply, from the Date header; None if it has no time with an offset."""
    try:
        timestamp = parsedate_to_datetime(response.headers.get("Date", ""))
    except (ValueError, OverflowError):
        return None
    return timestamp if timestamp.tzinfo else None


def retry_after_seconds(response: Answer) -> float:
    """Return the seconds of the Retry-After header; 0 without one and for any other format."""
    text = response.headers.get("Retry-After", "").strip()
    return min(float(text), _LONGEST_SECONDS) if text.isascii() and text.isdigit() else 0.0


def throttle_seconds(reply: Reply) -> float:
    """Return the seconds to wait after a 429, by its policy: HubSpot sends no Retry-After (observed).

    Raises:
        DailyLimitError: the daily requests are used up; waiting would take hours.
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
    return 2.0  # the window of ten seconds rolls: its oldest requests leave it continuously


def check_batch_errors(reply: Reply, name: str) -> None:
    """Check that the errors of a batch read are only about missing records.

    Raises:
        ReplyError: there is another error.
    """
    for error in _errors(reply):
        if error.get("category") != "OBJECT_NOT_FOUND":
            raise ReplyError(f"HubSpot could not read some {name} in a batch: run again later.", reply=error)


def check_association_errors(reply: Reply, from_name: str, to_name: str) -> None:
    """Check that a reply's errors are only about missing records and records without associations.

    HubSpot writes `OBJECT_NOT_FOUND`, with or without the sub-category `crm.associations.NO_ASSOCIATIONS_FOUND`
    (observed).

    Raises:
        ReplyError: there is another error.
    """
    for error in _errors(reply):
        categories = str(error.get("category")), str(error.get("subCategory"))
        if not (categories[0] == "OBJECT_NOT_FOUND" or any(name.endswith(_NO_ASSOCIATIONS) for name in categories)):
            raise ReplyError(
                f"HubSpot could not read associations from {from_name} to {to_name}: "
                f'"{shown(error.get("message"), 300)}".',
                reply=error,
            )


def named_ids(reply: Reply) -> set[str]:
    """Return the ids that a reply's errors name in their context, or else all numbers in their message."""
    named: set[str] = set()
    for error in _errors(reply):
        context = error.get("context")
        values = context.values() if isinstance(context, dict) else ()
        texts = {str(item) for value in values for item in (value if isinstance(value, list) else [value])}
        ids = {text for text in texts if text.isdecimal()}
        named |= ids or set(_NUMBER.findall(str(error.get("message"))))
    return named

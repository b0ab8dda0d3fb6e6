"""What HubSpot's replies say: JSON, refusals and how long to wait. No request is made here."""

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
    """What came back for a request. Header names are found in any case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


def decode(content: bytes) -> Reply:
    """Return a JSON reply; lone surrogates, which no database takes, become U+FFFD.

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
    raise ValueError(f"{text} is no number in JSON")


def error_reply(response: Answer) -> Reply:
    """Return the JSON body of an error, its correlation id from the header if need be.

    Proxies before HubSpot answer in HTML (observed): then nothing else is known.
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
    """Return the error for a reply that no retry will change."""
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
            named = f"the scope {' or '.join(scopes)}" if scopes else "a scope it does not name"
            return MissingScopesError(
                f"HubSpot refuses {request}: the token lacks {named}; grant it to the app or key and run again. "
                f"HubSpot says: {said}.",
                reply=reply,
            )
        return ForbiddenError(
            f"HubSpot refuses {request} (HTTP 403): {said}. If the account or the token is not to have this, take it "
            "out of the settings.",
            reply=reply,
        )
    return RequestError(f"HubSpot refuses {request} (HTTP {status}): {said}.", status=status, reply=reply)


def _said(response: Answer, reply: Reply) -> str:
    """Return HubSpot's own message in quotes, or what comes nearest to one: the title of a web page."""
    texts = [reply.get("message"), *(error.get("message") for error in _errors(reply))]
    title = _TITLE.search(response.content[:10_000])
    texts += [title[1].decode(errors="replace")] if title else []
    said = next((each for each in texts if isinstance(each, str) and each.strip()), None)
    return f'"{shown(said, 300).strip().rstrip(".")}"' if said else "without a message"


def gave_up(
    response: Answer | None, request: str, tries: int, trouble: str, *, was_ever_answered: bool
) -> HubSpotError:
    """Return the error for a request that was tried in vain; without any response nothing else will work either."""
    if response is None:
        return UnreachableError(
            f"No answer to {request} in {tries} tries (last: {trouble}): "
            "check the setting api_url and the network, then run again."
        )
    advice = "run again later" if was_ever_answered else "check the setting api_url, or run again later"
    return HubSpotError(
        f"No usable answer to {request} in {tries} tries (last: {trouble}): {advice}; "
        "if it stays, tell HubSpot's support the correlation id.",
        reply=error_reply(response),
    )


def _errors(reply: Reply) -> list[Reply]:
    """Return the errors in a reply, which are objects mostly, and texts at times (observed)."""
    found = reply.get("errors") or []
    return [
        each if isinstance(each, dict) else {"message": str(each)}
        for each in (found if isinstance(found, list) else [found])
    ]


def _scopes(reply: Reply) -> list[str]:
    """Return the scopes that a refusal names: it comes in several shapes (observed)."""
    scopes: list[str] = []
    for holder in [reply, *_errors(reply)]:
        context = holder.get("context")
        for name in ("requiredGranularScopes", "requiredScopes"):
            named = context.get(name) if isinstance(context, dict) else None
            scopes += [each for each in (named if isinstance(named, list) else [named]) if isinstance(each, str)]
    return [shown(each, 100) for each in dict.fromkeys(scopes)][:_MOST_SCOPES]


def header_number(response: Answer, name: str) -> int | None:
    """Return the whole number in a header, or None: HubSpot promises none of them."""
    text = response.headers.get(name, "").strip()
    return int(text) if _SHORT_NUMBER.fullmatch(text) else None


def header_date(response: Answer) -> datetime | None:
    """Return HubSpot's clock when it replied; None where the header says none."""
    try:
        timestamp = parsedate_to_datetime(response.headers.get("Date", ""))
    except (ValueError, OverflowError):
        return None
    return timestamp if timestamp.tzinfo else None


def retry_after_seconds(response: Answer) -> float:
    """Return what a Retry-After in seconds asks for; 0 without one, and for anything else."""
    text = response.headers.get("Retry-After", "").strip()
    return min(float(text), _LONGEST_SECONDS) if text.isascii() and text.isdigit() else 0.0


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
    for error in _errors(reply):
        if error.get("category") != "OBJECT_NOT_FOUND":
            raise ReplyError(f"HubSpot could not read some {name} in a batch: run again later.", reply=error)


def check_association_errors(reply: Reply, from_name: str, to_name: str) -> None:
    """Check that a reply names no other errors than records without associations, or that are gone.

    HubSpot writes `OBJECT_NOT_FOUND`, with the sub-category `crm.associations.NO_ASSOCIATIONS_FOUND` or without one
    (observed).

    Raises:
        ReplyError: it does.
    """
    for error in _errors(reply):
        categories = str(error.get("category")), str(error.get("subCategory"))
        if not (categories[0] == "OBJECT_NOT_FOUND" or any(each.endswith(_NO_ASSOCIATIONS) for each in categories)):
            raise ReplyError(
                f"HubSpot could not read associations from {from_name} to {to_name}: "
                f'"{shown(error.get("message"), 300)}".',
                reply=error,
            )


def named_ids(reply: Reply) -> set[str]:
    """Return the ids that a reply's errors name: in their context, or else all numbers in their message."""
    named: set[str] = set()
    for error in _errors(reply):
        context = error.get("context")
        values = context.values() if isinstance(context, dict) else ()
        texts = {str(each) for some in values for each in (some if isinstance(some, list) else [some])}
        ids = {text for text in texts if text.isdecimal()}
        named |= ids or set(_NUMBER.findall(str(error.get("message"))))
    return named

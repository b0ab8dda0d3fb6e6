"""The tap's errors, classed by what happens next.

A message is one sentence in the user's words and ends with what to do. HubSpot's own category and correlation id
are kept, because HubSpot's support asks for them. Tokens, record contents and whole replies never appear.
"""

from __future__ import annotations

from typing import Any

from tap_hubspot_dw.shown import shown


class HubSpotError(Exception):
    """One stream cannot be read; the others continue and the run ends with a non-zero exit code."""

    exit_code = 1
    #: Whether `sync_history` of this run has the error; if not, the tap leaves a note for the next run.
    is_in_history = False

    def __init__(self, message: str, *, reply: dict[str, Any] | None = None) -> None:
        reply = reply or {}
        self.category = _word(reply.get("category")) or _word(reply.get("errorType"))
        self.correlation_id = _word(reply.get("correlationId"))
        traits = [f"category {self.category}"] if self.category else []
        if self.correlation_id:
            traits.append(f"correlation id {self.correlation_id}")
        super().__init__(shown(f"{message} ({', '.join(traits)})" if traits else message))


def _word(value: Any) -> str | None:
    """Return a field of an error if it is a non-empty text; HubSpot promises no such field (documented)."""
    return shown(value, 100) if isinstance(value, str) and value else None


class RunStoppedError(HubSpotError):
    """No stream can be read any more; the run stops and keeps its state so far."""


class SettingsError(RunStoppedError):
    """A setting is malformed or names something that does not exist."""


class AuthenticationError(RunStoppedError):
    """HubSpot does not accept the token."""


class UnreachableError(RunStoppedError):
    """HubSpot does not answer, gives no token, or asks for a longer wait than a run should take."""


class DailyLimitError(RunStoppedError):
    """The account's daily requests are used up."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: the same run succeeds later


class ForbiddenError(HubSpotError):
    """HubSpot refuses the request to this account or token, for any reason (403)."""


class MissingScopesError(ForbiddenError):
    """The token lacks a scope."""


class NoPipelinesError(HubSpotError):
    """HubSpot refuses a custom object's pipelines: it has none, or they cannot be read now (400, 403, 404)."""


class RequestError(HubSpotError):
    """HubSpot refuses this one request (400, 404, 409, 414) with the HTTP status `status`."""

    def __init__(self, message: str, *, status: int, reply: dict[str, Any] | None = None) -> None:
        self.status = status
        super().__init__(message, reply=reply)


class UnknownPairError(HubSpotError):
    """HubSpot has no associations from one object type to the other."""


class UnreadableReplyError(HubSpotError):
    """A reply is not JSON: truncated, empty or a web page; a retry may give a complete one."""


class MisshapenReplyError(UnreadableReplyError):
    """A reply is JSON of another shape than HubSpot documents."""


class ReplyError(HubSpotError):
    """A reply breaks a promise that complete reading depends on."""

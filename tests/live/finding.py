"""The result of a question: an answer, or what the portal needs for one."""

from __future__ import annotations

from dataclasses import dataclass

from tests.live.api_client import Reply


@dataclass(frozen=True)
class Finding:
    """An answer and its evidence; `product` says what the tap does, if it differs from the default."""

    answer: str
    evidence: str
    product: str = ""


def checked(*replies: Reply) -> None:
    """Check that HubSpot answered all requests.

    Raises:
        NeedsError: one of the replies is no answer.
    """
    for reply in replies:
        if not reply.is_answer:
            raise NeedsError("a token with more scopes" if reply.status == 403 else "another try", reply.summary)


class NeedsError(Exception):
    """The portal cannot answer; the message says what it needs."""

    def __init__(self, needs: str, evidence: str = "") -> None:
        super().__init__(needs)
        self.evidence = evidence

"""What a question finds: an answer, or what the portal lacks for one."""

from __future__ import annotations

from dataclasses import dataclass

from tests.live.asking import Reply


@dataclass(frozen=True)
class Finding:
    """An answer and its evidence; `product` where the tap does something else than by default."""

    answer: str
    evidence: str
    product: str = ""


def checked(*replies: Reply) -> None:
    """Let pass what HubSpot answered.

    Raises:
        NeedsError: one of the replies says nothing about what was asked.
    """
    for reply in replies:
        if not reply.is_answer:
            raise NeedsError("a token with more scopes" if reply.status == 403 else "another try", reply.told)


class NeedsError(Exception):
    """The portal cannot answer; the message is what it would need."""

    def __init__(self, needs: str, evidence: str = "") -> None:
        super().__init__(needs)
        self.evidence = evidence

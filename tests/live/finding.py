"""What a question finds: an answer, or what the portal lacks for one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """An answer and its evidence; `product` where the tap does something else than by default."""

    answer: str
    evidence: str
    product: str = ""


class NeedsError(Exception):
    """The portal cannot answer; the message is what it would need."""

    def __init__(self, needs: str, evidence: str = "") -> None:
        super().__init__(needs)
        self.evidence = evidence

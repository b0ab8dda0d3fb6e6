"""The associations between records: a pure function of the record numbers, plus the changes since.

The edges of a pair run in layers: in layer L, left record `a` meets right record `(a·P + L·S) mod N_right`. P and S
are coprime with N_right, so no edge repeats, and arithmetic gives the left records of a right record.
Left record 0 may be a hub, which meets right records 0 … H-1 instead. Only changed edges take memory.
An edge is visible while both its records are live.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd

from hubspot_sandbox.portal.association_types import LABELS, PAIRS, Label, Pair
from hubspot_sandbox.portal.record_states import LIVE
from hubspot_sandbox.portal.records import Records, mix

#: The most edges of a hub: enough for two pages of 500.
HUB_LIMIT = 650


def _coprime(start: int, modulus: int) -> int:
    step = max(1, start)
    while gcd(step, modulus) != 1:
        step += 1
    return step


@dataclass(frozen=True)
class Edges:
    """The seeded edges of one pair of types, `regular` ones in layers and `hub` ones; maps record numbers both ways."""

    pair: Pair
    left_count: int
    right_count: int
    regular: int
    hub: int

    @classmethod
    def of(cls, pair: Pair, left_count: int, right_count: int, wanted: int) -> Edges:
        """Make the wanted number of edges, or as many as there are different pairs of records."""
        if not left_count or not right_count:
            return cls(pair, left_count, right_count, 0, 0)
        hub = min(right_count, HUB_LIMIT, wanted * pair.hub_percent // 100) if left_count > 1 else 0
        rows = left_count - (1 if hub else 0)
        return cls(pair, left_count, right_count, min(wanted - hub, rows * right_count), hub)

    @property
    def _first(self) -> int:
        return 1 if self.hub else 0

    @property
    def _rows(self) -> int:
        return self.left_count - self._first

    @property
    def _steps(self) -> tuple[int, int]:
        return _coprime(self.right_count * 618 // 1000, self.right_count), _coprime(
            self.right_count * 382 // 1000, self.right_count
        )

    def rights_of(self, left: int) -> Iterator[tuple[int, int]]:
        """Iterate over (right, layer) of a seeded left record."""
        if self.hub and left == 0:
            yield from ((right, 0) for right in range(self.hub))
            return
        if not self.regular or left >= self.left_count:
            return
        along, between = self._steps
        for layer in range(len(range(left - self._first, self.regular, self._rows))):
            yield (left * along + layer * between) % self.right_count, layer

    def lefts_of(self, right: int) -> Iterator[tuple[int, int]]:
        """Iterate over (left, layer) of a seeded right record."""
        if right >= self.right_count:
            return
        if right < self.hub:
            yield 0, 0
        if not self.regular:
            return
        along, between = self._steps
        back = pow(along, -1, self.right_count)
        for layer in range((self.regular - 1) // self._rows + 1):
            rest = (right - layer * between) * back % self.right_count
            end = self._first + min(self._rows, self.regular - layer * self._rows)
            yield from ((left, layer) for left in range(rest, end, self.right_count) if left >= self._first)

    def labels(self, left: int, right: int, layer: int) -> list[int]:
        """The rows of the pair's label table that apply to a seeded edge; always row 0."""
        rows = [0]
        chance = mix(left * 31 + right * 7919, len(self.pair.left) + self.pair.share)
        for row in range(1, len(self.pair.labels)):
            if row == self.pair.primary:
                if layer == 0:
                    rows.append(row)
            elif chance >> (row * 3) & (3 if row == 1 else 7) == 0:
                rows.append(row)
        return rows


class Associations:
    """All edges of a portal, by record numbers. The two sides of an edge have different association type ids."""

    def __init__(self, records: dict[str, Records], wanted: int) -> None:
        self.records = records
        remaining = wanted
        self.edges: list[Edges] = []
        for pair in PAIRS:
            count = remaining if pair is PAIRS[-1] else min(remaining, wanted * pair.share // 100)
            edges = Edges.of(pair, records[pair.left].seeded, records[pair.right].seeded, count)
            remaining -= edges.regular + edges.hub
            self.edges.append(edges)
        self.changed: dict[tuple[str, int, str], dict[int, tuple[int, ...]]] = {}

    def _seeded(self, from_type: str, number: int, to_type: str) -> dict[int, set[int]]:
        type_ids: dict[int, set[int]] = {}
        if number >= self.records[from_type].seeded:
            return type_ids
        for edges in self.edges:
            pair = edges.pair
            if (pair.left, pair.right) == (from_type, to_type):
                for right, layer in edges.rights_of(number):
                    if not (right == number and from_type == to_type):
                        type_ids.setdefault(right, set()).update(
                            pair.labels[row][1] for row in edges.labels(number, right, layer)
                        )
            if (pair.right, pair.left) == (from_type, to_type):
                for left, layer in edges.lefts_of(number):
                    if not (left == number and from_type == to_type):
                        type_ids.setdefault(left, set()).update(
                            pair.labels[row][3] for row in edges.labels(left, number, layer)
                        )
        return type_ids

    def all_of(self, from_type: str, number: int, to_type: str) -> dict[int, tuple[int, ...]]:
        """The associated record numbers, ascending, with their type ids from this side; in any state of the records."""
        edges = {other: tuple(sorted(ids)) for other, ids in self._seeded(from_type, number, to_type).items()}
        for other, ids in self.changed.get((from_type, number, to_type), {}).items():
            if ids:
                edges[other] = ids
            else:
                edges.pop(other, None)
        return dict(sorted(edges.items()))

    def of(self, from_type: str, number: int, to_type: str) -> dict[int, tuple[int, ...]]:
        """The associations of a record with live records; empty if it is not live itself."""
        if self.records[from_type].state[number] != LIVE:
            return {}
        state = self.records[to_type].state
        return {other: ids for other, ids in self.all_of(from_type, number, to_type).items() if state[other] == LIVE}

    def _set(self, from_type: str, number: int, to_type: str, other: int, ids: set[int]) -> None:
        self.changed.setdefault((from_type, number, to_type), {})[other] = tuple(sorted(ids))

    def associate(self, from_type: str, number: int, to_type: str, other: int, type_id: int) -> Label:
        """Add one association type to an edge, and the unlabelled one as HubSpot does; KeyError for an unknown type."""
        table = LABELS[from_type, to_type]
        label = table[type_id]
        unlabelled = next(iter(table.values()))
        here = set(self.all_of(from_type, number, to_type).get(other, ())) | {type_id, unlabelled.type_id}
        self._set(from_type, number, to_type, other, here)
        there = set(self.all_of(to_type, other, from_type).get(number, ()))
        self._set(to_type, other, from_type, number, there | {label.inverse_type_id, unlabelled.inverse_type_id})
        return label

    def dissociate(self, from_type: str, number: int, to_type: str, other: int, type_id: int | None = None) -> bool:
        """Remove one association type, or all of them; return False if there was nothing to remove."""
        here = set(self.all_of(from_type, number, to_type).get(other, ()))
        if not here or (type_id is not None and type_id not in here):
            return False
        there = set(self.all_of(to_type, other, from_type).get(number, ()))
        if type_id is None:
            here, there = set(), set()
        else:
            here.discard(type_id)
            there.discard(LABELS[from_type, to_type][type_id].inverse_type_id)
        self._set(from_type, number, to_type, other, here)
        self._set(to_type, other, from_type, number, there)
        return True

    def move(self, type_id: str, loser: int, winner: int) -> int:
        """Move the edges of a merged record to the survivor; return how many."""
        moved = 0
        for from_type, to_type in LABELS:
            if from_type != type_id:
                continue
            for other, ids in self.all_of(type_id, loser, to_type).items():
                self.dissociate(type_id, loser, to_type, other)
                if to_type == type_id and other == winner:
                    continue
                moved += 1
                for association_type_id in ids:
                    self.associate(type_id, winner, to_type, other, association_type_id)
        return moved

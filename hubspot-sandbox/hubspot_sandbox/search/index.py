"""Search over one object type: matching record numbers in the asked order, quick enough to page a million records.

Conditions on `hs_object_id` become a range of record numbers; the rest of a group is matched once and kept, then only
records changed since are looked at again. The index may lag: it judges a changed record by what it was before.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from hubspot_sandbox.portal.records import LIVE, Records
from hubspot_sandbox.search.filter import comparable_as, number_bounds, value_test
from hubspot_sandbox.search_request import Filter, SearchRequest

#: Kept match lists per type; a list of a million numbers is about 8 MB beyond the numbers themselves.
_KEPT = 6
_REBUILD_AT = 200

NumberTest = Callable[[int], bool]


@dataclass
class _Matches:
    numbers: list[int]
    seen_changes: int


class SearchIndex:
    """Answers searches over `records`; `blind` names properties on which nothing is ever found."""

    def __init__(self, records: Records, *, blind: frozenset[str] = frozenset()) -> None:
        self.records = records
        self.blind = blind
        self._kept: OrderedDict[tuple[Filter, ...], _Matches] = OrderedDict()
        self._sorted: tuple[object, list[int]] | None = None

    def find(self, request: SearchRequest) -> tuple[int, list[int]]:
        """How many match, and the numbers of the page asked for."""
        self.records.catch_up_index()
        groups = request.groups or ((),)
        by_id = request.sort == ("hs_object_id", False)
        if by_id and len(groups) == 1 and not request.query:
            # The way everyone pages far: nothing is copied but the page.
            numbers, start, end = self._range(groups[0])
            first = start + request.offset
            return end - start, numbers[first : min(end, first + request.limit)]
        if len(groups) == 1:
            numbers = self._group(groups[0])
        else:
            numbers = sorted(set().union(*(self._group(group) for group in groups)))
        if request.query:
            numbers = [n for n in numbers if self._has_words(n, request.query)]
        ordered = self._ordered(numbers, request)
        return len(ordered), ordered[request.offset : request.offset + request.limit]

    # --- matching ------------------------------------------------------------------------------------------------

    def _group(self, group: tuple[Filter, ...]) -> list[int]:
        numbers, start, end = self._range(group)
        return numbers[start:end]

    def _range(self, group: tuple[Filter, ...]) -> tuple[list[int], int, int]:
        """A kept list of numbers, and where in it the matches of the group begin and end."""
        if any(condition.name in self.blind for condition in group):
            return [], 0, 0
        ranges = [number_bounds(c) if c.name == "hs_object_id" else None for c in group]
        rest = tuple(c for c, bounds in zip(group, ranges, strict=True) if bounds is None)
        low = max((b[0] for b in ranges if b), default=0)
        high = min((b[1] for b in ranges if b), default=float("inf"))
        numbers = self._matches(rest)
        start = bisect_left(numbers, self.records.first_number_from(int(max(low, 0))))
        if high == float("inf"):
            return numbers, start, len(numbers)
        end = bisect_left(numbers, self.records.first_number_from(int(max(high, -1)) + 1))
        return numbers, start, max(start, end)

    def _matches(self, conditions: tuple[Filter, ...]) -> list[int]:
        test = self._test(conditions)
        kept = self._kept.get(conditions)
        changes = self.records.changes
        if kept is None:
            found = _Matches(self._first_look(conditions, test), len(changes))
            self._kept[conditions] = found
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return found.numbers
        self._kept.move_to_end(conditions)
        if kept.seen_changes < len(changes):
            kept.numbers = self._looked_again(kept.numbers, set(changes[kept.seen_changes :]), test)
            kept.seen_changes = len(changes)
        return kept.numbers

    def _looked_again(self, numbers: list[int], changed: set[int], test: NumberTest) -> list[int]:
        if len(changed) > _REBUILD_AT:
            return sorted(set(numbers).difference(changed).union(n for n in changed if test(n)))
        for number in changed:
            place = bisect_left(numbers, number)
            there = place < len(numbers) and numbers[place] == number
            if test(number):
                if not there:
                    numbers.insert(place, number)
            elif there:
                del numbers[place]
        return numbers

    def _first_look(self, conditions: tuple[Filter, ...], test: NumberTest) -> list[int]:
        """All matches; a window on the modified time alone is read off the arrays, as it is what everyone pages by."""
        records, modified = self.records, self.records.type.modified_property
        bounds = [number_bounds(c) for c in conditions if c.name == modified]
        low = max((b[0] for b in bounds if b), default=-float("inf"))
        high = min((b[1] for b in bounds if b), default=float("inf"))
        lagging = set(records.lag.numbers())
        numbers = [n for n, at in enumerate(records.modified) if low <= at <= high]
        if lagging or not all(bounds) or len(bounds) < len(conditions):
            return [n for n in sorted(lagging.union(numbers)) if test(n)]
        state = records.state
        return [n for n in numbers if not state[n]]

    def _test(self, conditions: tuple[Filter, ...]) -> NumberTest:
        records = self.records
        modified = records.type.modified_property
        tests = [(c.name, value_test(c, records.definitions[c.name].type)) for c in conditions if c.name != modified]
        windows = [b for c in conditions if c.name == modified and (b := number_bounds(c))]
        odd = [value_test(c, "datetime") for c in conditions if c.name == modified and not number_bounds(c)]

        def test(number: int) -> bool:
            snapshot = records.lag.believed(number)
            state = records.state[number] if snapshot is None else snapshot.state
            if state != LIVE:
                return False
            at = records.modified[number] if snapshot is None else snapshot.modified_ms
            if not all(low <= at <= high for low, high in windows) or not all(t(str(at)) for t in odd):
                return False
            return all(t(self._value(number, name)) for name, t in tests)

        return test

    def _value(self, number: int, name: str) -> str | None:
        snapshot = self.records.lag.believed(number)
        return self.records.value(number, name, None if snapshot is None else snapshot.overrides)

    def _has_words(self, number: int, query: str) -> bool:
        texts = (self.records.value(number, n) for n in self.records.type.default_properties)
        return all(word in " ".join(t for t in texts if t).lower() for word in query.lower().split())

    # --- ordering ------------------------------------------------------------------------------------------------

    def _ordered(self, numbers: list[int], request: SearchRequest) -> list[int]:
        name, descending = request.sort or (self.records.type.created_property, False)
        if name == "hs_object_id":
            return numbers[::-1] if descending else numbers
        key = (request.groups, request.query, name, descending, len(self.records.changes))
        if self._sorted is None or self._sorted[0] != key:
            self._sorted = (key, sorted(numbers, key=self._sort_key(name), reverse=descending))
        return self._sorted[1]

    def _sort_key(self, name: str) -> Callable[[int], tuple[bool, float | str]]:
        records = self.records
        if name == records.type.modified_property:
            return lambda n: (False, records.modified[n])
        if name == records.type.created_property:
            return lambda n: (False, records.created_ms(n))
        convert = comparable_as(records.definitions[name].type)

        def key(number: int) -> tuple[bool, float | str]:
            value = records.value(number, name)
            converted = None if value is None else convert(value)
            return (converted is None, "" if converted is None else converted)

        return key

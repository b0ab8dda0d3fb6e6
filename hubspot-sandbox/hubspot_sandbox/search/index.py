"""The search index of one object type: sorted record numbers that match, fast enough to page a million records.

Conditions on `hs_object_id` become a range of record numbers. The other conditions of a group are evaluated once and
cached; afterwards only changed records are evaluated again. The index may lag: it then uses the old state of a changed
record.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from hubspot_sandbox.portal.record_states import LIVE
from hubspot_sandbox.portal.records import Records
from hubspot_sandbox.search.filter import comparable_as, number_bounds, value_test
from hubspot_sandbox.search_request import Filter, SearchRequest

#: Cached match lists per type; a list of a million numbers takes about 8 MB, without the numbers themselves.
_MAX_CACHED = 6
_REBUILD_AT = 200

NumberTest = Callable[[int], bool]


@dataclass
class _Matches:
    numbers: list[int]
    seen_changes: int


class SearchIndex:
    """Answers searches of `records`; a condition on one of the `unsearchable` properties matches no record."""

    def __init__(self, records: Records, *, unsearchable: frozenset[str] = frozenset()) -> None:
        self.records = records
        self.unsearchable = unsearchable
        self._cache: OrderedDict[tuple[Filter, ...], _Matches] = OrderedDict()
        self._sorted: tuple[object, list[int]] | None = None

    def find(self, request: SearchRequest) -> tuple[int, list[int]]:
        """Return the number of matches and the record numbers of the requested page."""
        self.records.catch_up_index()
        groups = request.groups or ((),)
        by_id = request.sort == ("hs_object_id", False)
        if by_id and len(groups) == 1 and not request.query:
            # Clients page through many records this way, so only the page is copied.
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
        """Return a cached list of numbers, and where in it the matches of the group begin and end."""
        if any(condition.name in self.unsearchable for condition in group):
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
        cached = self._cache.get(conditions)
        changes = self.records.changes
        if cached is None:
            matches = _Matches(self._evaluated(conditions, test), len(changes))
            self._cache[conditions] = matches
            if len(self._cache) > _MAX_CACHED:
                self._cache.popitem(last=False)
            return matches.numbers
        self._cache.move_to_end(conditions)
        if cached.seen_changes < len(changes):
            cached.numbers = self._reevaluated(cached.numbers, set(changes[cached.seen_changes :]), test)
            cached.seen_changes = len(changes)
        return cached.numbers

    def _reevaluated(self, numbers: list[int], changed: set[int], test: NumberTest) -> list[int]:
        if len(changed) > _REBUILD_AT:
            return sorted(set(numbers).difference(changed).union(n for n in changed if test(n)))
        for number in changed:
            place = bisect_left(numbers, number)
            is_in_list = place < len(numbers) and numbers[place] == number
            if test(number):
                if not is_in_list:
                    numbers.insert(place, number)
            elif is_in_list:
                del numbers[place]
        return numbers

    def _evaluated(self, conditions: tuple[Filter, ...], test: NumberTest) -> list[int]:
        """All matches; for a range of the modified time, the most frequent condition, only that array is read."""
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
        others = [value_test(c, "datetime") for c in conditions if c.name == modified and not number_bounds(c)]

        def test(number: int) -> bool:
            snapshot = records.lag.snapshot(number)
            state = records.state[number] if snapshot is None else snapshot.state
            if state != LIVE:
                return False
            at = records.modified[number] if snapshot is None else snapshot.modified_ms
            if not all(low <= at <= high for low, high in windows) or not all(t(str(at)) for t in others):
                return False
            return all(t(self._value(number, name)) for name, t in tests)

        return test

    def _value(self, number: int, name: str) -> str | None:
        snapshot = self.records.lag.snapshot(number)
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

"""Check associations against HubSpot: rows per pair, when each pair was read, and a sample read again through the tap.

HubSpot keeps no timestamp of an association, and creating or removing one changes neither record. So an association
that was created or removed after the last load cannot be distinguished from one that the load missed: it counts as a
difference. Associations of records that changed since the load are only counted.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from target_warehouse.commands.verify import histories
from target_warehouse.commands.verify import warehouse_facts as rows
from target_warehouse.commands.verify.findings import Finding, PairCheck, finding
from target_warehouse.commands.verify.fresh_copy import SCHEMA
from target_warehouse.tables.statements import identifier, literal
from target_warehouse.tables.table import DELETED_AT, TABLE_VERSION, own_column

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from target_warehouse.commands.verify.histories import Load
    from target_warehouse.commands.verify.warehouse_facts import News
    from target_warehouse.engines.protocol import Engine

_ENDS = ("from_object_type", "from_id", "to_object_type", "to_id")
_KEY = (*_ENDS, "association_category", "association_type_id")
_MOST_ROWS = 700  # over all pairs, live and marked each: the tap gets their ends in an environment variable
_IDS_AT_ONCE = 1_000  # ids per statement
_VERSIONS = (10**12, 10**14)  # the range of the tap's versions, which are milliseconds since 1970
_Key = tuple[str, ...]
_Pair = tuple[str, str]


def checks(engine: Engine, schema: str | None, load: Load) -> dict[_Pair, PairCheck]:
    """For each pair of object types: its rows, when it was last read, and when last in full, if known."""
    mark = identifier(load.mark)
    column = own_column(TABLE_VERSION, load.types)
    version = f"max(CASE WHEN {mark} IS NULL THEN {identifier(column)} END)" if column else "NULL"
    counts = engine.query(
        f"SELECT from_object_type, to_object_type, count(*), count({mark}), {version} FROM {load.name} "  # noqa: S608
        "GROUP BY 1, 2 ORDER BY 1, 2"
    )
    read = _last_read(engine, schema, load)
    return {
        (first, second): PairCheck(
            f"{first}:{second}", total - marked, marked, read.get(f"{first}:{second}"), _time_of(latest)
        )
        for first, second, total, marked, latest in counts
    }


def _time_of(version: Any) -> dt.datetime | None:
    if version is None or not _VERSIONS[0] < int(version) < _VERSIONS[1]:
        return None
    return dt.datetime.fromtimestamp(int(version) / 1000, dt.UTC).replace(tzinfo=None)


def _last_read(engine: Engine, schema: str | None, load: Load) -> dict[str, dt.datetime]:
    """When a run last read each pair completely; empty if the history is of an older release of the tap."""
    last_read: dict[str, dt.datetime] = {}
    for started_at, pairs in histories.pairs_read(engine, schema, load.stream):
        for name in pairs:
            last_read.setdefault(name, started_at)
    return last_read


def sample(engine: Engine, load: Load, pairs: Collection[_Pair], count: int, objects: Mapping[str, Load]) -> list[_Key]:
    """The ends of some live rows of each pair, and of some rows that are marked although both ends are live."""
    mark, ends = identifier(load.mark), ", ".join(f"t.{name}" for name in _ENDS)
    limit = min(count, max(_MOST_ROWS // max(len(pairs), 1), 1))
    chosen: list[_Key] = []
    for first, second in sorted(pairs) if limit else ():
        of_pair = f"t.from_object_type = {literal(first)} AND t.to_object_type = {literal(second)}"
        alive = "".join(
            f" AND EXISTS (SELECT 1 FROM {objects[stream].name} AS o WHERE o.id = t.{end} "  # noqa: S608
            f"AND o.{identifier(objects[stream].mark)} IS NULL)"
            for stream, end in ((first, "from_id"), (second, "to_id"))
            if stream in objects
        )
        for condition in (f"t.{mark} IS NULL", f"t.{mark} IS NOT NULL{alive}"):
            sql = f"SELECT {ends} FROM {load.name} AS t WHERE {of_pair} AND {condition} ORDER BY random() LIMIT {limit}"  # noqa: S608
            chosen += [tuple(map(str, row)) for row in engine.query(sql)]
    return chosen


def ids_of(sampled: Iterable[_Key], objects: Collection[str]) -> dict[str, set[str]]:
    """The ids of the ends, by object, without those that the tap cannot read by id."""
    ids: dict[str, set[str]] = defaultdict(set)
    for first, from_id, second, to_id in sampled:
        for stream, id_ in ((first, from_id), (second, to_id)):
            if stream in objects and id_.isascii() and id_.isdigit():
                ids[stream].add(id_)
    return ids


def compared(
    engine: Engine,
    fresh: Engine,
    load: Load,
    pairs: Mapping[_Pair, PairCheck],
    asked: Mapping[str, Collection[str]],
    news: Mapping[str, Mapping[str, News]],
    objects: Mapping[str, Load],
) -> Iterator[Finding]:
    """Yield the differences between rows and HubSpot for associations of `asked` records; adds counts to `pairs`."""
    read = {name for _, names in histories.pairs_read(fresh, SCHEMA, load.stream) for name in names}
    live = {
        stream: {id_ for id_ in ids if id_ in news[stream] and not news[stream][id_].is_deleted}
        for stream, ids in asked.items()
    }
    changed = {stream: rows.changed_since(load, records) for stream, records in news.items()}
    in_warehouse = _rows_of(engine, load.name, load.mark, live) if read else {}
    in_hubspot = _rows_of(fresh, identifier(SCHEMA, load.table), DELETED_AT, live) if read else {}
    missing, marked, extra, relabelled = (list[_Key]() for _ in range(4))
    for key in sorted(in_warehouse.keys() | in_hubspot.keys()):
        pair = (key[0], key[2])
        if f"{pair[0]}:{pair[1]}" not in read:
            continue
        check = pairs.get(pair)
        if any(id_ in changed.get(stream, ()) for stream, id_ in ((key[0], key[1]), (key[2], key[3]))):
            if check:
                check.changed_since += 1
            continue
        row, record = in_warehouse.get(key), in_hubspot.get(key)
        if check and row is not None and row[0]:  # the number of live rows is what it is compared with
            check.sampled += 1
        if record is not None and row is None:
            missing.append(key)
        elif record is not None and row is not None and not row[0]:
            marked.append(key)
        elif record is None and row is not None and row[0]:
            extra.append(key)
        elif record is not None and row is not None and row[1] != record[1]:
            relabelled.append(key)
    extra = _unexplained(engine, extra, objects)
    of = f"of {len(in_warehouse.keys() | in_hubspot.keys()):,} associations read again"
    for keys, what in (
        (marked, "are marked as deleted, but HubSpot has them"),
        (missing, "are missing in the table, but HubSpot has them"),
        (extra, "are live in the table, but HubSpot does not have them"),
        (relabelled, "have another label in HubSpot"),
    ):
        if keys:
            yield finding("associations", load.stream, f"{len(keys):,} {of} {what}.", map(_shown, keys))
    unread = sorted(f"{first}:{second}" for first, second in pairs if f"{first}:{second}" not in read)
    if unread:
        text = f"not compared: {', '.join(unread)}, which the tap does not read with its settings here."
        yield Finding("associations", load.stream, text, is_drift=False)


def _unexplained(engine: Engine, extra: Sequence[_Key], objects: Mapping[str, Load]) -> list[_Key]:
    """The extra associations without those of records marked as deleted, which another check reports."""
    dead: dict[str, set[str]] = {}
    for stream in {key[at] for key in extra for at in (0, 2)} & objects.keys():
        ids = sorted({key[at + 1] for key in extra for at in (0, 2) if key[at] == stream})
        dead[stream] = {id_ for id_, row in rows.rows_of(engine, objects[stream], ids).items() if not row.is_live}
    return [key for key in extra if not any(key[at + 1] in dead.get(key[at], ()) for at in (0, 2))]


def _rows_of(
    engine: Engine, table: str, mark: str, ids: Mapping[str, Collection[str]]
) -> dict[_Key, tuple[bool, str | None]]:
    """For each association of these records, by key: whether it is live, and its label."""
    associations: dict[_Key, tuple[bool, str | None]] = {}
    columns = ", ".join(_KEY)
    for stream, chosen in ids.items():
        texts = sorted(chosen)
        for at in range(0, len(texts), _IDS_AT_ONCE):
            some = ", ".join(map(literal, texts[at : at + _IDS_AT_ONCE]))
            for end in ("from", "to"):
                sql = (
                    f"SELECT {identifier(mark)} IS NULL, label, {columns} FROM {table} "  # noqa: S608 - quoted
                    f"WHERE {end}_object_type = {literal(stream)} AND {end}_id IN ({some})"
                )
                associations |= {tuple(map(str, key)): (bool(live), label) for live, label, *key in engine.query(sql)}
    return associations


def _shown(key: _Key) -> str:
    return f"{key[0]} {key[1]} to {key[2]} {key[3]} as {key[4]} {key[5]}"


def of_passes(
    check_age: dt.timedelta | None, load: Load, pairs: Mapping[_Pair, PairCheck], now: dt.datetime
) -> Iterator[Finding]:
    """Yield a finding for each pair that the last run did not read; a difference if its age exceeds the limit."""
    newest = max((check.last_read for check in pairs.values() if check.last_read), default=None)
    if newest is None:
        return
    for check in pairs.values():
        if not check.live_rows or check.last_read == newest:
            continue
        when = f"since {check.last_read:%Y-%m-%d %H:%M:%S} UTC" if check.last_read else "by any run in the history"
        is_old = check_age is not None and (check.last_read is None or now - check.last_read > check_age)
        text = (
            f"{check.pair} was not read {when}, because the last run's settings exclude it or the run failed: "
            f"its {check.live_rows:,} live rows may be out of date."
        )
        yield Finding("passes", load.stream, text, is_old)

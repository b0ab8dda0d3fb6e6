"""The fast and the slow path give the same rows: groups with one line that is not plain, in the middle of plain lines.

`test_singer_streams.py` compares both paths for every stream of the corpus.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.singer.sink import WarehouseSink
from target_warehouse.singer.target import TargetWarehouse
from tests.target.both_paths import SlowTarget, contents, load
from tests.target.properties import PROPERTIES as SCHEMA

if TYPE_CHECKING:
    from conftest import Warehouse

    from target_warehouse.decode.record_groups import RecordGroup


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the groups that the fast path loaded."""
    sizes: list[int] = []
    take = WarehouseSink.take_group

    def note_size(self: WarehouseSink, group: RecordGroup) -> None:
        sizes.append(group.rows)
        take(self, group)

    monkeypatch.setattr(WarehouseSink, "take_group", note_size)
    return sizes


def assert_same(warehouse: Warehouse, text: str, **config: Any) -> dict[str, list[dict[str, Any]]]:
    load(TargetWarehouse, text, warehouse.url, "fast", **config)
    load(SlowTarget, text, warehouse.url, "slow", **config)
    with warehouse.opened():
        fast, slow = contents(warehouse, "fast"), contents(warehouse, "slow")
    assert fast == slow
    return fast


def message(**parts: Any) -> str:
    return json.dumps(parts) + "\n"


def schema_line(properties: dict[str, Any] | None = None, keys: tuple[str, ...] = ("id",), **more: Any) -> str:
    return message(type="SCHEMA", stream="s", schema={"properties": properties or SCHEMA, **more}, key_properties=keys)


def record(number: int, **values: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"n{number}",
        "amount": number / 4,
        "at": f"2020-01-01T00:00:{number % 60:02d}.5+02:00",
        "day": "2020-02-29",
        "is_on": number % 2 == 0,
        "extra": {"a": [number, 1.5]},
        "must": "x",
        **values,
    }


def record_line(record: dict[str, Any]) -> str:
    return message(type="RECORD", stream="s", record=record, version=7, time_extracted="2026-01-02T03:04:05.678901Z")


PLAIN = "".join(record_line(record(number)) for number in range(40))
OTHERS = "".join(record_line(record(number, name="m")) for number in range(40))
LATER = "".join(record_line(record(number)) for number in range(20, 40))
STATE = message(type="STATE", value={"at": 1})


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in record(90).items() if key != name}


#: Texts of one line in the middle of plain lines.
NOT_PLAIN: dict[str, str] = {
    "a delete record": record_line({"id": 3, "_sdc_deleted_at": "2020-01-01T00:00:00Z"}),
    "a whole row that is deleted": record_line(record(3, _sdc_deleted_at="2020-01-01T00:00:00Z")),
    "a mark that is null": record_line(record(3, _sdc_deleted_at=None)),
    "an earlier key": record_line(record(3, name="later")),
    "an unknown property": record_line(record(3, unknown=1)),
    "an unknown property of an odd name": record_line(record(3, **{'a"b\\c\u0001': 1})),
    "no key": record_line(without("id")),
    "a null key": record_line(record(0, id=None)),
    "a key as text": record_line(record(0, id="5")),
    "a key as a decimal": record_line(record(0, id=5.0)),
    "a key as a list": record_line(record(0, id=[5])),
    "a missing property": record_line(without("name")),
    "a missing property that may not be null": record_line(without("must")),
    "a null that may not be": record_line(record(3, must=None)),
    "a number as text": record_line(record(3, amount="1.5")),
    "text as a number": record_line(record(3, name=5)),
    "a boolean as a number": record_line(record(3, is_on=1)),
    "a wide integer": record_line(record(2**70)),
    "a wide number": record_line(record(3)).replace("0.75", "12345678901234567890123.5"),
    "a long fraction": record_line(record(3)).replace("0.75", "0.1234567890123456789012345"),
    "an exponent": record_line(record(3)).replace("0.75", "7.5e-1"),
    "NaN": record_line(record(3)).replace("0.75", "NaN"),
    "NUL in text": record_line(record(3, name="a\0b")),
    "NUL in an object": record_line(record(3, extra={"k\0": "\0"})),
    "half a surrogate pair": record_line(record(3, name="x")).replace('"x"', '"\\ud800"', 1),
    "the year 0": record_line(record(3, at="0000-01-01T00:00:00Z")),
    "the year 10000": record_line(record(3, at="10000-01-01T00:00:00Z")),
    "no time zone": record_line(record(3, at="2020-01-01T00:00:00")),
    "nanoseconds": record_line(record(3, at="2020-01-01T00:00:00.123456789Z")),
    "no date": record_line(record(3, day="2020-02-30")),
    "an empty text": record_line(record(3, name="")),
    "a list as an object": record_line(record(3, extra=[1, {"b": None}])),
    "metadata of its own": record_line(record(3, _sdc_sequence=5, _sdc_batched_at="never", _sdc_table_version="x")),
    "a name twice": record_line(record(3)).replace('"name": "n3"', '"name": "n3", "name": "twice"'),
    "another stream at the end": record_line(record(3)).replace('"version"', '"stream": "s", "version"'),
    "no version": message(type="RECORD", stream="s", record=record(3)),
    "a version that is text": message(type="RECORD", stream="s", record=record(3), version="x"),
    "a time that is none": message(type="RECORD", stream="s", record=record(3), time_extracted="soon"),
    "an empty time": message(type="RECORD", stream="s", record=record(3), time_extracted=""),
    "the stream first": message(stream="s", type="RECORD", record=record(3)),
    "the record first": message(record=record(3), stream="s", type="RECORD"),
    "spaces": " " + record_line(record(3)).replace('"type": "RECORD"', '"type" :  "RECORD"'),
    "a state": STATE,
    "a blank line": "\n",
    "CRLF": record_line(record(3)).replace("\n", "\r\n"),
    "the same schema": schema_line(),
    "a wider schema": schema_line({**SCHEMA, "amount": {"type": ["string", "number", "null"]}}),
    "a schema with constraints": schema_line({**SCHEMA, "name": {"type": ["string", "null"], "maxLength": 2}}),
    "a new version": message(type="ACTIVATE_VERSION", stream="s", version=7),
}


def stream_of(case: str, lines: str) -> str:
    """The lines with the case's name as the name of the stream."""
    return lines.replace('"stream": "s"', json.dumps({"stream": case})[1:-1])


def test_a_line_that_is_not_plain_makes_the_same_rows(warehouse: Warehouse, taken: list[int]) -> None:
    """Every case is a stream of its own in one run."""
    text = "".join(
        stream_of(case, schema_line() + PLAIN + STATE + line + LATER + STATE) for case, line in NOT_PLAIN.items()
    )
    tables = assert_same(warehouse, text)
    assert {case for case in NOT_PLAIN if len(tables[case]) < 40} == set()
    again = "".join(stream_of(case, schema_line() + OTHERS + STATE) for case in NOT_PLAIN)
    taken.clear()
    load(TargetWarehouse, again, warehouse.url, "fast")
    assert taken == [40] * len(NOT_PLAIN)  # the next run uses the fast path again


@pytest.mark.parametrize("keys", [(), ("name",), ("name", "day"), ("at",), ("amount", "is_on")], ids=",".join)
def test_keys_of_any_type_make_the_same_rows(keys: tuple[str, ...], warehouse: Warehouse, taken: list[int]) -> None:
    text = schema_line(keys=keys) + PLAIN + PLAIN.replace("+02:00", "+01:00") + STATE
    assert_same(warehouse, text)
    assert sum(taken) == 80


def turned_by(places: int, values: dict[str, Any]) -> dict[str, Any]:
    items = list(values.items())
    start = places % len(items)
    return dict(items[start:] + items[:start])


def test_properties_in_any_order_make_the_same_rows(warehouse: Warehouse, taken: list[int]) -> None:
    """Also if the first record has other or fewer properties than later records."""
    numbers = range(40)
    backwards = [record_line(dict(reversed(record(number).items()))) for number in numbers]
    turned = [record_line(turned_by(number, record(number))) for number in numbers]
    few = record_line({"must": "x", "id": 1, "_sdc_sequence": 3})
    text = schema_line() + few + "".join(backwards) + STATE + schema_line() + "".join(turned)
    tables = assert_same(warehouse, text.replace('"x"', '"y\\u0000"'))
    assert len(tables["s"]) == 40
    assert sum(taken) == 81
    text = schema_line() + record_line(record(3, unknown=1)) + "".join(backwards) + STATE + "".join(turned)
    assert_same(warehouse, text)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_batch_has_no_more_rows_than_it_may(size: int, warehouse: Warehouse, taken: list[int]) -> None:
    assert_same(warehouse, schema_line() + PLAIN + OTHERS + STATE, batch_size_rows=size)
    assert sum(taken) == 80
    assert max(taken) <= size


def test_streams_that_take_turns_make_the_same_rows(warehouse: Warehouse, taken: list[int]) -> None:
    other = (schema_line() + PLAIN).replace('"stream": "s"', '"stream": "other"').splitlines(keepends=True)
    lines = (schema_line() + PLAIN).splitlines(keepends=True)
    text = "".join(line + another + STATE for line, another in zip(lines, other, strict=True))
    assert_same(warehouse, text)
    assert taken == [40, 40]


@pytest.mark.parametrize(
    "config",
    [{"add_record_metadata": False, "activate_version": False}, {"hard_delete": True}, {"validate_records": False}],
)
def test_settings_mean_the_same_on_both_paths(config: dict[str, Any], warehouse: Warehouse, taken: list[int]) -> None:
    union = {**SCHEMA, "name": {"type": ["string", "integer", "null"]}}
    properties = union if "validate_records" in config else SCHEMA
    schema = schema_line(properties)
    assert_same(warehouse, schema + PLAIN + schema + NOT_PLAIN["a delete record"] + LATER + STATE, **config)
    assert taken == [40]


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_row_that_only_the_database_refuses_is_found_by_the_slow_path(
    warehouse: Warehouse, taken: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A user's CHECK refuses one row of a group: it is kept as a rejected record, and the others are loaded."""
    import psycopg

    for schema in ("fast", "slow"):
        load(TargetWarehouse, schema_line(), warehouse.url, schema)
        with psycopg.connect(warehouse.url) as connection:
            connection.execute(f"ALTER TABLE {schema}.s ADD CHECK (name <> 'n7')")  # type: ignore[arg-type]
    tables = assert_same(warehouse, schema_line() + PLAIN + STATE)
    assert len(tables["s"]) == 39
    assert len(tables["_rejected_records"]) == 1
    assert taken[0] == 40
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"at": 1}


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_batch_that_is_wrongly_assumed_to_be_new_is_still_written(warehouse: Warehouse, taken: list[int]) -> None:
    """More than a thousand rows are copied into an empty table without a check of their keys; then some come again."""
    rows = [record(number) for number in range(3000)]
    later = [{**row, "name": "later"} for row in rows[1000:]]
    text = schema_line() + "".join(map(record_line, rows)) + "".join(map(record_line, later)) + STATE
    tables = assert_same(warehouse, text, batch_size_rows=3000)
    assert sum(row["name"] == "later" for row in tables["s"]) == 2000
    assert sum(taken) == 5000
    history = warehouse.query("SELECT inserted, updated FROM fast._load_history")
    assert history == [{"inserted": 3000, "updated": 2000}]

"""PostgreSQL can leave out writes without an error; a run whose rows are then stale or missing does not succeed."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import LoadError
from target_warehouse.singer.target import TargetWarehouse
from tests.conftest import PostgresWarehouse

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    StartTarget = Callable[..., subprocess.Popen[bytes]]

SCHEMA = {"properties": {"id": {"type": "integer"}, "v": {"type": ["string", "null"]}}}
DELETED = {"_sdc_deleted_at": "2026-01-01T00:00:00Z"}
ACTIVATE: dict[str, Any] = {"type": "ACTIVATE_VERSION", "stream": "s", "version": 5}
FILLED = ("CREATE TABLE melty.s (id bigint PRIMARY KEY, v text)", "INSERT INTO melty.s VALUES (1, 'old'), (2, 'old')")
KEYLESS = ("CREATE TABLE melty.s (id bigint, v text)", "INSERT INTO melty.s VALUES (1, 'old'), (2, 'old')")
STATE: dict[str, Any] = {"type": "STATE", "value": {"x": 1}}
HARD, OVERWRITE = {"hard_delete": True}, {"load_method": "overwrite"}
NEW, UNKNOWN, GONE = {"id": 1, "v": "new"}, {"id": 3, "v": "new"}, {"id": 1, **DELETED}


def _trigger(when: str, body: str, table: str = "s") -> tuple[str, str]:
    function = f"CREATE FUNCTION melty.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
    return function, f"CREATE TRIGGER t {when} ON melty.{table} FOR EACH ROW EXECUTE FUNCTION melty.f()"


def _null(when: str, table: str = "s") -> tuple[str, str]:
    return _trigger(when, "RETURN NULL;", table)


def _lines(*messages: dict[str, Any], keys: tuple[str, ...] = ("id",)) -> str:
    lines: list[Any] = [{"type": "SCHEMA", "stream": "s", "key_properties": keys, "schema": SCHEMA}]
    lines += [
        message if "type" in message else {"type": "RECORD", "stream": "s", "record": message, "version": 5}
        for message in messages
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def _run(url: str, *messages: dict[str, Any], keys: tuple[str, ...] = ("id",), **config: Any) -> None:
    TargetWarehouse(config={"warehouse": url, **config}).run(io.StringIO(_lines(*messages, keys=keys)))


PARTITIONED = (
    "CREATE TABLE melty.s (id bigint PRIMARY KEY, v text) PARTITION BY RANGE (id)",
    "CREATE TABLE melty.low PARTITION OF melty.s FOR VALUES FROM (0) TO (3)",
    "CREATE TABLE melty.high PARTITION OF melty.s FOR VALUES FROM (3) TO (9)",
    "INSERT INTO melty.s VALUES (1, 'old'), (2, 'old')",
)
#: What the table has, the messages and settings, and what is left out.
SUPPRESSED: dict[str, tuple[tuple[str, ...], list[dict[str, Any]], dict[str, Any], str]] = {
    "a trigger, an update": ((*FILLED, *_null("BEFORE UPDATE")), [NEW, UNKNOWN], {}, "1 of 1 updates"),
    "a trigger, some updates": (
        (*FILLED, *_trigger("BEFORE UPDATE", "IF new.id = 1 THEN RETURN NULL; END IF; RETURN new;")),
        [NEW, {"id": 2, "v": "new"}], {}, "1 of 2 updates",
    ),
    "a trigger, an insert": ((*FILLED, *_null("BEFORE INSERT")), [NEW, UNKNOWN], {}, "1 of 1 inserts"),
    "a trigger of a partition": (
        (*PARTITIONED, *_null("BEFORE INSERT", "high")), [NEW, UNKNOWN], {}, "1 of 1 inserts",
    ),
    "a trigger, no keys": ((*KEYLESS, *_null("BEFORE INSERT")), [NEW], {"keys": ()}, "1 of 1 inserts"),
    "a trigger, a mark": ((*FILLED, *_null("BEFORE UPDATE")), [GONE], {}, "1 of 1 updates"),
    "a trigger, a deletion": ((*FILLED, *_null("BEFORE DELETE")), [GONE], HARD, "1 of 1 deletions"),
    "a trigger, a version": ((*FILLED, *_null("BEFORE UPDATE")), [ACTIVATE, STATE], {}, "2 of 2 deletions"),
    "a trigger, a version, hard": ((*FILLED, *_null("BEFORE DELETE")), [ACTIVATE, STATE], HARD, "2 of 2 deletions"),
    "a trigger, an overwrite": ((*FILLED, *_null("BEFORE DELETE")), [NEW], OVERWRITE, "2 of 2 deletions"),
    "a rule, a mark": ((*FILLED, "CREATE RULE r AS ON UPDATE TO melty.s DO INSTEAD NOTHING"),
                       [GONE], {}, "1 of 1 updates"),
    "a rule, a version": ((*FILLED, "CREATE RULE r AS ON UPDATE TO melty.s DO INSTEAD NOTHING"),
                          [ACTIVATE, STATE], {}, "2 of 2 deletions"),
    "a rule, an update": ((*FILLED, "CREATE RULE r AS ON DELETE TO melty.s DO INSTEAD NOTHING"),
                          [NEW], {}, "1 of 1 deletions"),
}  # fmt: skip


@pytest.mark.parametrize(("made", "messages", "config", "left_out"), list(SUPPRESSED.values()), ids=SUPPRESSED)
def test_a_write_that_the_database_leaves_out_ends_the_run(
    made: tuple[str, ...], messages: list[dict[str, Any]], config: dict[str, Any], left_out: str, postgres_url: str
) -> None:
    """The batch is rolled back, and nothing of it is counted."""
    warehouse = PostgresWarehouse(postgres_url)
    warehouse.execute("CREATE SCHEMA melty", *made)
    with pytest.raises(LoadError, match=f"The table s has a trigger, a rule .* suppressed {left_out}"):
        _run(postgres_url, *messages, **config)
    assert warehouse.rows("s", metadata=False) == [{"id": 1, "v": "old"}, {"id": 2, "v": "old"}]
    assert [row["_sdc_deleted_at"] for row in warehouse.rows("s", metadata=True)] == [None, None]
    (history,) = warehouse.rows("_load_history")
    assert [history[name] for name in ("status", "inserted", "updated", "deleted")] == ["failed", 0, 0, 0]


#: The key of the stream, what somebody does while the target runs, the message that follows, and what is left out.
LATER: dict[str, tuple[tuple[str, ...], tuple[str, ...], dict[str, Any], str]] = {
    "a trigger, an insert": (("id",), _null("BEFORE INSERT"), {"id": 9, "v": "new"}, "1 of 1 inserts"),
    "a trigger, an update": (("id",), _null("BEFORE UPDATE"), NEW, "1 of 1 updates"),
    "a trigger, a version": (("id",), _null("BEFORE UPDATE"), ACTIVATE, "2 of 2 deletions"),
    "a rule": (("id",), ("CREATE RULE r AS ON DELETE TO melty.s DO INSTEAD NOTHING",), GONE, "1 of 1 deletions"),
    "a trigger, no keys": ((), _null("BEFORE INSERT"), NEW, "1 of 1 inserts"),
}


@pytest.mark.parametrize(("keys", "made", "message", "left_out"), list(LATER.values()), ids=LATER)
def test_what_is_made_during_a_run_is_noticed_by_the_next_batch(
    keys: tuple[str, ...],
    made: tuple[str, ...],
    message: dict[str, Any],
    left_out: str,
    postgres_url: str,
    start_target: StartTarget,
    tmp_path: Path,
) -> None:
    warehouse = PostgresWarehouse(postgres_url)
    warehouse.execute("CREATE SCHEMA melty", *(FILLED if keys else KEYLESS))
    target = start_target(warehouse=postgres_url, commit_interval_seconds=0.05, hard_delete=message is GONE)
    assert target.stdin is not None
    assert target.stdout is not None
    target.stdin.write(_lines({"id": 3, "v": "x"}, STATE, keys=keys).encode())
    target.stdin.flush()
    assert json.loads(target.stdout.readline()) == STATE["value"]
    warehouse.execute(*made)
    printed, _ = target.communicate(_lines(message, {"type": "STATE", "value": {"x": 2}}, keys=keys).encode())
    assert (target.returncode, printed) == (1, b"")
    assert f"suppressed {left_out}" in (tmp_path / "stderr").read_text()


_INTO_CHILD = "INSERT INTO melty.child SELECT new.*; RETURN NULL;"
#: What the table has, and the key of the stream.
HARMLESS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a trigger that changes rows": ((*FILLED, *_trigger("BEFORE INSERT OR UPDATE", "RETURN new;")), ("id",)),
    "a trigger after the fact": ((*FILLED, *_null("AFTER INSERT OR UPDATE OR DELETE")), ("id",)),
    "a trigger that leaves out equal rows": (
        (*FILLED, ("CREATE TRIGGER t BEFORE UPDATE ON melty.s FOR EACH ROW "
                  "EXECUTE FUNCTION suppress_redundant_updates_trigger()")), ("id",),
    ),
    "partitions": (PARTITIONED, ("id",)),
    "a trigger that fills a child": (
        (*FILLED, "CREATE TABLE melty.child () INHERITS (melty.s)", *_trigger("BEFORE INSERT", _INTO_CHILD)), ("id",),
    ),
    "a trigger that fills a child, no keys": (
        (*KEYLESS, "CREATE TABLE melty.child () INHERITS (melty.s)", *_trigger("BEFORE INSERT", _INTO_CHILD)), (),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("made", "keys"), list(HARMLESS.values()), ids=HARMLESS)
def test_triggers_and_partitions_that_lose_nothing_are_no_obstacle(
    made: tuple[str, ...], keys: tuple[str, ...], postgres_url: str
) -> None:
    """Each record comes twice; without metadata the second time changes nothing."""
    warehouse = PostgresWarehouse(postgres_url)
    warehouse.execute("CREATE SCHEMA melty", *made)
    for _ in range(2):
        _run(postgres_url, NEW, UNKNOWN, keys=keys, add_record_metadata=False, activate_version=False)
    loaded = [(1, "new"), (3, "new")]
    expected = [*loaded, (2, "old")] if keys else [*loaded, *loaded, (1, "old"), (2, "old")]
    assert sorted((row["id"], row["v"]) for row in warehouse.rows("s")) == sorted(expected)


@pytest.fixture
def loader(postgres_url: str) -> Iterator[str]:
    """The URL of a role that row level security applies to; it owns the table `s`."""
    warehouse, role = PostgresWarehouse(postgres_url), "loader_" + postgres_url[-12:]
    warehouse.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'choose-one'",
        f"CREATE SCHEMA melty AUTHORIZATION {role}",
        *FILLED,
        f"ALTER TABLE melty.s OWNER TO {role}",
        "ALTER TABLE melty.s ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE melty.s FORCE ROW LEVEL SECURITY",
    )
    yield f"postgresql://{role}:choose-one@{postgres_url.split('@')[1]}"
    warehouse.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_row_level_security_that_begins_during_a_run_is_warned_of(
    postgres_url: str, loader: str, start_target: StartTarget, tmp_path: Path
) -> None:
    warehouse = PostgresWarehouse(postgres_url)
    switch = "ALTER TABLE melty.s {} ROW LEVEL SECURITY"
    warehouse.execute(switch.format("DISABLE"), "CREATE POLICY others ON melty.s USING (id <> 2) WITH CHECK (true)")
    target = start_target(warehouse=loader, commit_interval_seconds=0.05)
    assert target.stdin is not None
    assert target.stdout is not None
    target.stdin.write(_lines(NEW, STATE).encode())
    target.stdin.flush()
    assert json.loads(target.stdout.readline()) == STATE["value"]
    assert "row level security" not in (tmp_path / "stderr").read_text()
    warehouse.execute(switch.format("ENABLE"))
    target.communicate(_lines(UNKNOWN, {"type": "STATE", "value": {"x": 2}}).encode())
    assert (tmp_path / "stderr").read_text().count("Table s: row level security applies to the role") == 1


#: Messages, settings, and what row level security leaves out if only the row 2 may be changed.
PROTECTED: list[tuple[list[dict[str, Any]], dict[str, Any], str]] = [
    ([NEW, {"id": 2, "v": "new"}], {}, "1 of 2 updates"),
    ([GONE, {"id": 2, **DELETED}], {}, "1 of 2 updates"),
    ([GONE, {"id": 2, **DELETED}], HARD, "1 of 2 deletions"),
    ([ACTIVATE, STATE], {}, "1 of 2 deletions"),
]


@pytest.mark.parametrize(("messages", "config", "left_out"), PROTECTED)
def test_row_level_security_that_protects_rows_ends_the_run(
    messages: list[dict[str, Any]],
    config: dict[str, Any],
    left_out: str,
    postgres_url: str,
    loader: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    warehouse = PostgresWarehouse(postgres_url)
    warehouse.execute(
        "CREATE POLICY seen ON melty.s FOR SELECT USING (true)",
        "CREATE POLICY made ON melty.s FOR INSERT WITH CHECK (true)",
        "CREATE POLICY changed ON melty.s FOR UPDATE USING (id <> 1)",
        "CREATE POLICY removed ON melty.s FOR DELETE USING (id <> 1)",
    )
    with pytest.raises(LoadError, match=f"row level security that suppressed {left_out}"):
        _run(loader, *messages, **config)
    assert warehouse.rows("s") == [{"id": 1, "v": "old"}, {"id": 2, "v": "old"}]
    assert "rows that it hides are neither updated nor deleted" in caplog.text


def test_row_level_security_that_allows_everything_is_no_obstacle(postgres_url: str, loader: str) -> None:
    PostgresWarehouse(postgres_url).execute("CREATE POLICY all_rows ON melty.s USING (true)")
    _run(loader, NEW, UNKNOWN)
    rows = PostgresWarehouse(postgres_url).rows("s")
    assert [(row["id"], row["v"]) for row in rows] == [(1, "new"), (2, "old"), (3, "new")]

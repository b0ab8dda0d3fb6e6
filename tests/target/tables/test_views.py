"""Views of live rows for analysts: their contents, and that they survive every change of their tables."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from target_warehouse.errors import LoadError, SettingsError
from target_warehouse.settings import Settings
from target_warehouse.singer.target import TargetWarehouse
from tests.conftest import PostgresWarehouse

if TYPE_CHECKING:
    from conftest import Warehouse

TEXT = {"type": ["string", "null"]}
INTEGER = {"type": ["integer", "null"]}
OBJECT = {"id": TEXT, "merged_into_id": TEXT}
GONE = {"_sdc_deleted_at": "2026-01-02T03:04:05Z"}
ENDS = ("from_object_type", "from_id", "to_object_type", "to_id")


def _stream(name: str, columns: dict[str, Any], keys: tuple[str, ...], *records: dict[str, Any]) -> list[Any]:
    schema = {"properties": columns}
    lines: list[Any] = [{"type": "SCHEMA", "stream": name, "key_properties": list(keys), "schema": schema}]
    return lines + [{"type": "RECORD", "stream": name, "record": record} for record in records]


def _run(warehouse: Warehouse, lines: list[Any], *, url: str = "", **config: Any) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    settings = {"warehouse": url or warehouse.url, "default_target_schema": "crm", "views_schema": "live"}
    TargetWarehouse(config=settings | config).run(io.StringIO(text))


def _do(warehouse: Warehouse, *statements: str) -> None:
    """Run statements of another user of the database."""
    if warehouse.engine == "postgres":
        with psycopg.connect(warehouse.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)
        return
    import duckdb

    with duckdb.connect(warehouse.url.removeprefix("duckdb:///")) as connection:
        for statement in statements:
            connection.execute(statement)


def _things(*records: dict[str, Any], **more: Any) -> list[Any]:
    return _stream("things", {"id": TEXT, "n": INTEGER, **more}, ("id",), *records)


def _portal() -> list[Any]:
    contacts = {**OBJECT, "firstname": TEXT, "lastname": TEXT, "email": TEXT, "hubspot_owner_id": TEXT}
    deals = {**OBJECT, "dealname": TEXT, "pipeline": TEXT, "dealstage": TEXT}
    stage = {"object_type": TEXT, "pipeline_id": TEXT, "id": TEXT, "label": TEXT}
    association = {**dict.fromkeys(ENDS, TEXT), "label": TEXT}
    return [
        *_stream("owners", {"id": TEXT, "first_name": TEXT, "last_name": TEXT, "email": TEXT}, ("id",),
                 {"id": "7", "first_name": "Olga", "last_name": "", "email": "o@x.test"}),
        *_stream("pipelines", {"object_type": TEXT, "id": TEXT, "label": TEXT}, ("object_type", "id"),
                 {"object_type": "deals", "id": "p", "label": "Sales"},
                 {"object_type": "tickets", "id": "p", "label": "Support"}),
        *_stream("pipeline_stages", stage, ("object_type", "pipeline_id", "id"),
                 {"object_type": "deals", "pipeline_id": "p", "id": "s", "label": "Won"},
                 {"object_type": "deals", "pipeline_id": "q", "id": "s", "label": "Lost"}),
        *_stream("contacts", contacts, ("id",),
                 {"id": "1", "firstname": "Ann", "lastname": "Lee", "email": "a@x.test", "hubspot_owner_id": "7"},
                 {"id": "2", "firstname": "", "email": "b@x.test"},
                 {"id": "3", "firstname": "Gone", **GONE}),
        *_stream("divisions", {**OBJECT, "division_name": TEXT}, ("id",), {"id": "5", "division_name": "North"}),
        *_stream("deals", deals, ("id",),
                 {"id": "1", "dealname": "Deal 100%", "pipeline": "p", "dealstage": "s"},
                 {"id": "2", "pipeline": "unknown"}),
        *_stream("associations", association, ENDS,
                 dict(zip(ENDS, ("deals", "1", "contacts", "1"), strict=True), label="Buyer"),
                 dict(zip(ENDS, ("deals", "1", "contacts", "3"), strict=True), label="with one deleted"),
                 dict(zip(ENDS, ("deals", "2", "contacts", "2"), strict=True)) | GONE,
                 dict(zip(ENDS, ("divisions", "5", "contacts", "2"), strict=True)),
                 dict(zip(ENDS, ("2-9", "4", "deals", "2"), strict=True))),
    ]  # fmt: skip


def test_the_views_show_live_rows_with_names_next_to_the_ids(warehouse: Warehouse) -> None:
    """An association is live if both of its records are, if their tables exist; a stage belongs to its own pipeline."""
    _run(warehouse, _portal())
    contacts = warehouse.rows("live.contacts", metadata=True)
    assert [row["id"] for row in contacts] == ["1", "2"]
    assert contacts[0].items() >= {"hubspot_owner_name": "Olga", "hubspot_owner_email": "o@x.test"}.items()
    assert not [column for column in contacts[0] if column.startswith("_sdc_")]
    deals = warehouse.rows("live.deals")
    assert [(row["pipeline_name"], row["dealstage_name"]) for row in deals] == [("Sales", "Won"), (None, None)]
    associations = warehouse.rows("live.associations")
    assert sorted((row["from_name"] or "", row["label"] or "", row["to_name"]) for row in associations) == [
        ("", "", "2"),
        ("Deal 100%", "Buyer", "Ann Lee"),
        ("North", "", "b@x.test"),
    ]


def _versions(name: str, columns: dict[str, Any], keys: tuple[str, ...], *versions: list[dict[str, Any]]) -> list[Any]:
    """Several full refreshes of a stream, each a second later than the one before."""
    lines = _stream(name, columns, keys)
    for version, records in enumerate(versions, 1):
        at = f"2026-01-01T00:00:0{version}Z"
        record_lines = _stream(name, columns, keys, *records)[1:]
        lines += [{**line, "version": version, "time_extracted": at} for line in record_lines]
        lines.append({"type": "ACTIVATE_VERSION", "stream": name, "version": version})
    return lines


@pytest.mark.parametrize("more", [None, "team"])
def test_a_view_has_the_rows_of_its_table_however_many_rows_its_lookups_have(
    warehouse: Warehouse, more: str | None
) -> None:
    """Lookups without keys, or with one more column in the key; a live row counts first, then the newest former one."""
    object_type, team = {"object_type": "deals"}, {"team": TEXT}

    def key(*columns: str) -> tuple[str, ...]:
        return (*columns, more) if more else ()

    def owner(first: str, team: str, name: str) -> dict[str, Any]:
        return {"id": first, "first_name": name, "last_name": "Lee", "email": f"{name}@x.test", "team": team}

    owners = dict.fromkeys(("id", "first_name", "last_name", "email"), TEXT)
    pipelines = dict.fromkeys(("object_type", "id", "label"), TEXT)
    labels = [
        [{**object_type, "pipeline_id": "p", "id": "p", "label": label, "team": team} for team in ("a", label)]
        for label in ("old", "new")
    ]
    lines = [
        *_stream("deals", {**OBJECT, "hubspot_owner_id": TEXT, "pipeline": TEXT, "dealstage": TEXT}, ("id",),
                 {"id": "1", "hubspot_owner_id": "7", "pipeline": "p", "dealstage": "p"},
                 {"id": "2", "hubspot_owner_id": "8", "pipeline": "p"}),
        *_versions("owners", owners | team, key("id"),
                   [owner("7", "a", "First"), owner("8", "a", "Former")],
                   [owner("7", "b", "Second"), owner("8", "b", "Later")],
                   [owner("7", "c", "Third"), owner("9", "c", "Other")]),
        *_versions("pipelines", pipelines | team, key("object_type", "id"), *labels),
        *_versions("pipeline_stages", pipelines | {"pipeline_id": TEXT} | team, key("object_type", "pipeline_id", "id"),
                   *labels),
        *_versions("contacts", {**OBJECT, "firstname": TEXT} | team, key("id"),
                   [{"id": "5", "firstname": "Old", "team": "a"}],
                   [{"id": "5", "firstname": "Ann", "team": team} for team in ("b", "c")]),
        *_stream("associations", dict.fromkeys(ENDS, TEXT), ENDS,
                 dict(zip(ENDS, ("deals", "1", "contacts", "5"), strict=True))),
    ]  # fmt: skip
    _run(warehouse, lines)
    looked_up = ("id", "hubspot_owner_name", "hubspot_owner_email", "pipeline_name", "dealstage_name")
    assert [tuple(row[name] for name in looked_up) for row in warehouse.rows("live.deals")] == [
        ("1", "Third Lee", "Third@x.test", "new", "new"),
        ("2", "Later Lee", "Later@x.test", "new", None),
    ]
    assert [(row["from_name"], row["to_name"]) for row in warehouse.rows("live.associations")] == [("1", "Ann")]


def test_a_key_that_a_lookup_loses_changes_the_views(postgres_url: str) -> None:
    """A unique index in PostgreSQL spares the search for duplicates; rows of inheriting tables are not in it."""
    warehouse = PostgresWarehouse(postgres_url)
    owners = dict.fromkeys(("id", "first_name", "last_name", "email"), TEXT)
    deals = _stream("deals", {"id": TEXT, "hubspot_owner_id": TEXT}, ("id",), {"id": "1", "hubspot_owner_id": "7"})
    _run(warehouse, [*deals, *_stream("owners", owners, ("id",), {"id": "7", "first_name": "Ann"})])
    definition = "SELECT definition FROM pg_views WHERE schemaname = 'live' AND viewname = 'deals'"
    assert "DISTINCT" not in warehouse.query(definition)[0]["definition"]
    warehouse.execute("CREATE TABLE crm.more () INHERITS (crm.owners)", "INSERT INTO crm.more (id) VALUES ('7')")
    _run(warehouse, deals)
    assert [row["hubspot_owner_name"] for row in warehouse.rows("live.deals")] == ["Ann"]


def test_a_view_whose_definition_stays_is_not_touched(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    """A run with only some of the streams does not change other views; a view's missing columns are logged."""
    caplog.set_level("INFO")
    deals = _stream("deals", {"id": TEXT, "hubspot_owner_id": TEXT}, ("id",))
    _run(warehouse, [*deals, *_things({"id": "a"})])
    assert "New or changed views in the schema live: deals, things." in caplog.text
    assert "live.deals has no column hubspot_owner_name, because there is no HubSpot table owners" in caplog.text
    caplog.clear()
    _run(warehouse, _things({"id": "b"}))
    assert "view" not in caplog.text
    assert len(warehouse.rows("live.things")) == 2


def test_a_view_follows_its_table(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    """New columns come last, a column that becomes wider keeps its place, and a column that leaves the stream stays."""
    _run(warehouse, _things({"id": "a", "n": 1}))
    _run(warehouse, _things({"id": "b", "n": "two"}, n=TEXT, z=TEXT))
    _run(warehouse, _stream("things", {"id": TEXT}, ("id",), {"id": "c"}))
    rows = warehouse.rows("live.things")
    assert [list(row.values()) for row in rows] == [["a", "1", None], ["b", "two", None], ["c", None, None]]
    assert list(rows[0]) == ["id", "n", "z"]
    assert not [record for record in caplog.records if "view" in record.message and record.levelname == "WARNING"]


def test_a_view_does_not_prevent_a_column_from_becoming_wider_mid_stream(warehouse: Warehouse) -> None:
    """Not even the column of an association's end, which another table's view uses."""
    _run(warehouse, _portal())
    wider = {**OBJECT, "dealname": INTEGER, "amount": INTEGER}
    _run(warehouse, _stream("deals", wider, ("id",), {"id": "8", "amount": 2**70, "dealname": 3}))
    assert {"8": "3"}.items() <= {row["id"]: row["dealname"] for row in warehouse.rows("live.deals")}.items()
    narrow = {**OBJECT, "division_name": INTEGER}
    _run(warehouse, _stream("offices", narrow, ("id",), {"id": "1", "division_name": 4}))
    _run(warehouse, _stream("offices", {**OBJECT, "division_name": TEXT}, ("id",), {"id": "2", "division_name": "x"}))
    assert [row["division_name"] for row in warehouse.rows("live.offices")] == ["4", "x"]
    assert len(warehouse.rows("live.associations")) == 3


def test_a_view_of_a_wide_table_has_its_overflow_and_long_names(warehouse: Warehouse) -> None:
    many = {f"{'p' * 70}{i}": TEXT for i in range(1650)}
    columns = {**many, "id": TEXT}
    _run(warehouse, _stream("wide", columns, ("id",), {"id": "1", **dict.fromkeys(many, "x")}))
    (row,) = warehouse.rows("live.wide", metadata=True)
    overflow = row.pop("_sdc_overflow", {})
    assert (len(overflow) > 0) is (warehouse.engine == "postgres")
    assert len(row) + len(overflow) == 1651


def test_names_with_quotes_and_percent_signs_are_quoted(warehouse: Warehouse) -> None:
    odd = 'it\'s 100% "odd"'
    _run(warehouse, _stream(f"{odd}", {**OBJECT, odd: TEXT}, ("id",), {"id": "1", odd: "x"}))
    assert warehouse.query('SELECT * FROM "live"."it\'s 100% ""odd"""')[0][odd] == "x"


def test_views_and_tables_of_other_makers_are_not_changed(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    _do(warehouse, "CREATE SCHEMA live", "CREATE VIEW live.things AS SELECT 42 AS mine")
    _run(warehouse, _things({"id": "a"}))
    assert warehouse.rows("live.things") == [{"mine": 42}]
    assert "The view live.things is not created: another object has its name" in caplog.text


def test_a_users_view_on_ours_is_never_destroyed(warehouse: Warehouse) -> None:
    """New columns do not affect it. In PostgreSQL it keeps a column from changing its type, which the run reports."""
    _run(warehouse, _things({"id": "a", "n": 1}))
    _do(warehouse, "CREATE VIEW live.mine AS SELECT id, n FROM live.things")
    _run(warehouse, _things({"id": "b", "n": 2}, more=TEXT))
    assert "more" in warehouse.rows("live.things")[0]
    widened = _things({"id": "c", "n": "three"}, n=TEXT, more=TEXT)
    if warehouse.engine == "postgres":
        with pytest.raises(LoadError, match="other objects depend on it; drop the dependent objects, run again"):
            _run(warehouse, widened)
        assert len(warehouse.rows("live.mine")) == 2
        _do(warehouse, "DROP VIEW live.mine")
    _run(warehouse, widened)
    assert len(warehouse.rows("live.things")) == 3
    if warehouse.engine == "duckdb":
        assert len(warehouse.rows("live.mine")) == 3


def test_grants_on_a_view_outlive_its_changes(postgres_url: str) -> None:
    """A new column replaces the view; a new type drops and recreates it, like a name that the table takes."""
    warehouse = PostgresWarehouse(postgres_url)
    _run(warehouse, _things({"id": "a", "n": 1}))
    _do(
        warehouse,
        "GRANT SELECT ON live.things TO PUBLIC",
        "GRANT SELECT ON live.things TO pg_monitor WITH GRANT OPTION",
    )
    grants = "SELECT grantee, privilege_type AS kind, is_grantable AS more FROM information_schema.role_table_grants "
    grants += "WHERE table_name = 'things' AND table_schema = 'live' ORDER BY 1, 2"
    before = warehouse.query(grants)
    assert {row["grantee"] for row in before} >= {"PUBLIC", "pg_monitor"}
    _run(warehouse, _things({"id": "b"}, more=TEXT))
    _run(warehouse, _things({"id": "c", "n": "x"}, n=TEXT, more=TEXT))
    owned = {"hubspot_owner_id": TEXT}
    _run(warehouse, _stream("owners", dict.fromkeys(("id", "first_name", "last_name", "email"), TEXT), ("id",)))
    _run(warehouse, _things(**owned))
    assert "hubspot_owner_name" in warehouse.rows("live.things")[0]
    _run(warehouse, _things({"id": "d", "hubspot_owner_name": 5}, hubspot_owner_name=INTEGER, **owned))
    assert warehouse.query(grants) == before
    assert [row["hubspot_owner_name"] for row in warehouse.rows("live.things")] == [None, None, None, 5]


def test_views_that_may_not_be_created_are_reported_and_the_rows_are_loaded(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse = PostgresWarehouse(postgres_url)
    role = "loader_" + postgres_url[-12:]
    _do(
        warehouse,
        f"CREATE ROLE {role} LOGIN PASSWORD 'choose-one'",
        f"CREATE SCHEMA crm AUTHORIZATION {role}",
    )
    url = f"postgresql://{role}:choose-one@{postgres_url.split('@')[1]}"
    _run(warehouse, _things({"id": "a"}), url=url)
    assert len(warehouse.rows("crm.things")) == 1
    assert "The view live.things cannot be created or changed: permission denied" in caplog.text
    _do(warehouse, f"CREATE SCHEMA live AUTHORIZATION {role}")
    _run(warehouse, _things({"id": "a"}), url=url)
    assert len(warehouse.rows("live.things")) == 1
    _do(warehouse, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.mark.parametrize("tables", ["", "LIVE"])
def test_the_schema_of_views_must_differ_from_the_schema_of_tables(tables: str) -> None:
    with pytest.raises(SettingsError, match="views_schema"):
        Settings.from_config({"views_schema": "live", "default_target_schema": tables})

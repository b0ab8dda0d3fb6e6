"""Views for analysts: the live rows of every table, with names next to the ids. Pure: standard library only.

A view has the name and the columns of its table, without the columns that the target adds. `LOOKUPS` and `NAMES` hold
everything that is specific to HubSpot. A lookup column is added if the tables and columns that it needs exist. A lookup
never repeats a row: if its table can have several rows for a value, one is chosen, a live one before a former one, then
the newest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from target_warehouse.tables.statements import identifier, literal
from target_warehouse.tables.table import DELETED_AT, EXTRACTED_AT, OVERFLOW, own_column

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    Types = Mapping[str, str]
    #: For each table, the groups of columns whose values together occur once.
    Keys = Mapping[str, Collection[frozenset[str]]]

MADE_BY = "made by target-warehouse"
_TEXTS = ("text", "varchar", "character varying")


@dataclass(frozen=True)
class Lookup:
    """Columns that another table adds to a row.

    `on` maps columns of the other table to the columns of the row that they must equal; None stands for the name of the
    row's table. `adds` maps each new column to the columns of the other table whose texts it joins.
    """

    table: str
    on: Mapping[str, str | None]
    adds: Mapping[str, tuple[str, ...]]


def _pipeline(column: str, stage: str) -> tuple[Lookup, ...]:
    return (
        Lookup("pipelines", {"object_type": None, "id": column}, {f"{column}_name": ("label",)}),
        Lookup(
            "pipeline_stages",
            {"object_type": None, "pipeline_id": column, "id": stage},
            {f"{stage}_name": ("label",)},
        ),
    )


LOOKUPS = (
    Lookup(
        "owners",
        {"id": "hubspot_owner_id"},
        {"hubspot_owner_name": ("first_name", "last_name"), "hubspot_owner_email": ("email",)},
    ),
    *_pipeline("pipeline", "dealstage"),
    *_pipeline("hs_pipeline", "hs_pipeline_stage"),
)
#: Properties with the name of a record; the first that is not empty is used. A custom object often has a property
#: like `division_name`.
NAMES = (
    *(("firstname", "lastname"), ("email",), ("dealname",), ("hs_appointment_name",), ("name",), ("subject",)),
    *(("hs_name",), ("hs_title",), ("hs_meeting_title",), ("hs_call_title",), ("hs_email_subject",)),
    ("hs_task_subject",),
)
_OBJECT = {"id", "merged_into_id"}  # only tables of HubSpot objects have these columns and a mark of deleted rows
_ASSOCIATION = {"from_object_type", "from_id", "to_object_type", "to_id"}


@dataclass(frozen=True)
class View:
    """A view: its columns with their expressions, and FROM and WHERE. `lacks` names the columns that were left out."""

    name: str
    columns: Mapping[str, str]
    source: str
    live_rows_of: str
    lacks: tuple[str, ...] = field(default=(), compare=False)

    def select(self, first: Sequence[str] = ()) -> str:
        """The SELECT, with the columns `first` in front: a view can only be replaced if new columns are at its end."""
        order = [name for name in first if name in self.columns]
        order += [name for name in self.columns if name not in first]
        chosen = ", ".join(f"{self.columns[name]} AS {identifier(name)}" for name in order)
        return f"SELECT {chosen} {self.source}"

    @property
    def comment(self) -> str:
        """The comment on the view; by it the next run sees whether the view is up to date."""
        return f"{self.mark} ({hashlib.sha256(self.select().encode()).hexdigest()[:16]})"

    @property
    def mark(self) -> str:
        """The beginning of the comment; a view without it was not created by the target and is never changed."""
        return f"Live rows of {self.live_rows_of}, {MADE_BY}"


def views_of(schema: str, tables: Mapping[str, Types], keys: Keys) -> Iterator[View]:
    """A view for each table that marks deleted rows; `tables` maps the tables of the schema to their columns' types."""
    for name, types in sorted(tables.items()):
        if own_column(DELETED_AT, types) and not name.startswith("_"):
            yield _view(schema, name, tables, keys)


def _view(schema: str, name: str, tables: Mapping[str, Types], keys: Keys) -> View:
    types = tables[name]
    own = [column for column in types if not column.startswith("_sdc_") or column == OVERFLOW]
    columns = {column: f"t.{identifier(column)}" for column in own}
    joins, conditions, lacks = [f"FROM {identifier(schema, name)} AS t"], [_is_live("t", types)], []
    added: dict[str, str] = {}
    for number, lookup in enumerate(LOOKUPS):
        if not types.keys() >= {column for column in lookup.on.values() if column}:
            continue
        other, alias = tables.get(lookup.table, {}), f"l{number}"
        if not other.keys() >= {*lookup.on, *(part for parts in lookup.adds.values() for part in parts)}:
            lacks += [f"{column}, because there is no HubSpot table {lookup.table}" for column in lookup.adds]
            continue
        joins.append(_lookup_join(schema, name, types, lookup, alias, tables, keys))
        for column, parts in lookup.adds.items():
            added[column] = _joined(f"{alias}.{identifier(part)}" for part in parts)
    objects = {
        other: kinds
        for other, kinds in sorted(tables.items())
        if kinds.keys() >= _OBJECT and own_column(DELETED_AT, kinds)
    }
    if types.keys() >= _ASSOCIATION and objects:
        known = ", ".join(literal(object_type) for object_type in objects)
        for end in ("from", "to"):
            key = _as_text(f"t.{end}_id", types[f"{end}_id"])
            on = f"{end}_end.object_type = t.{end}_object_type AND {end}_end.id = {key}"
            joins.append(f"LEFT JOIN ({_ends(schema, objects, keys)}) AS {end}_end ON {on}")
            conditions.append(f"({end}_end.id IS NOT NULL OR t.{end}_object_type NOT IN ({known}))")
            added[f"{end}_name"] = f"{end}_end.name"
    taken = {column.casefold() for column in columns}
    lacks += [f"{column}, because the table has such a column" for column in added if column.casefold() in taken]
    columns |= {column: value for column, value in added.items() if column.casefold() not in taken}
    source = f"{' '.join(joins)} WHERE {' AND '.join(conditions)}"
    return View(name, columns, source, f"{schema}.{name}", tuple(lacks))


def _lookup_join(
    schema: str, name: str, types: Types, lookup: Lookup, alias: str, tables: Mapping[str, Types], keys: Keys
) -> str:
    """The join of a table with a lookup; it finds at most one row."""
    other, joined = tables[lookup.table], identifier(schema, lookup.table)

    def compared(alias: str) -> list[tuple[str, str]]:
        """The expressions that must be equal, over the lookup and over the table."""
        return [
            _compared(f"{alias}.{identifier(key)}", other[key], f"t.{identifier(column)}", types[column])
            if column
            else (f"{alias}.{identifier(key)}", literal(name))
            for key, column in lookup.on.items()
        ]

    if not _is_unique(lookup.on, keys.get(lookup.table, ())):
        parts = [part for parts in lookup.adds.values() for part in parts]
        chosen = ", ".join(f"o.{identifier(column)}" for column in (*lookup.on, *parts))
        joined = f"({_one_each([one for one, _ in compared('o')], chosen, f'{joined} AS o', other, parts)})"
    on = " AND ".join(f"{one} = {value}" for one, value in compared(alias))
    return f"LEFT JOIN {joined} AS {alias} ON {on}"


def _ends(schema: str, objects: Mapping[str, Types], keys: Keys) -> str:
    """A SELECT of the object type, id and name of every live record."""
    ends = []
    for name, types in objects.items():
        key = _as_text("o.id", types["id"])
        chosen = f"{literal(name)} AS object_type, {key} AS id, {_name(name, types)} AS name"
        source = f"{identifier(schema, name)} AS o WHERE {_is_live('o', types)}"
        is_unique = _is_unique(("id",), keys.get(name, ()))
        plain = f"SELECT {chosen} FROM {source}"  # noqa: S608 - quoted
        ends.append(plain if is_unique else f"({_one_each([key], chosen, source, types)})")
    return " UNION ALL ".join(ends)


def _is_unique(columns: Collection[str], keys: Collection[frozenset[str]]) -> bool:
    """Whether the values of these columns occur once."""
    return any(key <= set(columns) for key in keys)


def _one_each(each: Sequence[str], chosen: str, source: str, types: Types, parts: Iterable[str] = ()) -> str:
    """A SELECT of one row for each value of the expressions `each`: a live one before a former one, then the newest.

    The columns `parts` decide between rows of the same time, so that the view is the same each time it is read.
    """
    order = [*each]
    if mark := own_column(DELETED_AT, types):
        order.append(f"o.{identifier(mark)} DESC NULLS FIRST")
    if extracted := own_column(EXTRACTED_AT, types):
        order.append(f"o.{identifier(extracted)} DESC NULLS LAST")
    order += [_as_text(f"o.{identifier(part)}", types[part]) for part in parts]
    return f"SELECT DISTINCT ON ({', '.join(each)}) {chosen} FROM {source} ORDER BY {', '.join(order)}"  # noqa: S608


def _is_live(alias: str, types: Types) -> str:
    return f"{alias}.{identifier(own_column(DELETED_AT, types))} IS NULL"


def _name(table: str, types: Types) -> str:
    """The expression for the name of a record; its id if it has no name."""
    own = [(f"{stem}_name",) for stem in (table, table.removesuffix("s")) if stem]
    names = [[value for part in parts if (value := _property(part, types))] for parts in (*NAMES, *own)]
    choices = [_joined(values) for values in names if values]
    return f"coalesce({', '.join([*choices, _as_text('o.id', types['id'])])})"


def _property(name: str, types: Types) -> str | None:
    """The expression for a property: its column, or a member of the JSON column; None if there is neither."""
    if name in types:
        return f"o.{identifier(name)}"
    for column in ("properties", OVERFLOW):
        if types.get(column, "").lower() in ("json", "jsonb"):
            return f"(o.{identifier(column)} ->> {literal(name)})"
    return None


def _joined(values: Iterable[str]) -> str:
    """The texts, separated by spaces; null if all are null or empty."""
    texts = ", ".join(f"nullif(CAST({value} AS varchar), '')" for value in values)
    return f"nullif(concat_ws(' ', {texts}), '')"


def _compared(one: str, one_type: str, other: str, other_type: str) -> tuple[str, str]:
    """The expressions by which two columns are compared: as texts, if their types differ."""
    if one_type == other_type:
        return one, other
    return _as_text(one, one_type), _as_text(other, other_type)


def _as_text(value: str, kind: str) -> str:
    return value if kind.lower() in _TEXTS else f"CAST({value} AS varchar)"

"""The table and columns of a stream, from its JSON schema. Pure: standard library only.

A column has a *kind*, which decides how its values become Arrow and which database type an engine gives it. The choice
follows meltanolabs-target-postgres 0.8.1 (`JSONSchemaToPostgres`), except for unions, whose values must all fit
(`unions`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from target_warehouse.shown import shown
from target_warehouse.tables.fitted_names import hashed
from target_warehouse.tables.unions import IS_LOOSE, column_schema, is_nullable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DELETED_AT = "_sdc_deleted_at"
#: The column of a table that cannot have more columns: a JSON object with the properties that have no column.
OVERFLOW = "_sdc_overflow"
TABLE_VERSION = "_sdc_table_version"
EXTRACTED_AT = "_sdc_extracted_at"
BATCHED_AT = "_sdc_batched_at"
RECEIVED_AT, SEQUENCE, STARTED_AT = "_sdc_received_at", "_sdc_sequence", "_sdc_sync_started_at"
#: Properties that a record cannot set: the SDK's metadata replaces them, or nothing does if metadata is switched off.
METADATA = (EXTRACTED_AT, RECEIVED_AT, BATCHED_AT, SEQUENCE, TABLE_VERSION, STARTED_AT)
_NUMBERS = (SEQUENCE, TABLE_VERSION, STARTED_AT)
#: Beginnings of the types of columns that may hold metadata: our own, and those of other loaders with the same meaning.
_NUMBER_TYPES = (
    *("smallint", "integer", "bigint", "hugeint", "numeric", "decimal", "double", "real", "float"),
    *("tinyint", "uint", "usmall", "utiny", "ubig"),
)
_TIME_TYPES = ("timestamp", "date", "text", "varchar", "character")

_FORMATS = {name: name for name in ("date-time", "date", "time", "uuid")}
_SCALARS = {"integer": "integer", "number": "number", "boolean": "boolean"}

#: Keywords by which a schema forbids values that their column would accept.
_ASSERTIONS = frozenset(
    [
        *("allOf", "anyOf", "not", "if", "enum", "const", "pattern", "multipleOf", "items", "prefixItems", "contains"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems"),
        *("maxItems", "uniqueItems", "minProperties", "maxProperties", "properties", "patternProperties"),
        *("additionalProperties", "propertyNames", "required", "dependentRequired", "dependentSchemas"),
    ]
)
_CHECKED_AT_THE_TOP = frozenset(["properties", "required"])


@dataclass(frozen=True)
class Column:
    """One column of a stream's table. `schema` is the property's JSON schema, reduced to one type (`unions`).

    `name` is the column's name in the database, and `stored` its type there, in lower case. Until the engine has
    prepared the table, `name` is the property's name and `stored` is empty. A column with `members` holds these
    properties as one JSON object. In a key (`is_key`), equal objects and lists have the same text.
    """

    property: str
    kind: str
    is_nullable: bool
    is_required: bool
    schema: Mapping[str, Any] = field(compare=False, repr=False)
    name: str = ""
    stored: str = ""
    members: tuple[str, ...] = ()
    is_key: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.property)


@dataclass(frozen=True)
class Table:
    """A stream's table: its place, columns and keys. `schema` is None for the database's default schema.

    `keys` are properties. `comment` is the title and description of the stream's schema; it may be empty.
    """

    schema: str | None
    name: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    comment: str = field(default="", compare=False)

    @cached_property
    def by_property(self) -> dict[str, Column]:
        """The columns by property, without columns that hold several properties."""
        return {column.property: column for column in self.columns if not column.members}

    def of(self, properties: frozenset[str]) -> Table:
        """The table with only these of its properties."""
        columns = []
        for column in self.columns:
            members = tuple(name for name in column.members if name in properties)
            if members or (not column.members and column.property in properties):
                columns.append(replace(column, members=members))
        return replace(self, columns=tuple(columns))

    def with_mark_of(self, types: Mapping[str, str]) -> Table:
        """The table with the column that marks deleted rows, if the table in the database, of these columns, has it.

        Without it, a record would not clear the mark of its row, and a delete record would not set it.
        """
        if DELETED_AT in self.by_property or own_column(DELETED_AT, types) is None:
            return self
        schema = {"type": ["string", "null"], "format": "date-time"}
        mark = Column(DELETED_AT, "date-time", is_nullable=True, is_required=False, schema=schema)
        return replace(self, columns=(*self.columns, mark))

    @property
    def mark(self) -> str | None:
        """The name of the column that marks deleted rows, if the table has one."""
        column = self.by_property.get(DELETED_AT)
        return column.name if column else None

    @property
    def version_columns(self) -> tuple[str, str]:
        """The names of the columns for the version and for the mark of deleted rows; the table must have both."""
        return self.by_property[TABLE_VERSION].name, self.by_property[DELETED_AT].name

    @property
    def key_columns(self) -> list[Column]:
        """The columns of the keys, in the keys' order."""
        return [self.by_property[key] for key in self.keys]

    @property
    def key_names(self) -> list[str]:
        """The names of the keys' columns."""
        return [column.name for column in self.key_columns]


def table_of(
    stream: str, schema: Mapping[str, Any], keys: Sequence[str], *, default_schema: str, interpret_encoding: bool
) -> Table:
    """The table of a stream, named like in target-postgres.

    The name is the part of the stream's name after the last hyphen. The schema is `default_schema` or, without one, the
    part before it (`crm-contacts` becomes `crm.contacts`).
    """
    parts = stream.split("-")
    own_schema = parts[-2] if len(parts) in (2, 3) else None
    required = set(schema.get("required", ()))
    columns = tuple(
        Column(
            name,
            kind_of(prop, interpret_encoding=interpret_encoding),
            is_nullable=is_nullable(prop),
            is_required=name in required,
            schema=column_schema(prop),
            is_key=name in keys,
        )
        for name, prop in schema["properties"].items()
    )
    return Table(default_schema or own_schema, parts[-1], columns, tuple(dict.fromkeys(keys)), comment_of(schema))


def own_column(name: str, types: Mapping[str, str]) -> str | None:
    """The target's own column of this name in a table with columns of these types; None if there is none.

    The column has another name if the table already had a different column of that name: a source may send
    `_SDC_DELETED_AT`, and another loader may keep `_sdc_deleted_at` as a boolean.
    """
    if (other := hashed(name)) in types:
        return other
    fitting = _NUMBER_TYPES if name in _NUMBERS else _TIME_TYPES
    return name if types.get(name, "").lower().startswith(fitting) else None


_LONGEST_COMMENT = 10_000


def is_loose(column: Column) -> bool:
    """Whether a text that does not fit the column's kind makes the column a text column."""
    return IS_LOOSE in column.schema


def comment_of(schema: Mapping[str, Any]) -> str:
    """The title and the description of a schema, as one text that every database can store."""
    texts = [text.strip() for key in ("title", "description") if isinstance(text := schema.get(key), str)]
    if len(texts) > 1 and texts[1].casefold().startswith(texts[0].casefold()):
        texts = texts[1:]
    return shown(": ".join(filter(None, texts)), _LONGEST_COMMENT)


def changed_comments(table: Table, found: Mapping[str | None, str | None]) -> dict[str | None, str]:
    """The comments that the database does not have yet, by column name; None is the name of the table's comment."""
    wanted: dict[str | None, str] = {None: table.comment} | {
        column.name: comment_of(column.schema) for column in table.columns
    }
    return {name: text for name, text in wanted.items() if text and text != found.get(name)}


def kind_of(prop: Mapping[str, Any], *, interpret_encoding: bool = False) -> str:
    """The kind of the column of one property."""
    schema = column_schema(prop)
    types = [name for name in _listed(schema.get("type")) if name != "null"]
    if not types:
        return "text"
    if types[0] in ("object", "array"):
        return "json"
    if types[0] != "string":
        return _SCALARS[types[0]]
    if interpret_encoding and schema.get("contentEncoding") == "base16":
        return "bytes"
    return _FORMATS.get(schema.get("format", ""), "string")


def needs_validator(schema: Mapping[str, Any]) -> bool:
    """Whether a schema has constraints that the conversion of records into rows does not check.

    The conversion checks types, formats that have a column type, `required` and null. The validator, which is slow,
    checks everything else (enum, pattern, minimum, unions, nested schemas …).
    """
    if not _CHECKED_AT_THE_TOP.issuperset(_ASSERTIONS & schema.keys()):
        return True
    return any(
        _ASSERTIONS & prop.keys() or len(set(_listed(prop.get("type"))) - {"null"}) != 1
        for prop in schema["properties"].values()
    )


def _listed(declared: Any) -> Sequence[str]:
    return [declared] if isinstance(declared, str) else declared or ()

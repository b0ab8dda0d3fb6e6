"""The warehouse that the settings name: by the URL in `warehouse`, or by the settings of target-postgres.

The functions take the whole configuration, with the defaults filled in. Pure: standard library only.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from target_warehouse.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_WAREHOUSE = "duckdb:///warehouse/crm.duckdb"
POSTGRES_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
#: Names that DuckDB, and this target, give to databases other than the file.
_DATABASES = ("temp", "system", "memory", "target_warehouse_file")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def destination(full: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any] | None]:
    """The path of the DuckDB file, or the configuration for target-postgres' connector; the other is None.

    Raises:
        SettingsError: the settings name no warehouse, or a setting that the warehouse needs is missing.
    """
    has_postgres_settings = bool(full["host"] or full["sqlalchemy_url"])
    warehouse = full["warehouse"].strip()
    if warehouse in ("", DEFAULT_WAREHOUSE) and has_postgres_settings:
        return None, _postgres({**full, "warehouse": None})
    scheme, separator, rest = warehouse.partition("://")
    if scheme == "duckdb" and rest.startswith("/") and rest.rstrip("/") and ":memory:" not in rest:
        return str(Path(rest[1:]).expanduser()) if rest.startswith("/~") else rest[1:], None
    if scheme in POSTGRES_SCHEMES and separator:
        return None, _postgres({**full, "warehouse": warehouse})
    what = "must look like" if warehouse else "is empty (in the Meltano project: WAREHOUSE_URL in .env); it looks like"
    msg = (
        f"The setting warehouse {what} duckdb:///folder/file.duckdb, duckdb:////absolute/file.duckdb "
        "or postgresql://user:password@host:5432/database."
    )
    raise SettingsError(msg)


def check_file_name(path: str | None, schema: str | None) -> None:
    """Check that the name of a schema differs from the name of its DuckDB file and of DuckDB's own databases.

    DuckDB names an open file by the part of its file name before the first dot. If a schema has the same name,
    `hubspot.contacts` is ambiguous (observed, 2.0.0), and users' queries do not find the tables.

    Raises:
        SettingsError: the names are the same.
    """
    if path is None or not schema:
        return
    catalog = PurePath(path).name.lstrip(".").partition(".")[0].lower()
    catalog += "_db" if catalog in ("main", *_DATABASES) else ""
    if schema.lower() == catalog:
        msg = (
            f"The DuckDB file {path} and its schema {schema} have the same name, which makes {schema}.table ambiguous "
            "in DuckDB: rename the file and change the setting warehouse, or change the setting default_target_schema "
            "or views_schema, or the stream's name, if the schema is its first part."
        )
        raise SettingsError(msg)
    if schema.lower() in _DATABASES:
        msg = (
            f"A schema of a DuckDB file cannot be called {schema}, because DuckDB has a database of that name: change "
            "the setting default_target_schema or views_schema, or the stream's name, if the schema is its first part."
        )
        raise SettingsError(msg)


def _postgres(full: Mapping[str, Any]) -> Mapping[str, Any]:
    by_parts = not (full["warehouse"] or full["sqlalchemy_url"])
    missing = [name for name in ("user", "password", "database") if by_parts and not full[name]]
    if missing:
        msg = f"PostgreSQL needs the setting {' and '.join(missing)} in addition to host."
        raise SettingsError(msg)
    if full["ssl_enable"] and full["ssl_mode"] not in SSL_MODES:
        msg = f"The setting ssl_mode must be one of {', '.join(SSL_MODES)}."
        raise SettingsError(msg)
    tunnel = full["ssh_tunnel"]
    missing = [name for name in ("host", "username", "private_key") if tunnel["enable"] and not tunnel[name]]
    if missing:
        msg = f"The SSH tunnel needs the setting {' and '.join('ssh_tunnel.' + name for name in missing)}."
        raise SettingsError(msg)
    return full

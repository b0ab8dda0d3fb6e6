"""Run meltanolabs-target-postgres and our target in the same way."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import psycopg
from target_postgres.target import TargetPostgres

if TYPE_CHECKING:
    from singer_sdk.target_base import Target


def login(url: str, schema: str) -> dict[str, Any]:
    """target-postgres' settings for a URL and a schema."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    return {
        "host": parts["host"],
        "port": int(str(parts["port"])),
        "user": parts["user"],
        "password": parts["password"],
        "database": parts["dbname"],
        "default_target_schema": schema,
    }


def run(target: Target, text: str) -> None:
    """Let either target read this input, and close its connections."""
    with contextlib.redirect_stdout(io.StringIO()):
        target.listen(io.StringIO(text))
    if isinstance(target, TargetPostgres):
        for connector in {sink.connector for sink in target._sinks_active.values()}:  # noqa: SLF001 - it never closes
            connector._engine.dispose()  # noqa: SLF001
        target.target_connector._engine.dispose()  # noqa: SLF001

"""The databases that the target loads. Only `open_engine` knows which ones exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from target_warehouse.engines.protocol import Engine
    from target_warehouse.settings import Settings


def open_engine(settings: Settings, *, read_only: bool = False, owns_process: bool = False) -> Engine:
    """Open the warehouse of the settings, or, to write with `dry_run`, a temporary copy of it.

    With `owns_process`, drivers are also tuned for a process that does nothing but load.

    Raises:
        ConnectionFailedError: it cannot be opened; the message says why and what to do.
    """
    # Imported here: a driver adds a quarter of a second to a second of start-up, and a run needs only one of them.
    if settings.postgres is not None:
        if settings.dry_run and not read_only:
            from target_warehouse.engines.postgres.dry_run import PostgresShadow

            return PostgresShadow(settings.postgres)
        from target_warehouse.engines.postgres.engine import PostgresEngine

        if owns_process:
            from target_warehouse.engines.postgres.session import leave_signals_to_the_target

            leave_signals_to_the_target()
        return PostgresEngine(settings.postgres)
    if settings.dry_run and not read_only:
        from target_warehouse.engines.duckdb.dry_run import DuckDBShadow

        return DuckDBShadow(settings.duckdb_path or "", settings.lock_timeout_seconds)
    from target_warehouse.engines.duckdb.engine import DuckDBEngine

    if owns_process:
        import pyarrow as pa

        pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own pool keeps some 25 MB that it does not use

    return DuckDBEngine(settings.duckdb_path or "", settings.lock_timeout_seconds, read_only=read_only)

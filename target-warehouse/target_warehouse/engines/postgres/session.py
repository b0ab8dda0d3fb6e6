"""The sessions with PostgreSQL: what each transaction sets for itself, and the one that rows travel by.

Nothing outlives a transaction: behind a pool such as pgbouncer the next one may be another session's. So settings are
a transaction's own, nothing is prepared under a name, and a session that was lost between two transactions is opened
again. The one thing that needs a session, the lock that says which run is alive, is not taken behind a pool.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import adbc_driver_manager.dbapi
import adbc_driver_postgresql.dbapi
import sqlalchemy

from target_warehouse.errors import ConnectionFailedError
from target_warehouse.tables.statements import literal

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("target-warehouse")

# ADBC takes SIGINT for itself while a call is under way: it cancels the statement, or, if that had just ended, nothing
# happens at all and Python never hears of the signal. Called plainly, its functions leave signals to the target.
adbc_driver_manager.dbapi._blocking_call = (  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
    lambda call, args, kwargs, _cancel: call(*args, **kwargs)  # type: ignore[assignment]
)

#: What texts, names and literals look like must not depend on the settings of a server, a database or a role.
_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",  # every digit, in every version
    "quote_all_identifiers": "off",  # with it types are called "text" and "date"
    "standard_conforming_strings": "on",
}
#: The server ended the session because it was idle.
_TIMED_OUT = ("57P05", "25P03")


def settings_of_transaction(lock_timeout: int) -> str:
    """The statement that every transaction begins with."""
    values = {**_SETTINGS, "lock_timeout": str(lock_timeout)}
    calls = ", ".join(f"set_config({literal(name)}, {literal(value)}, true)" for name, value in values.items())
    return f"SELECT {calls}"


def make_ready(engine: sqlalchemy.Engine, lock_timeout: int) -> None:
    """Have every connection prepare no statement by name, and every transaction set its settings."""
    settings = settings_of_transaction(lock_timeout)

    @sqlalchemy.event.listens_for(engine, "connect")
    def _connected(connection: object, _record: object) -> None:
        connection.prepare_threshold = None  # type: ignore[attr-defined]  # it is psycopg's

    @sqlalchemy.event.listens_for(engine, "begin")
    def _begun(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql(settings)


class Session:
    """A connection of ADBC; between transactions it is idle, and a lost one is opened again."""

    def __init__(self, conninfo: str, lock_timeout: int, where: str) -> None:
        self._conninfo = conninfo
        self._where = where
        self._settings = settings_of_transaction(lock_timeout)
        self._lock: str | None = None
        self._connection = adbc_driver_postgresql.dbapi.connect(conninfo)

    @contextmanager
    def transaction(self) -> Iterator[adbc_driver_postgresql.dbapi.Cursor]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Raises:
            ConnectionFailedError: the connection was lost before, and cannot be opened again.
        """
        cursor = self._begun()
        try:
            with cursor:
                yield cursor
            self._connection.commit()
        except BaseException:
            self._roll_back()
            raise

    def hold(self, lock: str) -> None:
        """Run a statement that takes a lock of the session, now and whenever it is opened again."""
        self._lock = lock
        with self.transaction() as cursor:
            cursor.execute(lock)

    def close(self) -> None:
        """Close the connection; nothing uncommitted is kept."""
        self._connection.close()

    def _begun(self) -> adbc_driver_postgresql.dbapi.Cursor:
        try:
            return self._first()
        except adbc_driver_manager.Error as error:
            self._roll_back()
            if error.sqlstate and not error.sqlstate.startswith(("08", *_TIMED_OUT)):
                raise
        with suppress(adbc_driver_manager.Error):
            self._connection.close()
        try:
            self._connection = adbc_driver_postgresql.dbapi.connect(self._conninfo)
            if self._lock:
                with self._connection.cursor() as cursor:
                    cursor.execute(self._lock)
                self._connection.commit()
            cursor = self._first()
        except adbc_driver_manager.Error as error:
            msg = (
                f"PostgreSQL at {self._where} has closed the connection between two batches, and it cannot be opened "
                "again. What was committed stays; run again."
            )
            raise ConnectionFailedError(msg) from error
        logger.info("PostgreSQL at %s had closed the idle connection; it is open again.", self._where)
        return cursor

    def _first(self) -> adbc_driver_postgresql.dbapi.Cursor:
        cursor = self._connection.cursor()
        try:
            cursor.execute(self._settings)
            cursor.fetchall()
        except BaseException:
            cursor.close()
            raise
        return cursor

    def _roll_back(self) -> None:
        with suppress(adbc_driver_manager.Error):  # the connection is gone, and its transaction with it
            self._connection.rollback()

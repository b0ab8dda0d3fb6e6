"""The sessions with PostgreSQL: the settings of each transaction, and the session that writes rows.

Nothing outlives a transaction, because behind a pool such as pgbouncer the next transaction may run in another session.
So settings are made per transaction, no statement is prepared by name, and a session that was lost between two
transactions is reopened. Only the lock that marks a live run needs a session; it is not taken behind a pool.
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

#: Text, names and literals must not depend on the settings of a server, a database or a role.
_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",  # every digit, in every version
    "quote_all_identifiers": "off",  # if on, type names are quoted: "text", "date"
    "standard_conforming_strings": "on",
}
#: SQLSTATEs of a session that the server ended because it was idle.
_TIMED_OUT = ("57P05", "25P03")


def leave_signals_to_the_target() -> None:
    """Make ADBC ignore SIGINT, in this whole process.

    During a call it would handle the signal itself: it cancels the statement, or, if that has just ended, the signal is
    lost. Called directly, its functions leave signals to the target.
    """
    adbc_driver_manager.dbapi._blocking_call = (  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
        lambda call, args, kwargs, _cancel: call(*args, **kwargs)  # type: ignore[assignment]
    )


def settings_of_transaction(lock_timeout: int) -> str:
    """The first statement of every transaction."""
    values = {**_SETTINGS, "lock_timeout": str(lock_timeout)}
    calls = ", ".join(f"set_config({literal(name)}, {literal(value)}, true)" for name, value in values.items())
    return f"SELECT {calls}"


def make_ready(engine: sqlalchemy.Engine, lock_timeout: int) -> None:
    """Make connections prepare no statement by name, and transactions begin with their settings."""
    settings = settings_of_transaction(lock_timeout)

    @sqlalchemy.event.listens_for(engine, "connect")
    def _connected(connection: object, _record: object) -> None:
        connection.prepare_threshold = None  # type: ignore[attr-defined]  # it is psycopg's

    @sqlalchemy.event.listens_for(engine, "begin")
    def _begun(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql(settings)


class Session:
    """An ADBC connection that is idle between transactions, and reopened if it was lost."""

    def __init__(self, conninfo: str, lock_timeout: int, label: str) -> None:
        self._conninfo = conninfo
        self._label = label
        self._settings = settings_of_transaction(lock_timeout)
        self._lock: str | None = None
        self._connection = adbc_driver_postgresql.dbapi.connect(conninfo)

    @contextmanager
    def transaction(self) -> Iterator[adbc_driver_postgresql.dbapi.Cursor]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Raises:
            ConnectionFailedError: the connection was lost before, and cannot be reopened.
        """
        cursor = self._begun()
        try:
            with cursor:
                yield cursor
            self._connection.commit()
        except BaseException:
            self._roll_back()
            raise

    def hold_lock(self, lock: str) -> None:
        """Run a statement that takes a lock of the session, now and whenever the session is reopened."""
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
                f"{self._label} closed the connection between two batches, and it cannot be reopened. "
                "Committed batches are kept; run again."
            )
            raise ConnectionFailedError(msg) from error
        logger.info("%s had closed the idle connection; it was reopened.", self._label)
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

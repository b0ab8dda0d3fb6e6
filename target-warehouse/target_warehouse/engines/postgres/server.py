"""The open connections to a PostgreSQL server: one for definitions and queries, one that writes rows."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import paramiko
import psycopg
import sqlalchemy
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from target_warehouse.engines.postgres.catalog import NAME_BYTES
from target_warehouse.engines.postgres.connector import WarehouseConnector
from target_warehouse.engines.postgres.encoding import NO_ENCODING, Encoding
from target_warehouse.engines.postgres.errors import advice_on, answer_of, first_line, refusal
from target_warehouse.engines.postgres.session import Session, make_ready
from target_warehouse.errors import ConnectionFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from target_warehouse.errors import LoadError

logger = logging.getLogger("target-warehouse")

_DDL_LOCK = 7_346_120_551  # an arbitrary lock key, so that two runs do not create the same table at once
_RUN_LOCK = 734_612_056  # another arbitrary key; together with the first 32 bits of a run's id it marks a live run
#: If `quote_all_identifiers` is on, ADBC does not recognise types by name when it connects, so it is switched off by a
#: connection option. Pools refuse options, so the option is given only where it is needed.
_QUOTES_TYPES = "SELECT reset_val FROM pg_settings WHERE name = 'quote_all_identifiers'"
_ALIVE_CONDITION = (
    "left(run_id, 8) IN (SELECT lpad(to_hex(CAST(l.objid AS bigint)), 8, '0') FROM pg_catalog.pg_locks AS l "  # noqa: S608
    "JOIN pg_catalog.pg_database AS d ON d.oid = l.database AND d.datname = current_database() "
    f"WHERE l.locktype = 'advisory' AND l.classid = {_RUN_LOCK} AND l.objsubid = 2)"
)
#: Behind a pool no lock shows which runs are alive. So a run counts as alive for a day after its last commit.
_RECENT_CONDITION = "({} OR finished_at > CAST(now() AT TIME ZONE 'UTC' AS timestamp) - interval '1 day')"


class Server:
    """The connections, and what is known of the server: its encoding, and whether a pool is in between.

    `connector` is target-postgres' own, `engine` gives connections of SQLAlchemy, and `session` is an ADBC connection;
    `label` names the server in messages.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Connect.

        Raises:
            ConnectionFailedError: the server cannot be reached, or refuses the login.
        """
        try:
            self.connector = WarehouseConnector(dict(config))
        except (OSError, ValueError, paramiko.SSHException, sqlalchemy.exc.ArgumentError) as error:
            msg = f"The connection to PostgreSQL cannot be prepared: {first_line(error)}."
            raise ConnectionFailedError(msg) from error
        url = make_url(self.connector.sqlalchemy_url)
        self.label = f"PostgreSQL at {url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
        self.engine = self.connector.create_engine()
        self._lock_timeout = max(round(config["lock_timeout_seconds"] * 1000), 1)  # 0 would mean no timeout
        make_ready(self.engine, self._lock_timeout)
        try:
            # Not as a URL: libpq decodes spaces and plus signs differently, and quotes a URL that it cannot parse.
            _, parameters = self.engine.dialect.create_connect_args(url)
            parameters.pop("context", None)  # psycopg's own
            self.session, self.is_pooled = self._opened(parameters)
        except BaseException as error:
            self.engine.dispose()
            self.connector.clean_up()
            if not isinstance(error, (sqlalchemy.exc.DBAPIError, psycopg.Error, adbc_driver_manager.Error)):
                raise
            cause = answer_of(getattr(error, "orig", None) or error)
            problem = f"{self.label} cannot be reached or refuses the login: {cause.message}"
            check = "Check host, port, user, password and database, and that the server accepts more connections"
            advice = advice_on(cause.sqlstate)
            msg = f"{problem}; {advice}." if advice else f"{problem}. {check}."
            raise ConnectionFailedError(msg) from error
        self.alive_condition = _RECENT_CONDITION.format(_ALIVE_CONDITION) if self.is_pooled else _ALIVE_CONDITION

    def announce_run(self, run_id: str) -> None:
        """Take a shared lock, for which nobody waits; PostgreSQL releases it when the session ends, however it ends.

        Not behind a pool, where sessions pass from client to client, so the lock could outlive the run. What a user
        should know about the server is logged.
        """
        if self.encoding.name == NO_ENCODING:
            logger.warning("%s has a database without an encoding (SQL_ASCII); text is stored as UTF-8.", self.label)
        if self.is_pooled:
            logger.info("%s is behind a connection pool: a run that is killed stays `running` for a day.", self.label)
            return
        key = int.from_bytes(bytes.fromhex(run_id[:8]), signed=True)
        try:
            self.session.hold_lock(f"SELECT pg_advisory_lock_shared({_RUN_LOCK}, {key})")
        except adbc_driver_manager.Error as error:
            raise self.refusal("the run cannot be announced", error) from error

    @contextmanager
    def reading(self, what: str) -> Iterator[sqlalchemy.Connection]:
        """A connection for queries; `what` says what failed if the server refuses.

        Raises:
            LoadError: it refuses.
        """
        try:
            with self.engine.connect() as connection:
                yield connection
        except sqlalchemy.exc.DBAPIError as error:
            raise self.refusal(what, error.orig) from error

    @contextmanager
    def ddl_transaction(self, what: str) -> Iterator[sqlalchemy.Connection]:
        """A transaction that changes tables, one run at a time; see `reading`."""
        try:
            with self.raw_ddl_transaction() as connection:
                yield connection
        except sqlalchemy.exc.DBAPIError as error:
            raise self.refusal(what, error.orig) from error

    @contextmanager
    def raw_ddl_transaction(self) -> Iterator[sqlalchemy.Connection]:
        """Like `ddl_transaction`, but the driver's errors are not translated."""
        with self.engine.connect() as connection, connection.begin():
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_DDL_LOCK})")
            yield connection

    def refusal(self, what: str, error: BaseException | None) -> LoadError:
        """The target's error for the server's; `what` says what failed."""
        return refusal(f"{self.label}: {what}", error)

    def close(self) -> None:
        """Close the connections and the tunnel, each even if closing another fails."""
        with ExitStack() as closing:
            closing.callback(self.connector.clean_up)
            closing.callback(self.engine.dispose)
            closing.callback(self.session.close)

    def _opened(self, parameters: dict[str, Any]) -> tuple[Session, bool]:
        """Return a session, and whether it goes through a connection pool such as pgbouncer; also sets `encoding`.

        A pool reports invented process ids to its clients, or gives two clients the same session.
        """
        statement = "SELECT pg_backend_pid()"
        with self.engine.connect() as connection:
            pid = connection.exec_driver_sql(statement).scalar()
            driver: Any = connection.connection.driver_connection
            is_invented = driver.info.backend_pid != pid
            self.encoding = Encoding(connection, NAME_BYTES)
            if connection.exec_driver_sql(_QUOTES_TYPES).scalar() == "on":
                options = parameters.get("options", "")
                parameters = {**parameters, "options": f"{options} -c quote_all_identifiers=off"}
        session = Session(make_conninfo(**parameters), self._lock_timeout, self.label)
        try:
            with session.transaction() as cursor:
                cursor.execute(statement)
                return session, is_invented or cursor.fetchall()[0][0] == pid
        except BaseException:
            session.close()
            raise

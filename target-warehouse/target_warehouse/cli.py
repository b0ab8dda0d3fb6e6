"""The command `warehouse`: looks at what `target-warehouse` loaded; it changes nothing.

The settings are the target's own, from `--config FILE`, from `--warehouse URL`, or from the environment variables
`TARGET_WAREHOUSE_…` (the setting's name in capitals), in that order.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from target_warehouse.errors import SettingsError, WarehouseError
from target_warehouse.settings import Settings, config_from_environment


@click.group()
@click.option(
    "--config", "config_file", metavar="FILE", type=click.Path(), help="The target's configuration, a JSON file."
)
@click.option("--warehouse", metavar="URL", help="duckdb:///file.duckdb or postgresql://…; overrides the others.")
@click.option("--schema", metavar="NAME", help="The schema to look at, instead of default_target_schema.")
@click.version_option(package_name="target-warehouse")
@click.pass_context
def main(context: click.Context, config_file: str | None, warehouse: str | None, schema: str | None) -> None:
    """Look at the warehouse that target-warehouse fills."""
    context.obj = (config_file, warehouse, schema)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per table instead of a table.")
@click.pass_obj
def report(options: tuple[str | None, str | None, str | None], *, as_json: bool) -> None:
    """Per table: live and deleted rows, and what its stream's last run changed."""
    from target_warehouse import report as reports
    from target_warehouse.engines import open_engine

    try:
        settings = _settings(*options)
        engine = open_engine(settings, read_only=True)
        try:
            found = reports.read(engine, settings.default_target_schema)
        finally:
            engine.close()
    except WarehouseError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        for entry in found:
            click.echo(json.dumps(vars(entry), default=str))
    else:
        click.echo(reports.render(found))


def _settings(config_file: str | None, warehouse: str | None, schema: str | None) -> Settings:
    config: dict[str, Any] = config_from_environment(os.environ)
    if config_file:
        try:
            loaded = json.loads(Path(config_file).read_text(encoding="utf-8"))
        except OSError as error:
            msg = f"The configuration file {config_file} cannot be read: {error.strerror}."
            raise SettingsError(msg) from error
        except ValueError as error:
            msg = f"The configuration file {config_file} is not JSON."
            raise SettingsError(msg) from error
        config |= loaded
    if warehouse:
        config |= {"warehouse": warehouse, "host": None, "sqlalchemy_url": None}
    if schema:
        config["default_target_schema"] = schema
    return Settings.from_config(config)

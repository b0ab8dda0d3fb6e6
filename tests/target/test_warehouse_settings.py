"""The settings: defaults, the two databases, the environment, and invalid values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from target_warehouse.errors import SettingsError
from target_warehouse.setting_definitions import SETTINGS, config_json_schema
from target_warehouse.settings import Settings, config_from_environment
from target_warehouse.singer.target import TargetWarehouse

BUILT_IN = {
    *("load_method", "batch_size_rows", "process_activate_version_messages", "validate_records"),
    *("stream_maps", "stream_map_config", "faker_config"),
}
LOGIN = {"host": "db", "user": "me", "password": "pw", "database": "crm"}


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({}, "warehouse/crm.duckdb"),
        ({"warehouse": "duckdb:///relative/x.duckdb"}, "relative/x.duckdb"),
        ({"warehouse": "duckdb:////absolute/x.duckdb"}, "/absolute/x.duckdb"),
        ({"warehouse": "duckdb:///x.duckdb", **LOGIN}, "x.duckdb"),
        ({"warehouse": "duckdb:///~/x.duckdb"}, f"{Path.home()}/x.duckdb"),
    ],
)
def test_a_duckdb_url_names_a_file(config: dict[str, Any], path: str) -> None:
    settings = Settings.from_config(config)
    assert settings.duckdb_path == path
    assert settings.postgres is None


@pytest.mark.parametrize(
    "config",
    [
        {"warehouse": "postgresql://me:pw@db/crm"},
        {"warehouse": "postgres://me:pw@db/crm"},
        LOGIN,
        {"sqlalchemy_url": "postgresql+psycopg://me:pw@db/crm"},
        {"warehouse": "duckdb:///warehouse/crm.duckdb", **LOGIN},
        {"warehouse": "", **LOGIN},
        {"warehouse": " ", **LOGIN},
        {"warehouse": " postgresql://me:pw@db/crm"},
    ],
    ids=[
        *("url", "short scheme", "target-postgres' settings", "sqlalchemy_url", "default and host", "empty and host"),
        *("blank and host", "url after a space"),
    ],
)
def test_postgres_is_named_by_url_or_by_target_postgres_settings(config: dict[str, Any]) -> None:
    settings = Settings.from_config(config)
    assert settings.duckdb_path is None
    assert settings.postgres is not None
    assert "pw" not in repr(settings)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"warehouse": "mysql://x"}, "warehouse"),
        ({"warehouse": ""}, "warehouse is empty"),
        ({"warehouse": " "}, "WAREHOUSE_URL in .env"),
        ({"warehouse": "duckdb://"}, "warehouse"),
        ({"warehouse": "duckdb:///:memory:"}, "warehouse"),
        ({"warehouse": "postgresql:db"}, "warehouse"),
        ({"host": "db"}, "user and password and database"),
        ({**LOGIN, "ssl_enable": True, "ssl_mode": "maybe"}, "ssl_mode"),
        ({**LOGIN, "ssh_tunnel": {"enable": True}}, r"ssh_tunnel\.host"),
        ({"add_record_metadata": False}, "activate_version"),
        ({"batch_size_rows": 0}, "batch_size_rows"),
        ({"batch_size_rows": True}, "batch_size_rows must be of the type integer"),
        ({"port": "x"}, "port must be of the type integer"),
        ({"ssh_tunnel": "x"}, r"ssh_tunnel\.enable must be of the type boolean"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(config: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Settings.from_config(config)


def test_the_environment_gives_settings_of_the_right_type() -> None:
    environment = {
        "TARGET_WAREHOUSE_WAREHOUSE": "duckdb:///x.duckdb",
        "TARGET_WAREHOUSE_HARD_DELETE": "true",
        "TARGET_WAREHOUSE_BATCH_SIZE_ROWS": "10",
        "TARGET_WAREHOUSE_SSH_TUNNEL_HOST": "bastion",
        "TARGET_WAREHOUSE_PASSWORD": "12345",
        "UNRELATED": "x",
    }
    assert config_from_environment(environment) == {
        "warehouse": "duckdb:///x.duckdb",
        "hard_delete": True,
        "batch_size_rows": 10,
        "ssh_tunnel": {"host": "bastion"},
        "password": "12345",
    }
    with pytest.raises(SettingsError, match="TARGET_WAREHOUSE_BATCH_SIZE_ROWS must be of the type integer"):
        config_from_environment({"TARGET_WAREHOUSE_BATCH_SIZE_ROWS": "many"})


def test_every_setting_of_target_postgres_is_accepted_with_its_default() -> None:
    from target_postgres.target import TargetPostgres

    ours = config_json_schema()["properties"]
    theirs = {
        name: prop
        for name, prop in TargetPostgres.config_jsonschema["properties"].items()
        if name not in BUILT_IN
        and not name.startswith("flattening_")  # the SDK adds these to a target's own when one is made
    }
    assert set(theirs) <= set(ours)
    defaults = {name: prop.get("default") for name, prop in theirs.items() if name != "ssh_tunnel"}
    assert {name: ours[name].get("default") for name in defaults} == defaults
    assert set(theirs["ssh_tunnel"]["properties"]) == set(ours["ssh_tunnel"]["properties"])


def test_a_value_of_the_wrong_type_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_config({**LOGIN, "password": 31337})
    assert str(raised.value) == "The setting password must be of the type string."


def test_every_secret_is_marked() -> None:
    secrets = {setting.name for setting in SETTINGS if setting.secret}
    assert secrets >= {"warehouse", "password", "sqlalchemy_url", "ssh_tunnel.private_key"}


def test_every_number_may_be_an_environment_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The SDK itself takes the text of one for a text."""
    numbers = [each.name for each in SETTINGS if each.type == "number"]
    assert len(numbers) > 1
    for name in numbers:
        monkeypatch.setenv(f"TARGET_WAREHOUSE_{name.upper()}", "7.5")
    target = TargetWarehouse(config={"warehouse": f"duckdb:///{tmp_path}/w.duckdb"}, parse_env_config=True)
    assert {name: target.config[name] for name in numbers} == dict.fromkeys(numbers, 7.5)

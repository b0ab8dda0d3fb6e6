"""meltano.yml and the pages describe the plugins as they are."""

from __future__ import annotations

import re

import pytest
import yaml

from tap_hubspot_dw.singer.streams import reference as tap_streams
from target_warehouse.commands.verify import streams as verify_streams
from tests.pipeline.declared_settings import about, settings, with_tables
from tests.pipeline.project import ROOT

PROJECT = yaml.safe_load((ROOT / "meltano.yml").read_text())


@pytest.mark.parametrize(("kind", "name"), [("extractors", "tap-hubspot-dw"), ("loaders", "target-warehouse")])
def test_every_setting_is_declared_as_the_plugin_describes_it(kind, name):
    plugin = next(plugin for plugin in PROJECT["plugins"][kind] if plugin["name"] == name)
    assert plugin["settings"] == settings(about(name)["settings"]["properties"])


def test_the_readme_shows_every_setting():
    readme = (ROOT / "README.md").read_text()
    assert readme.count("<!-- settings of ") == 2
    assert readme == with_tables(readme)


@pytest.mark.parametrize(
    ("package", "page"),
    [
        ("tap-hubspot-dw/tap_hubspot_dw", "docs/architecture.md"),
        ("target-warehouse/target_warehouse", "docs/architecture.md"),
        ("hubspot-sandbox/hubspot_sandbox", "hubspot-sandbox/README.md"),
    ],
)
def test_the_page_about_a_package_has_a_row_for_every_folder(package, page):
    words = set(re.findall(r"`([\w/]+)`", (ROOT / page).read_text()))
    folders = {str(file.parent.relative_to(ROOT / package)) for file in (ROOT / package).rglob("*.py")} - {"."}
    assert folders - words == set()
    modules = {file.stem for file in (ROOT / package).glob("[!_]*.py")}
    assert modules - words == set()


def test_meltano_installs_nothing_and_sends_no_statistics():
    plugins = [plugin for kind in PROJECT["plugins"].values() for plugin in kind]
    assert all("pip_url" not in plugin and plugin["namespace"] and plugin["executable"] for plugin in plugins)
    assert PROJECT["send_anonymous_usage_stats"] is False
    assert PROJECT["cli"] == {"disable_version_check": True}


def test_the_command_warehouse_gets_the_settings_of_the_target_from_the_same_variables():
    """Otherwise `verify` would check the tables of another schema than the one that runs load."""
    (command,) = (each for each in PROJECT["plugins"]["utilities"] if each["name"] == "warehouse")
    settings_of = {each["name"]: each for each in command["settings"]}
    for name in ("warehouse", "default_target_schema"):
        variable = f"TARGET_WAREHOUSE_{name.upper()}"
        # Meltano sets `env` for the command, and reads `env_aliases`.
        assert (settings_of[name]["env"], settings_of[name]["env_aliases"]) == (variable, [variable])


def test_the_project_has_no_secret_except_the_sandboxs():
    for environment in PROJECT["environments"]:
        for plugins in environment["config"]["plugins"].values():
            for plugin in plugins:
                token = plugin["config"].get("access_token", "$")
                assert token.startswith("$") or token == "pat-sandbox-not-a-secret"


def test_tap_and_target_know_the_same_reference_streams():
    """`warehouse verify` compares their tables by key; the two packages do not import one another."""
    assert {reference.name: reference.key for reference in tap_streams.REFERENCES} == verify_streams.REFERENCES

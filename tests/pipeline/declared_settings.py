"""Turns a plugin's `--about` into its settings in meltano.yml and in the README; as a script it prints or writes them.

python tests/pipeline/declared_settings.py tap-hubspot-dw     prints the settings for meltano.yml
python tests/pipeline/declared_settings.py                    writes the README's tables
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

# Meltano 4.4 reads a `decimal` from the environment as a Decimal, which it then cannot write as JSON.
_KIND_OF_TYPE = {"integer": "integer", "number": "integer", "boolean": "boolean", "array": "array", "object": "object"}


def about(executable: str) -> dict[str, Any]:
    """Return the `--about` of a plugin, an executable beside the running Python."""
    command = [str(Path(sys.executable).with_name(executable)), "--about", "--format=json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def settings(properties: dict[str, Any], prefix: str = "", parent: str = "") -> list[dict[str, Any]]:
    """Return Meltano's settings for a configuration's JSON schema; nested ones get dotted names."""
    declared: list[dict[str, Any]] = []
    for name, schema in properties.items():
        label = schema.get("title") or f"{parent} {name.replace('_', ' ')}".strip().capitalize()
        if schema.get("properties") and not name.startswith("stream_map"):
            declared += settings(schema["properties"], f"{prefix}{name}.", label)
            continue
        setting: dict[str, Any] = {"name": prefix + name, "kind": _kind(schema), "label": label}
        setting["description"] = " ".join(str(schema.get("description", label)).split())
        if schema.get("default") is not None:
            setting["value"] = schema["default"]
        if schema.get("enum"):
            setting["options"] = [{"label": value, "value": value} for value in schema["enum"]]
        if schema.get("secret"):
            setting["sensitive"] = True
        declared.append(setting)
    return declared


def _kind(schema: dict[str, Any]) -> str:
    if schema.get("enum"):
        return "options"
    if schema.get("format") == "date-time":
        return "date_iso8601"
    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    return next((_KIND_OF_TYPE[type_] for type_ in types if type_ in _KIND_OF_TYPE), "string")


def table(declared: list[dict[str, Any]]) -> str:
    """Return the settings as a Markdown table."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for setting in declared:
        default = f"`{json.dumps(setting['value'])}`" if "value" in setting else ""
        rows.append(f"| `{setting['name']}` | {default} | {setting['description'].replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def with_tables(readme: str) -> str:
    """Return the README with new tables between its marks `<!-- settings of … -->` and `<!-- end -->`."""

    def filled(match: re.Match[str]) -> str:
        declared = settings(about(match[1])["settings"]["properties"])
        return f"<!-- settings of {match[1]} -->\n\n{table(declared)}\n\n<!-- end -->"

    return re.sub(r"<!-- settings of (\S+) -->.*?<!-- end -->", filled, readme, flags=re.DOTALL)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        declared = settings(about(sys.argv[1])["settings"]["properties"])
        sys.stdout.write(yaml.safe_dump(declared, sort_keys=False, width=110))
    else:
        file = Path(__file__).parents[2] / "README.md"
        file.write_text(with_tables(file.read_text()))

"""How a plugin's `--about` becomes its settings in meltano.yml and in the README: run it to print or to write them.

python tests/pipeline/declared_settings.py tap-hubspot-dw     prints them for meltano.yml
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
_KINDS = {"integer": "integer", "number": "integer", "boolean": "boolean", "array": "array", "object": "object"}


def about(executable: str) -> dict[str, Any]:
    """Return what a plugin says of itself; it stands beside the running Python."""
    command = [str(Path(sys.executable).with_name(executable)), "--about", "--format=json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def settings(properties: dict[str, Any], prefix: str = "", parent: str = "") -> list[dict[str, Any]]:
    """Return Meltano's settings for a configuration's JSON schema; nested ones get dotted names."""
    found: list[dict[str, Any]] = []
    for name, schema in properties.items():
        label = schema.get("title") or f"{parent} {name.replace('_', ' ')}".strip().capitalize()
        if schema.get("properties") and not name.startswith("stream_map"):
            found += settings(schema["properties"], f"{prefix}{name}.", label)
            continue
        setting: dict[str, Any] = {"name": prefix + name, "kind": _kind(schema), "label": label}
        setting["description"] = " ".join(str(schema.get("description", label)).split())
        if schema.get("default") is not None:
            setting["value"] = schema["default"]
        if schema.get("enum"):
            setting["options"] = [{"label": each, "value": each} for each in schema["enum"]]
        if schema.get("secret"):
            setting["sensitive"] = True
        found.append(setting)
    return found


def _kind(schema: dict[str, Any]) -> str:
    if schema.get("enum"):
        return "options"
    if schema.get("format") == "date-time":
        return "date_iso8601"
    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    return next((_KINDS[each] for each in types if each in _KINDS), "string")


def table(declared: list[dict[str, Any]]) -> str:
    """Return the settings as a Markdown table."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for each in declared:
        default = f"`{json.dumps(each['value'])}`" if "value" in each else ""
        rows.append(f"| `{each['name']}` | {default} | {each['description'].replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def with_tables(readme: str) -> str:
    """Return the README with the tables that its marks `<!-- settings of … -->` and `<!-- end -->` stand around."""

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

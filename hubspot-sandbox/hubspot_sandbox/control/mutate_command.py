"""The command `mutate`: sends one mutation, a script or random mutations to a running sandbox."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hubspot_sandbox.control.admin_client import AdminClient
from hubspot_sandbox.control.scripts import read_script

#: kind → its fields in the order of the command line; `properties` takes the remaining NAME=VALUE arguments
FIELDS: dict[str, tuple[str, ...]] = {
    "edit": ("type", "id", "properties"),
    "recalculate": ("type", "id", "properties"),
    "create": ("type", "properties"),
    "archive": ("type", "id"),
    "restore": ("type", "id"),
    "merge": ("type", "winner", "loser"),
    "gdpr-delete": ("type", "id"),
    "associate": ("fromType", "fromId", "toType", "toId", "typeId"),
    "dissociate": ("fromType", "fromId", "toType", "toId", "typeId"),
    "bulk-touch": ("type", "count", "properties"),
    "edit-while-paging": ("type", "every", "times"),
    "churn-while-paging": ("type", "every", "times"),
    "edit-while-searching": ("type", "id", "every", "times"),
    "define-property": ("type", "name", "propertyType"),
    "remove-property": ("type", "name"),
}
OPTIONAL = {"typeId", "properties", "propertyType", "every", "times"}
USAGE = "\n".join(
    f"  mutate {kind} "
    + " ".join("[NAME=VALUE …]" if f == "properties" else f"[{f}]" if f in OPTIONAL else f for f in fields)
    for kind, fields in FIELDS.items()
)


def from_words(words: list[str]) -> dict[str, Any]:
    """Make a mutation from command-line arguments; `NAME=` clears a property. ValueError if they are not valid."""
    kind, *rest = words
    if kind not in FIELDS:
        raise ValueError(f"There is no mutation {kind!r}; there are: {', '.join(FIELDS)}.")
    mutation: dict[str, Any] = {"kind": kind}
    for name in FIELDS[kind]:
        if name == "properties":
            pairs = [word.partition("=") for word in rest]
            wrong = [key for key, equals, _ in pairs if not equals]
            if wrong:
                raise ValueError(f"mutate {kind}: properties must be NAME=VALUE, not {wrong[0]!r}.")
            mutation[name] = {key: value for key, _, value in pairs}
            rest = []
        elif rest:
            mutation[name] = rest.pop(0)
        elif name not in OPTIONAL:
            raise ValueError(f"mutate {kind}: {name} is missing.")
    if rest:
        raise ValueError(f"mutate {kind}: {rest[0]!r} is one argument too many.")
    return mutation


def run(url: str, words: list[str], script: str | None, random: int | None, seed: int, *, as_json: bool) -> str:
    """Send the mutations; return a line per kind of change."""
    client = AdminClient(url)
    done: list[dict[str, Any]] = []
    if script:
        done += client.mutate(read_script(script, "script", "mutations"))
    if random is not None:
        done += client.random(random, seed)
    if words:
        done += client.mutate([from_words(words)])
    if as_json:
        return json.dumps(done)
    counts = Counter((row["kind"]) for row in done)
    return (
        "\n".join(_line(kind, count, done) for kind, count in sorted(counts.items()))
        or "Nothing to do: name a mutation, --script or --random."
    )


def _line(kind: str, count: int, done: list[dict[str, Any]]) -> str:
    rows = [row for row in done if row["kind"] == kind]
    if count == 1:
        facts = ", ".join(f"{key} {value}" for key, value in rows[0].items() if key != "kind" and value is not None)
        return f"{kind}: 1 ({facts})"
    types = Counter(str(row["type"]) for row in rows if row.get("type"))
    return f"{kind}: {count}" + (f" ({', '.join(f'{t} {n}' for t, n in sorted(types.items()))})" if types else "")

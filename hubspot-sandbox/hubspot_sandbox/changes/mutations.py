"""Mutations: changes of the portal that a user or an integration makes in HubSpot, one row of `ACTIONS` each.

A mutation is a JSON object with `kind` and the fields of that kind. Object types are written as in paths, ids as texts.
The result says what happened, with ids. The modified time changes where HubSpot changes it.
"""

from __future__ import annotations

from collections.abc import Callable

from hubspot_sandbox.behaviour.quirks import Quirks
from hubspot_sandbox.changes.mutation_fields import Mutation, MutationError, number_of, properties_of, records_of
from hubspot_sandbox.portal.association_types import LABELS
from hubspot_sandbox.portal.definition import Definition, choices
from hubspot_sandbox.portal.portal import Portal
from hubspot_sandbox.portal.property_definitions import group_of
from hubspot_sandbox.portal.record_states import ARCHIVED, DELETED, LIVE, MERGED
from hubspot_sandbox.portal.standing_changes import CHURN, EDIT, EDIT_SEARCHED, StandingChange
from hubspot_sandbox.search_request import text_of
from hubspot_sandbox.timestamps import DAY_MS, iso

_MAX_DAYS_AGO = 36_500


def _edit(portal: Portal, mutation: Mutation, _quirks: Quirks) -> Mutation:
    records = records_of(portal, mutation)
    number = number_of(records, mutation)
    records.write(number, properties_of(records, mutation))
    return {"id": str(records.id_of(number)), "updatedAt": iso(records.modified[number])}


def _recalculate(portal: Portal, mutation: Mutation, _quirks: Quirks) -> Mutation:
    records = records_of(portal, mutation)
    number = number_of(records, mutation)
    given = properties_of(records, mutation)
    plain = [name for name in given if not records.definitions[name].calculated]
    if plain:
        raise MutationError(f"recalculate: {plain[0]!r} is not a calculated property.")
    records.write(number, given, touch=False)
    return {"id": str(records.id_of(number))}


def _create(portal: Portal, mutation: Mutation, _quirks: Quirks) -> Mutation:
    records = records_of(portal, mutation)
    number = records.create(properties_of(records, mutation))
    return {"id": str(records.id_of(number)), "createdAt": iso(records.created_ms(number))}


def _archive(portal: Portal, mutation: Mutation, _quirks: Quirks) -> Mutation:
    records = records_of(portal, mutation)
    number = number_of(records, mutation)
    days_ago = float(mutation.get("daysAgo", 0))
    if not 0 <= days_ago <= _MAX_DAYS_AGO:
        raise MutationError(f"archive: daysAgo must be a number of days from 0 to {_MAX_DAYS_AGO}.")
    records.before_change(number)
    records.state[number] = ARCHIVED
    records.archived_at[number] = portal.clock.now_ms() - round(days_ago * DAY_MS)
    return {"id": str(records.id_of(number)), "archivedAt": iso(records.archived_at[number])}


def _restore(portal: Portal, mutation: Mutation, quirks: Quirks) -> Mutation:
    records = records_of(portal, mutation)
    records.drop_expired_archive()
    number = number_of(records, mutation, state=ARCHIVED)
    records.before_change(number)
    records.state[number] = LIVE
    del records.archived_at[number]
    if quirks["restore-bumps"] == "true":
        records.modified[number] = portal.clock.now_ms()
    return {"id": str(records.id_of(number))}


def _merge(portal: Portal, mutation: Mutation, _quirks: Quirks) -> Mutation:
    """The winner keeps its id and values and lists the loser's id; the loser's edges move to the winner."""
    records = records_of(portal, mutation)
    winner, loser = number_of(records, mutation, "winner"), number_of(records, mutation, "loser")
    if winner == loser:
        raise MutationError("merge: a record cannot be merged with itself.")
    loser_id = str(records.id_of(loser))
    now = portal.clock.now_ms()
    portal.associations.move(records.type.type_id, loser, winner)
    lists = {"hs_merged_object_ids": loser_id, "hs_calculated_merged_vids": f"{loser_id}:{now}"}
    changes: dict[str, str | None] = {
        name: ";".join(filter(None, (records.value(winner, name), new, records.value(loser, name))))
        for name, new in lists.items()
        if name in records.definitions
    }
    records.before_change(loser)
    records.state[loser] = MERGED
    records.survivor[loser] = winner
    records.write(winner, changes)
    return {"id": str(records.id_of(winner)), "mergedId": loser_id}


def _gdpr_delete(portal: Portal, mutation: Mutation, _quirks: Quirks) -> Mutation:
    """Delete a live or archived record for good, with its values."""
    records = records_of(portal, mutation)
    records.drop_expired_archive()
    raw = text_of(mutation.get("id"))
    number = records.number_of(raw)
    if number is None or records.state[number] not in (LIVE, ARCHIVED):
        raise MutationError(f"gdpr-delete: {records.type.plural} has no record {raw!r}.")
    records.before_change(number)
    records.state[number] = DELETED
    records.archived_at.pop(number, None)
    records.overrides.pop(number, None)
    return {"id": raw}


def _edge(portal: Portal, mutation: Mutation) -> tuple[str, int, str, int]:
    source, target = records_of(portal, mutation, "fromType"), records_of(portal, mutation, "toType")
    pair = (source.type.type_id, target.type.type_id)
    if pair not in LABELS:
        raise MutationError(f"{mutation['kind']}: {source.type.plural} and {target.type.plural} cannot be associated.")
    number, other = number_of(source, mutation, "fromId"), number_of(target, mutation, "toId")
    if source is target and number == other:
        raise MutationError(f"{mutation['kind']}: a record cannot be associated with itself.")
    return pair[0], number, pair[1], other


def _associate(portal: Portal, mutation: Mutation, quirks: Quirks) -> Mutation:
    from_type, number, to_type, other = _edge(portal, mutation)
    table = LABELS[from_type, to_type]
    shown = mutation.get("typeId")
    type_id = quirks.known_type(from_type, to_type, int(shown)) if shown else next(iter(table))
    if type_id not in table:
        raise MutationError(f"associate: there is no association type {type_id} from {from_type} to {to_type}.")
    portal.associations.associate(from_type, number, to_type, other, type_id)
    return {
        "fromId": text_of(mutation["fromId"]),
        "toId": text_of(mutation["toId"]),
        "typeId": quirks.shown_type(from_type, to_type, type_id),
    }


def _dissociate(portal: Portal, mutation: Mutation, quirks: Quirks) -> Mutation:
    from_type, number, to_type, other = _edge(portal, mutation)
    shown = mutation.get("typeId")
    type_id = quirks.known_type(from_type, to_type, int(shown)) if shown else None
    if not portal.associations.dissociate(from_type, number, to_type, other, type_id):
        raise MutationError("dissociate: these two records do not have this association.")
    return {"fromId": text_of(mutation["fromId"]), "toId": text_of(mutation["toId"])}


def _bulk_touch(portal: Portal, mutation: Mutation, _quirks: Quirks) -> Mutation:
    """Give `count` live records, from `fromId` on, the same modified time, as HubSpot's bulk updates do."""
    records = records_of(portal, mutation)
    count = int(mutation.get("count", 0))
    if count < 0:
        raise MutationError("bulk-touch: count cannot be negative.")
    start = records.first_number_from(int(mutation.get("fromId", 0)))
    given = properties_of(records, mutation)
    now = portal.clock.now_ms()
    touched = 0
    for number in records.numbers(LIVE, start):
        if touched == count:
            break
        records.write(number, given)
        records.modified[number] = now
        touched += 1
    return {"touched": touched, "updatedAt": iso(now)}


def _while_paging(portal: Portal, mutation: Mutation, _quirks: Quirks) -> Mutation:
    """From now on, change after every `every`-th page or before every such search, `times` times in all."""
    records = records_of(portal, mutation)
    standing = StandingChange(
        str(mutation["kind"]),
        records.type.type_id,
        int(mutation.get("every", 1)),
        int(mutation.get("times", 1)),
        id=str(records.id_of(number_of(records, mutation))) if mutation["kind"] == EDIT_SEARCHED else "",
    )
    standing.check(records)
    portal.standing_changes.append(standing)
    return {"every": standing.every, "times": standing.times}


def _define_property(portal: Portal, mutation: Mutation, _quirks: Quirks) -> Mutation:
    """Add a property, or change the type of one; its values stay."""
    records = records_of(portal, mutation)
    name = text_of(mutation.get("name"))
    if not name:
        raise MutationError("define-property: name is missing.")
    type_ = text_of(mutation.get("propertyType")) or "string"
    records.define(
        Definition(
            name,
            text_of(mutation.get("label")) or name,
            type_,
            text_of(mutation.get("fieldType")) or "text",
            "nothing",
            group_of(records.type),
            options=choices(*map(text_of, mutation.get("options") or ())),
            null_percent=100,
        )
    )
    return {"name": name, "propertyType": type_}


def _remove_property(portal: Portal, mutation: Mutation, _quirks: Quirks) -> Mutation:
    records = records_of(portal, mutation)
    name = text_of(mutation.get("name"))
    if name not in records.definitions or name in records.type.system_properties:
        raise MutationError(f"remove-property: {records.type.plural} has no removable property {name!r}.")
    records.undefine(name)
    return {"name": name}


#: kind → the function that applies mutations of this kind
ACTIONS: dict[str, Callable[[Portal, Mutation, Quirks], Mutation]] = {
    "edit": _edit,
    "recalculate": _recalculate,
    "create": _create,
    "archive": _archive,
    "restore": _restore,
    "merge": _merge,
    "gdpr-delete": _gdpr_delete,
    "associate": _associate,
    "dissociate": _dissociate,
    "bulk-touch": _bulk_touch,
    EDIT: _while_paging,
    CHURN: _while_paging,
    EDIT_SEARCHED: _while_paging,
    "define-property": _define_property,
    "remove-property": _remove_property,
}


def apply(portal: Portal, mutation: Mutation, quirks: Quirks) -> Mutation:
    """Apply one mutation and return its result; MutationError if it cannot be applied."""
    kind = mutation.get("kind")
    action = ACTIONS.get(kind) if isinstance(kind, str) else None
    if action is None:
        raise MutationError(f"There is no mutation kind {kind!r}; there are: {', '.join(ACTIONS)}.")
    try:
        result = action(portal, mutation, quirks)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, MutationError):
            raise
        raise MutationError(f"{kind}: {error}") from error
    return {"kind": kind, "type": mutation.get("type"), **result}

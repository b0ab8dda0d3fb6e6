"""Search: filters by type, limits, the maximum of 10,000 results, keyset paging beyond it, and the index lag."""

from __future__ import annotations

from typing import Any

import pytest

from hubspot_sandbox.control.pytest_plugin import RunningSandbox
from tests.sandbox.conftest import Api

BY_ID = [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]


def _filter(name: str, operator: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {"propertyName": name, "operator": operator, **({} if value is None else {"value": value}), **more}


def _truth(api: Api, object_type: str) -> list[dict[str, Any]]:
    return list(api.sandbox.truth(object_type))


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


CONDITIONS: tuple[tuple[dict[str, Any], Any], ...] = (
    (_filter("lifecyclestage", "EQ", "lead"), lambda p: p["lifecyclestage"] == "lead"),
    (_filter("lifecyclestage", "NEQ", "lead"), lambda p: p["lifecyclestage"] != "lead"),
    (
        _filter("lifecyclestage", "IN", values=["lead", "customer"]),
        lambda p: p["lifecyclestage"] in ("lead", "customer"),
    ),
    (_filter("lifecyclestage", "NOT_IN", values=["lead"]), lambda p: p["lifecyclestage"] != "lead"),
    (_filter("phone", "HAS_PROPERTY"), lambda p: bool(p["phone"])),
    (_filter("phone", "NOT_HAS_PROPERTY"), lambda p: not p["phone"]),
    (_filter("firstname", "CONTAINS_TOKEN", "hugo"), lambda p: p["firstname"] == "Hugo"),
    (_filter("firstname", "CONTAINS_TOKEN", "Hu*"), lambda p: "hu" in (p["firstname"] or "").lower()),
    (_filter("firstname", "NOT_CONTAINS_TOKEN", "hugo"), lambda p: p["firstname"] != "Hugo"),
    (_filter("intake_count", "GT", "100"), lambda p: (_number(p["intake_count"]) or 0) > 100),
    (
        _filter("intake_count", "BETWEEN", "9", highValue="100"),
        lambda p: (n := _number(p["intake_count"])) is not None and 9 <= n <= 100,
    ),
    (_filter("hs_object_id", "LTE", "9000"), lambda p: int(p["hs_object_id"]) <= 9000),
    (_filter("createdate", "LT", "2019-01-01"), lambda p: p["createdate"] < "2019"),
    (_filter("lastmodifieddate", "GTE", "1577836800000"), lambda p: p["lastmodifieddate"] >= "2020"),
)


@pytest.mark.parametrize(("condition", "holds"), CONDITIONS, ids=lambda c: str(c)[:60] if isinstance(c, dict) else "")
def test_a_filter_finds_exactly_the_matching_records(shared: Api, condition: dict[str, Any], holds: Any) -> None:
    expected = [row["id"] for row in _truth(shared, "contacts") if holds(row["properties"])]
    assert 0 < len(expected) < 700, "a condition that all or no records match tests nothing"
    reply = shared.search("contacts", filters=[condition], sorts=BY_ID, limit=200)
    assert reply["total"] == len(expected)
    assert [row["id"] for row in reply["results"]] == expected[:200]


def test_groups_are_alternatives_and_the_default_sort_is_oldest_first(shared: Api) -> None:
    groups = [{"filters": [_filter("lifecyclestage", "EQ", stage)]} for stage in ("lead", "customer")]
    rows = shared.search("contacts", filterGroups=groups, limit=200)["results"]
    expected = [r for r in _truth(shared, "contacts") if r["properties"]["lifecyclestage"] in ("lead", "customer")]
    expected.sort(key=lambda r: str(r["createdAt"]))
    assert [row["id"] for row in rows] == [row["id"] for row in expected][:200]
    assert [int(row["id"]) for row in rows] != sorted(int(row["id"]) for row in rows), "created is not the id's order"


def test_a_query_searches_only_the_records_that_match_the_groups(shared: Api) -> None:
    with_words = shared.search("contacts", query="hugo", sorts=BY_ID, limit=200)["results"]
    assert with_words, "nobody is called Hugo: this tests nothing"
    middle = with_words[len(with_words) // 2]["id"]
    expected = [row["id"] for row in with_words if int(row["id"]) <= int(middle)]
    assert len(expected) < len(with_words)
    group = [_filter("hs_object_id", "LTE", middle)]
    reply = shared.search("contacts", query="hugo", filterGroups=[{"filters": group}], sorts=BY_ID, limit=200)
    assert [row["id"] for row in reply["results"]] == expected
    assert reply["total"] == len(expected)
    others = [{"filters": group}, {"filters": [_filter("hs_object_id", "EQ", with_words[-1]["id"])]}]
    reply = shared.search("contacts", query="hugo", filterGroups=others, sorts=BY_ID, limit=200)
    assert [row["id"] for row in reply["results"]] == list(dict.fromkeys([*expected, with_words[-1]["id"]]))


@pytest.mark.parametrize("name", ["hs_object_id", "intake_count", "lastmodifieddate"])
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "--5", "²", "9" * 5_000])
def test_a_value_that_is_no_number_finds_nothing(shared: Api, name: str, value: str) -> None:
    for condition in (_filter(name, "GTE", value), _filter(name, "BETWEEN", value, highValue="5")):
        assert shared.search("contacts", filters=[condition])["total"] == 0
    assert shared.search("contacts", filters=[_filter(name, "BETWEEN", "-5", highValue=value)])["total"] == 0


def test_a_search_pages_by_offset(shared: Api) -> None:
    reply = shared.post("/crm/v3/objects/deals/search", {"limit": 100, "sorts": BY_ID})
    body = reply.json()
    assert (body["total"], len(body["results"]), body["paging"]) == (160, 100, {"next": {"after": "100"}})
    rest = shared.search("deals", limit=100, after="100", sorts=BY_ID)
    assert len(rest["results"]) == 60
    assert "paging" not in rest


REFUSED: tuple[dict[str, Any], ...] = (
    {"limit": 201},
    {"limit": 100, "after": "9901"},
    {"filterGroups": [{"filters": []}] * 6},
    {"filters": [_filter("email", "HAS_PROPERTY")] * 7},
    {"filterGroups": [{"filters": [_filter("email", "HAS_PROPERTY")] * 5}] * 4},
    {"sorts": BY_ID * 2},
    {"filters": [_filter("email", "LIKE", "x")]},
    {"filters": [_filter("no_such_property", "EQ", "x")]},
    {"filters": [_filter("email", "EQ")]},
    {"filters": [_filter("email", "IN", "x")]},
    {"query": "x" * 3001},
    {"limit": "many"},
)


@pytest.mark.parametrize("body", REFUSED, ids=lambda b: str(b)[:50])
def test_a_search_beyond_hubspots_limits_is_refused(shared: Api, body: dict[str, Any]) -> None:
    reply = shared.post("/crm/objects/2026-09/contacts/search", body)
    assert (reply.status_code, reply.json()["category"]) == (400, "VALIDATION_ERROR")


def test_a_search_of_contacts_by_the_hidden_modified_property_finds_nothing(shared: Api) -> None:
    assert shared.search("contacts", filters=[_filter("hs_lastmodifieddate", "GT", "1577836800000")])["total"] == 0
    assert shared.search("deals", filters=[_filter("hs_lastmodifieddate", "GT", "1577836800000")])["total"] > 0


def test_a_filter_from_the_epoch_breaks_the_search(shared: Api) -> None:
    reply = shared.post("/crm/v3/objects/contacts/search", {"filters": [_filter("lastmodifieddate", "GTE", "0")]})
    assert reply.status_code == 500


def test_keyset_paging_reads_more_than_10_000_records_of_one_millisecond(sandbox_factory: Any, http: Any) -> None:
    """Paging by offset ends at 10,000 results; paging by id does not."""
    api = Api(sandbox_factory(contacts=11_000, tier="unlimited"), http)
    api.sandbox.mutate([{"kind": "bulk-touch", "type": "contacts", "count": 10_500}])
    stamp = api.get("/crm/v3/objects/contacts/51").json()["updatedAt"]
    window = _filter("lastmodifieddate", "EQ", stamp)
    assert api.search("contacts", filters=[window], limit=200, after="9800", sorts=BY_ID)["total"] == 10_500
    assert (
        api.post("/crm/v3/objects/contacts/search", {"filters": [window], "limit": 200, "after": "9900"}).status_code
        == 400
    )
    seen: list[int] = []
    last = 0
    while True:
        keyset = [window, _filter("hs_object_id", "GT", str(last))]
        page = api.search("contacts", filters=keyset, sorts=BY_ID, limit=200, properties=["lastmodifieddate"])
        assert page["total"] == 10_500 - len(seen)
        seen += [int(row["id"]) for row in page["results"]]
        last = seen[-1]
        if "paging" not in page:
            break
    assert len(seen) == len(set(seen)) == 10_500
    assert seen == sorted(seen)


def test_the_index_lags_while_results_have_the_new_values(api: Api) -> None:
    api.sandbox.settings(indexLagSeconds=60)
    old = api.get("/crm/v3/objects/contacts/51").json()["updatedAt"]
    made = api.sandbox.mutate(
        [
            {"kind": "edit", "type": "contacts", "id": "51", "properties": {"firstname": "Neu"}},
            {"kind": "create", "type": "contacts", "properties": {"firstname": "Neu"}},
        ]
    )
    fresh = [_filter("lastmodifieddate", "GTE", made[0]["updatedAt"])]
    assert api.search("contacts", filters=fresh)["total"] == 0
    assert api.search("contacts", filters=[_filter("firstname", "EQ", "Neu")])["total"] == 0
    by_old_time = api.search("contacts", filters=[_filter("lastmodifieddate", "EQ", old)], properties=["firstname"])
    assert [row["properties"]["firstname"] for row in by_old_time["results"]] == ["Neu"]
    assert by_old_time["results"][0]["updatedAt"] > old, "the value may lie outside the window that matched"
    api.sandbox.clock.advance(61)
    assert api.search("contacts", filters=fresh)["total"] == 2
    assert api.search("contacts", filters=[_filter("lastmodifieddate", "EQ", old)])["total"] == 0


def test_the_index_lags_on_archived_records_too(api: Api) -> None:
    api.sandbox.settings(indexLagSeconds=60)
    api.sandbox.mutate([{"kind": "archive", "type": "contacts", "id": "51"}])
    by_id = [_filter("hs_object_id", "EQ", "51")]
    assert api.search("contacts", filters=by_id)["total"] == 1
    assert api.get("/crm/v3/objects/contacts/51").status_code == 404
    api.sandbox.clock.advance(61)
    assert api.search("contacts", filters=by_id)["total"] == 0


@pytest.mark.parametrize(("quirk", "rows"), [("short-search-pages", 9), ("empty-search-pages", 0)])
def test_a_page_may_be_short_or_empty_although_paging_goes_on(api: Api, quirk: str, rows: int) -> None:
    api.sandbox.settings(quirks={quirk: "2"})
    pages = [api.search("contacts", limit=10) for _ in range(2)]
    assert [len(page["results"]) for page in pages] == [10, rows]
    assert "paging" in pages[1]


def test_a_search_sees_changes_made_while_it_is_paged(api: Api) -> None:
    """The cached match list is updated: an edited record leaves the window, a new one enters it."""
    window = [_filter("lastmodifieddate", "LT", "2030-01-01"), _filter("firstname", "NEQ", "Neu")]
    before = api.search("contacts", filters=window)["total"]
    api.sandbox.mutate([{"kind": "edit", "type": "contacts", "id": "51", "properties": {"firstname": "Neu"}}])
    assert api.search("contacts", filters=window)["total"] == before - 1
    api.sandbox.mutate([{"kind": "edit", "type": "contacts", "id": "51", "properties": {"firstname": "Alt"}}])
    assert api.search("contacts", filters=window)["total"] == before


def test_default_options_serve_a_search(sandbox: RunningSandbox, http: Any) -> None:
    assert Api(sandbox, http).search("appointments")["total"] == 800

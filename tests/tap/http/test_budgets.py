"""A rate limit is used fully and never exceeded, in any window."""

from __future__ import annotations

import pytest

from tap_hubspot_dw.http.rate_limits import ASSOCIATIONS, OBJECTS, SEARCH, Budget, Budgets


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("way_there", "way_back"), [(0.0, 0.0), (0.05, 0.05), (0.05, 0.2), (0.0, 0.4)])
def test_no_window_holds_more_than_the_limit_and_a_full_one_is_soon_used(way_there, way_back):
    """HubSpot counts a request at its arrival, which the client cannot see."""
    clock, arrived, under_way = Clock(), [], []
    budget = Budget(5, 1.0, clock)
    while len(arrived) < 50:
        under_way.sort()
        if not (wait := budget.take()):
            arrived.append(clock.now + way_there)
            under_way.append(clock.now + way_there + way_back)
        elif under_way and under_way[0] <= clock.now + wait:
            clock.now = max(clock.now, under_way.pop(0))
            budget.answered(way_there + way_back)
        else:
            clock.now += wait
    for i in range(len(arrived) - 5):
        assert arrived[i + 5] - arrived[i] >= 1.0 - 1e-9
    assert arrived[-1] - arrived[0] <= 9 * (1.0 + way_there + way_back / 2 + 0.05)


def test_requests_without_an_answer_count():
    budget = Budget(2, 1.0, Clock())
    assert [budget.take() for _ in range(2)] == [0.0, 0.0]
    assert budget.take() > 0


def test_a_closed_budget_opens_when_hubspot_said():
    clock = Clock()
    budget = Budget(5, 1.0, clock)
    budget.close(2.0)
    assert budget.take() == 2.0
    clock.now += 2.0
    assert budget.take() == 0.0


LIMITS = [(100, 100, 5), (110, 100, 5), (190, 150, 5), (250, 200, 5), (50, 50, 5), (None, None, None)]


@pytest.mark.parametrize(("objects", "associations", "search"), LIMITS)
def test_the_limits_follow_the_accounts_tier(objects, associations, search):
    budgets = Budgets()
    budgets.learn(objects)
    learned = (budgets[OBJECTS].limit, budgets[ASSOCIATIONS].limit, budgets[SEARCH].limit)
    assert learned == (objects, associations, search)


def test_a_reply_without_a_limit_does_not_revoke_a_stated_limit():
    """HubSpot exempts some endpoints from the ten-second limit (documented for associations)."""
    budgets = Budgets()
    budgets.learn(190)
    budgets.learn(None)
    assert [budgets[name].limit for name in (OBJECTS, ASSOCIATIONS, SEARCH)] == [190, 150, 5]

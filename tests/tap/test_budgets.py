"""A budget is filled and never overrun, in any window."""

from __future__ import annotations

import pytest

from tap_hubspot_dw.budgets import ASSOCIATIONS, OBJECTS, SEARCH, Budget, Budgets


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_no_window_holds_more_than_the_limit_and_a_full_one_is_used_at_once():
    clock, begun = Clock(), []
    budget = Budget(5, 1.0, clock)
    while len(begun) < 23:
        if wait := budget.take():
            clock.now += wait
        else:
            begun.append(clock.now)
    for i in range(len(begun) - 5):
        assert begun[i + 5] - begun[i] >= 1.0
    assert begun[-1] - begun[0] <= 4 * 1.25 + 0.01


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

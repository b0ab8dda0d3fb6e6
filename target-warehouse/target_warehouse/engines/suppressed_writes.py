"""Find writes that the database leaves out without an error: the rows would be stale or missing after a success.

In PostgreSQL a trigger that returns NULL, a rule or row level security does that. Only tables that have one of them are
checked. A check compares the number of rows that a statement affected, and queries the table only if it is too low;
after a deletion it always does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from target_warehouse.errors import LoadError
from target_warehouse.tables import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Merge:
    """A staged batch of `rows` rows that is merged into a table; `compared` are the expressions that must be equal."""

    table: str
    stage: str
    keys: Sequence[str]
    values: Mapping[str, str]
    compared: Sequence[tuple[str, str]]
    rows: int


@dataclass(frozen=True)
class SuppressedWrites:
    """The checks of one table; `count` runs a SELECT of one number.

    `may_redirect`: a trigger may put new rows into a child of the table, and returns NULL then too.

    Every check raises a LoadError if rows were left out.
    """

    name: str
    count: Callable[[str], int]
    may_redirect: bool

    def check_updated(self, merge: Merge, updated: int) -> int:
        """Check an UPDATE of the rows with the keys of a batch; returns the number of rows that must be inserted.

        A row that already has the new values counts as updated: a trigger may leave out updates that change nothing.
        """
        if updated >= merge.rows:
            return 0
        found = self._found(merge)
        if updated < found:
            where = statements.in_batch(merge.stage, merge.keys, merge.values)
            reached = self.count(statements.count_where(merge.table, where))
            if updated < reached and self._found(merge, merge.compared) < found:
                self._fail(reached - updated, reached, "updates")
        return merge.rows - found

    def check_inserted(self, merge: Merge, inserted: int, expected: int) -> None:
        """Check an INSERT of the rows whose keys are new."""
        if inserted < expected and (lacking := merge.rows - self._found(merge)):
            self._fail(lacking, expected, "inserts")

    def check_appended(self, inserted: int, rows: int) -> None:
        """Check an INSERT of every row of a batch; rows without keys cannot be found in the children of a table."""
        if inserted < rows and not self.may_redirect:
            self._fail(rows - inserted, rows, "inserts")

    def check_deleted(self, table: str, where: str, deleted: int) -> None:
        """Check that no row meets the condition any more."""
        if left := self.count(statements.count_where(table, where)):
            self._fail(left, left + deleted, "deletions")

    def _found(self, merge: Merge, compared: Sequence[tuple[str, str]] = ()) -> int:
        """The rows of the batch whose keys, and the values that are compared, are in the table."""
        return self.count(
            statements.count_same(merge.table, merge.stage, merge.keys, merge.values, compared, joins_first=False)
        )

    def _fail(self, left_out: int, total: int, what: str) -> None:
        msg = (
            f"The table {self.name} has a trigger, a rule or row level security that suppressed {left_out:,} of "
            f"{total:,} {what} without an error, so its rows would be out of date. Drop it, exempt the target's "
            "role from it, or let the trigger raise an exception for the rows that it refuses. Nothing of this batch "
            "was kept."
        )
        raise LoadError(msg)

"""What HubSpot's documents leave open, as questions that a portal answers to reads.

The result of a question is an answer, or what the portal needs for one. `default` is what the tap does without the
answer; it is right under every answer unless the row says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.live import questions_of_associations as associations
from tests.live import questions_of_lists as lists
from tests.live import questions_of_search as search
from tests.live.finding import Finding, NeedsError
from tests.live.sheet import UNKNOWN, Answer
from tests.live.survey import Survey


@dataclass(frozen=True)
class Question:
    """One open point; `quirks` are the switches of the sandbox that decide it."""

    number: int
    name: str
    question: str
    ask: Callable[[Survey], Finding] = field(repr=False)
    default: str
    quirks: tuple[str, ...] = ()


QUESTIONS: tuple[Question, ...] = (
    Question(
        1,
        "to-object-id",
        "Is toObjectId a number or a text?",
        associations.to_object_id,
        "reads either, writes text",
        ("to-object-id",),
    ),
    Question(
        2,
        "search-too-far",
        "What answers a search beyond 10,000 results?",
        search.too_far,
        "never asks beyond: pages by id",
        ("error-bodies",),
    ),
    Question(
        3,
        "over-limit",
        "What answers more than a page or a batch may have?",
        lists.over_limit,
        "never asks for more than the documented maxima",
        ("over-limit", "error-bodies"),
    ),
    Question(
        4,
        "arbitrary-after",
        "Can a list be entered at any id?",
        lists.arbitrary_after,
        "tries ranges of ids, checks every page, and falls back to the list's own cursor",
        ("arbitrary-after", "list-cursor"),
    ),
    Question(
        5,
        "association-page",
        "How many associations of a record come in one reply?",
        associations.page_size,
        "follows the cursor of every record to its end",
        ("association-page",),
    ),
    Question(
        6,
        "batch-order",
        "In which order does a batch read answer?",
        lists.batch_order,
        "looks records up by id",
        ("batch-order",),
    ),
    Question(
        7,
        "dead-id",
        "Does an id without a live record break a batch of associations?",
        associations.dead_id,
        "halves a refused batch down to the id and skips it with a warning",
        ("dead-id-in-association-batch",),
    ),
    Question(
        8,
        "deal-to-appointment",
        "Which association type is deal to appointment?",
        associations.deal_to_appointment,
        "writes the type that HubSpot names; reads this pair from appointments",
        ("deal-to-appointment-type",),
    ),
    Question(
        9,
        "archived",
        "Can archived appointments and custom objects be listed?",
        lists.archived,
        "where refused: a warning, and deletions show at the next full pass",
        ("archived-unsupported",),
    ),
    Question(
        10,
        "index-lag",
        "How far is the search index behind now?",
        search.index_lag,
        "reads 60 minutes again at every run (lookback_minutes)",
    ),
    Question(
        11,
        "list-cursor",
        "Is a list's cursor the last id plus one?",
        lists.cursor,
        "checks it, and falls back to the cursor of every page",
        ("list-cursor",),
    ),
    Question(
        12,
        "search-pages",
        "Are search pages short or empty although more follows?",
        search.short_pages,
        "retries an empty page, and continues by id after a short one",
        ("short-search-pages", "empty-search-pages"),
    ),
    Question(
        13,
        "modified-property",
        "Do the lists of properties have the last-modified property?",
        lists.modified_property,
        "refuses to search by a property that is not listed",
        ("unlisted-properties",),
    ),
)

# No read shows whether restoring a record changes its modified time. The tap itself detects how long a URL may be and
# whether an object has pipelines, and it accepts every form of an error about associations.
NOT_ASKED = frozenset({"restore-bumps", "longest-url", "custom-pipelines", "association-errors"})


def answered(question: Question, survey: Survey) -> Answer:
    """Return the row of a question for a portal.

    Raises:
        CannotAskError: no request is possible.
    """
    try:
        finding = question.ask(survey)
    except NeedsError as error:
        finding = Finding(f"{UNKNOWN}{error}", error.evidence)
    return Answer(
        question.number, question.question, finding.answer, finding.evidence, finding.product or question.default
    )

"""The object types of the portal, one row each; a new type is a new row.

Type ids, modified and created properties and default property sets are HubSpot's (documented or observed);
the custom object's type id, its counts and its ids are this portal's own.
"""

from __future__ import annotations

from dataclasses import dataclass

DIVISION_TYPE_ID = "2-37778609"


@dataclass(frozen=True, kw_only=True)
class ObjectType:
    """One object type: its names in paths, its system properties, its record ids and its number of properties.

    The ids of the records begin with `first_id` and are `id_step` apart.
    """

    type_id: str
    plural: str
    singular: str
    created_property: str = "hs_createdate"
    modified_property: str = "hs_lastmodifieddate"
    default_properties: tuple[str, ...] = ("hs_createdate", "hs_lastmodifieddate", "hs_object_id")
    first_id: int = 30_000_000_000
    id_step: int = 131
    property_count: int = 20
    has_pipelines: bool = False
    custom: bool = False

    @property
    def label(self) -> str:
        """The name of one record in HubSpot's pages."""
        return _in_words(self.singular)

    @property
    def plural_label(self) -> str:
        """The name of the type in HubSpot's pages."""
        return _in_words(self.plural)

    @property
    def read_scope(self) -> str:
        """The scope that HubSpot requires to read records of this type."""
        return "crm.objects.custom.read" if self.custom else f"crm.objects.{self.plural}.read"

    @property
    def schema_scope(self) -> str:
        """The scope that HubSpot requires to read the properties of this type."""
        return "crm.schemas.custom.read" if self.custom else f"crm.schemas.{self.plural}.read"

    @property
    def system_properties(self) -> tuple[str, ...]:
        """The properties that every reply carries, even if the client does not ask for them (observed)."""
        return tuple(sorted({self.created_property, self.modified_property, "hs_object_id"}))


def _in_words(name: str) -> str:
    return name.replace("_", " ").capitalize()


_CONTACT = ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname")
_DEAL = (
    "amount",
    "closedate",
    "createdate",
    "dealname",
    "dealstage",
    "hs_lastmodifieddate",
    "hs_object_id",
    "pipeline",
)
_COMPANY = ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name")
_TICKET = (
    "content",
    "createdate",
    "hs_lastmodifieddate",
    "hs_object_id",
    "hs_pipeline",
    "hs_pipeline_stage",
    "hs_ticket_category",
    "hs_ticket_priority",
    "subject",
)

OBJECT_TYPES: tuple[ObjectType, ...] = (
    ObjectType(
        type_id="0-1",
        plural="contacts",
        singular="contact",
        created_property="createdate",
        modified_property="lastmodifieddate",
        default_properties=_CONTACT,
        first_id=51,  # two digits, so that a comparison of ids as text gives a visibly wrong order
        id_step=37,
        property_count=300,
    ),
    ObjectType(
        type_id="0-2",
        plural="companies",
        singular="company",
        created_property="createdate",
        default_properties=_COMPANY,
        first_id=5_790_939_450,
        id_step=1_913,
        property_count=60,
    ),
    ObjectType(
        type_id="0-3",
        plural="deals",
        singular="deal",
        created_property="createdate",
        default_properties=_DEAL,
        first_id=515_690_208,
        id_step=4_231,
        property_count=80,
        has_pipelines=True,
    ),
    ObjectType(
        type_id="0-5",
        plural="tickets",
        singular="ticket",
        created_property="createdate",
        default_properties=_TICKET,
        first_id=1_042_667,
        id_step=311,
        property_count=40,
        has_pipelines=True,
    ),
    ObjectType(
        type_id="0-421",
        plural="appointments",
        singular="appointment",
        first_id=407_118_000_000,
        id_step=97,
        property_count=120,
        has_pipelines=True,
    ),
    ObjectType(
        type_id=DIVISION_TYPE_ID,
        plural="divisions",
        singular="division",
        first_id=27_413_550_000,
        id_step=1_000_003,
        property_count=40,
        custom=True,
    ),
)

#: HubSpot's other standard objects: they exist with HubSpot's system properties; their default count is 0.
_OTHERS: tuple[tuple[str, str, str], ...] = (
    ("0-7", "products", "product"),
    ("0-8", "line_items", "line_item"),
    ("0-11", "conversations", "conversation"),
    ("0-14", "quotes", "quote"),
    ("0-18", "communications", "communication"),
    ("0-19", "feedback_submissions", "feedback_submission"),
    ("0-27", "tasks", "task"),
    ("0-46", "notes", "note"),
    ("0-47", "meetings", "meeting"),
    ("0-48", "calls", "call"),
    ("0-49", "emails", "email"),
    ("0-53", "invoices", "invoice"),
    ("0-69", "subscriptions", "subscription"),
    ("0-74", "goal_targets", "goal_target"),
    ("0-101", "commerce_payments", "commerce_payment"),
    ("0-115", "users", "user"),
    ("0-116", "postal_mail", "postal_mail"),
    ("0-123", "orders", "order"),
    ("0-136", "leads", "lead"),
    ("0-162", "services", "service"),
    ("0-410", "courses", "course"),
    ("0-420", "listings", "listing"),
)
_WITH_PIPELINES = frozenset({"orders", "leads", "services", "courses", "listings"})


OBJECT_TYPES += tuple(
    ObjectType(type_id=type_id, plural=plural, singular=singular, has_pipelines=plural in _WITH_PIPELINES)
    for type_id, plural, singular in _OTHERS
)


def resolve(text: str, portal_id: int) -> ObjectType | None:
    """The object type of a path element (type id, plural or singular in any case, `p{portal}_{name}`), else None."""
    wanted = text.strip().lower()
    for object_type in OBJECT_TYPES:
        names = {object_type.type_id, object_type.plural, object_type.singular}
        if object_type.custom:
            # singer-io's tap sends `p_{name}`, without the portal's id (observed).
            names |= {f"p{portal_id}_{object_type.singular}", f"p_{object_type.singular}"}
        if wanted in names:
            return object_type
    return None

"""Property definitions of every object type: HubSpot's own first, then the portal's custom ones up to a count.

A definition also says what its values look like (`kind`, `null_percent`); `values.py` draws them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hubspot_sandbox import words
from hubspot_sandbox.object_types import ObjectType

Choices = tuple[tuple[str, str], ...]  # (value, label)


@dataclass(frozen=True)
class Definition:
    """One property: HubSpot's description of it, and the kind of values this portal keeps in it."""

    name: str
    label: str
    type: str
    field_type: str
    kind: str
    group: str
    description: str = ""
    options: Choices = ()
    null_percent: int = 40
    hubspot_defined: bool = False
    hidden: bool = False
    calculated: bool = False
    external_options: bool = False
    unique: bool = False
    sensitivity: str = "non_sensitive"
    referenced_object_type: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The object that the properties API returns (keys as in HubSpot's replies)."""
        body: dict[str, Any] = {
            "updatedAt": "2024-11-05T09:12:44.318Z",
            "createdAt": "2019-08-06T02:41:09.377Z",
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "description": self.description,
            "groupName": self.group,
            "options": [
                {"label": label, "value": value, "displayOrder": order, "hidden": False, "description": ""}
                for order, (value, label) in enumerate(self.options)
            ],
            "displayOrder": -1,
            "calculated": self.calculated,
            "externalOptions": self.external_options,
            "archived": False,
            "hasUniqueValue": self.unique,
            "hidden": self.hidden,
            "hubspotDefined": self.hubspot_defined,
            "modificationMetadata": {
                "archivable": not self.hubspot_defined,
                "readOnlyDefinition": self.hubspot_defined,
                "readOnlyOptions": False,
                "readOnlyValue": self.calculated,
            },
            "formField": not self.hubspot_defined,
            "dataSensitivity": self.sensitivity,
        }
        if self.referenced_object_type:
            body["referencedObjectType"] = self.referenced_object_type
        return body


def choices(*values: str) -> Choices:
    """Options whose label is the value in words."""
    return tuple((value, value.replace("_", " ").capitalize()) for value in values)


_TYPE_OF_KIND: dict[str, tuple[str, str]] = {
    # kind: (HubSpot type, fieldType); the computed kinds are in `values.py`.
    "text": ("string", "text"),
    "textarea": ("string", "textarea"),
    "html": ("string", "html"),
    "integer": ("number", "number"),
    "decimal": ("number", "number"),
    "calculation": ("number", "calculation_equation"),
    "date": ("date", "date"),
    "datetime": ("datetime", "date"),
    "select": ("enumeration", "select"),
    "multi": ("enumeration", "checkbox"),
    "owner": ("enumeration", "select"),
    "bool": ("bool", "booleancheckbox"),
    "phone": ("phone_number", "phonenumber"),
    "coordinates": ("object_coordinates", "text"),
    "json": ("json", "text"),
}


def _of(name: str, label: str, kind: str, null: int = 40, options: Choices = (), **more: Any) -> Definition:
    """A HubSpot-defined property; `more` are Definition fields."""
    type_, field_type = more.pop("types", None) or _TYPE_OF_KIND[kind]
    group = more.pop("group", "")
    if kind == "owner":
        more.update(external_options=True, referenced_object_type="OWNER")
    return Definition(
        name, label, type_, field_type, kind, group, f"{label}.", options, null, hubspot_defined=True, **more
    )


def _system(object_type: ObjectType) -> list[Definition]:
    number, moment, string = ("number", "number"), ("datetime", "date"), ("string", "text")
    found = [
        _of("hs_object_id", "Record ID", "id", 0, types=number),
        _of(object_type.created_property, "Create Date", "created", 0, types=moment),
        _of(object_type.modified_property, "Last Modified Date", "modified", 0, types=moment),
        _of(
            "hs_merged_object_ids",
            "Merged record IDs",
            "nothing",
            100,
            types=("enumeration", "checkbox"),
            external_options=True,
        ),
        _of("hs_created_by_user_id", "Created by user ID", "integer", 30),
        _of("hs_updated_by_user_id", "Updated by user ID", "integer", 30),
        _of(
            "hs_object_source",
            "Record creation source",
            "select",
            0,
            choices("INTEGRATION", "IMPORT", "CRM_UI", "FORM"),
            types=string,
        ),
        _of("hs_object_source_id", "Record creation source ID", "text", 60),
        _of("hs_read_only", "Read Only Object", "nothing", 100, types=("bool", "booleancheckbox")),
        _of(
            "hs_all_owner_ids",
            "All owner IDs",
            "nothing",
            100,
            types=("enumeration", "checkbox"),
            external_options=True,
        ),
        _of("hubspot_owner_id", "Owner", "owner", 20),
        _of("hubspot_team_id", "Team", "nothing", 100, types=("enumeration", "select"), external_options=True),
        _of("hubspot_owner_assigneddate", "Owner Assigned Date", "datetime", 20),
    ]
    if object_type.created_property != "hs_createdate":
        found.append(_of("hs_createdate", "Object create date", "nothing", 100, types=moment, hidden=True))
    return found


_CONTACT = (
    _of("email", "Email", "email", 5, types=("string", "text"), unique=True),
    _of("firstname", "First Name", "firstname", 4, types=("string", "text")),
    _of("lastname", "Last Name", "lastname", 6, types=("string", "text")),
    _of("phone", "Phone Number", "phone", 25),
    _of("mobilephone", "Mobile Phone Number", "phone", 50),
    _of("company", "Company Name", "company", 45, types=("string", "text")),
    _of("jobtitle", "Job Title", "text", 55),
    _of("address", "Street Address", "street", 45, types=("string", "text")),
    _of("city", "City", "city", 40, types=("string", "text")),
    _of("zip", "Postal Code", "zip", 40, types=("string", "text")),
    _of("country", "Country/Region", "country", 40, types=("string", "text")),
    _of(
        "lifecyclestage",
        "Lifecycle Stage",
        "select",
        2,
        choices(*words.LIFECYCLE_STAGES),
        types=("enumeration", "radio"),
        external_options=True,
    ),
    _of(
        "hs_lead_status",
        "Lead Status",
        "select",
        35,
        choices(*words.LEAD_STATUSES),
        types=("enumeration", "radio"),
    ),
    _of(
        "hs_calculated_merged_vids",
        "Merged vids",
        "nothing",
        100,
        types=("enumeration", "checkbox"),
        external_options=True,
        calculated=True,
    ),
    # It exists, and searching contacts on it answers 200 with no rows (observed).
    _of(
        "hs_lastmodifieddate",
        "Object last modified date",
        "modified",
        0,
        types=("datetime", "date"),
        hidden=True,
    ),
    _of("hs_email_optout", "Unsubscribed from all email", "bool", 70),
    _of("hs_email_open", "Marketing emails opened", "integer", 50),
    _of("hs_analytics_num_page_views", "Number of Pageviews", "integer", 30),
    _of(
        "hs_analytics_source",
        "Original Traffic Source",
        "select",
        10,
        choices("ORGANIC_SEARCH", "PAID_SEARCH", "DIRECT_TRAFFIC", "REFERRALS", "OFFLINE", "SOCIAL_MEDIA"),
    ),
    _of("hs_latest_source_timestamp", "Latest Traffic Source Date", "datetime", 30),
    _of("notes_last_updated", "Last Activity Date", "datetime", 45),
    _of("num_associated_deals", "Number of Associated Deals", "integer", 60),
    _of("hubspotscore", "HubSpot Score", "calculation", 10, calculated=True),
    _of("days_to_close", "Days To Close", "calculation", 70, calculated=True),
)
_DEAL = (
    _of("dealname", "Deal Name", "dealname", 0, types=("string", "text")),
    _of("amount", "Amount", "decimal", 15),
    _of("pipeline", "Pipeline", "pipeline", 0, types=("enumeration", "select"), external_options=True),
    _of("dealstage", "Deal Stage", "stage", 0, types=("enumeration", "radio"), external_options=True),
    _of("closedate", "Close Date", "datetime", 20),
    _of(
        "dealtype",
        "Deal Type",
        "select",
        40,
        choices("newbusiness", "existingbusiness"),
        types=("enumeration", "radio"),
    ),
    _of("deal_currency_code", "Currency", "select", 10, choices("USD", "EUR", "NOK")),
    _of(
        "hs_is_closed",
        "Is Deal Closed?",
        "closed",
        0,
        types=("bool", "calculation_equation"),
        calculated=True,
    ),
    _of(
        "hs_is_closed_won",
        "Is Closed Won",
        "closed_won",
        0,
        types=("bool", "calculation_equation"),
        calculated=True,
    ),
    _of(
        "hs_is_closed_lost",
        "Is Closed Lost",
        "closed_lost",
        0,
        types=("bool", "calculation_equation"),
        calculated=True,
    ),
    _of("hs_deal_stage_probability", "Deal probability", "calculation", 30, calculated=True),
    _of("description", "Deal Description", "textarea", 60),
    _of("hs_forecast_amount", "Forecast amount", "calculation", 30, calculated=True),
)
_APPOINTMENT = (
    _of("hs_appointment_name", "Appointment Name", "visit", 2, types=("string", "text")),
    _of("hs_appointment_start", "Appointment Start", "start", 0, types=("datetime", "date")),
    _of("hs_appointment_end", "Appointment End", "end", 0, types=("datetime", "date")),
    _of(
        "hs_appointment_status",
        "Appointment Status",
        "select",
        5,
        choices("SCHEDULED", "COMPLETED", "CANCELED", "NO_SHOW", "RESCHEDULED"),
    ),
    _of("hs_duration", "Duration", "duration", 0, types=("number", "number")),
    _of("hs_pipeline", "Pipeline", "pipeline", 0, types=("enumeration", "select"), external_options=True),
    _of(
        "hs_pipeline_stage",
        "Pipeline stage",
        "stage",
        0,
        types=("enumeration", "select"),
        external_options=True,
    ),
)
_DIVISION = (
    _of("division_name", "Division name", "division_name", 0, types=("string", "text"), unique=True),
    _of("division_label", "Division label", "text", 20),
    _of("label", "Label", "text", 50),
    _of("division_code", "Division code", "division_code", 0, types=("string", "text")),
    _of("code", "Code", "integer", 30),
    _of("status", "Status", "select", 5, choices("active", "opening", "closed")),
    _of("region", "Region", "select", 5, choices(*words.REGIONS)),
    _of("manager_name", "Manager name", "manager", 10, types=("string", "text")),
    _of("manager_email", "Manager email", "text", 10),
    _of("phone", "Phone", "phone", 5),
    _of("address", "Address", "street", 5, types=("string", "text")),
    _of("city", "City", "city", 5, types=("string", "text")),
    _of("zip", "ZIP", "zip", 5, types=("string", "text")),
)
_COMPANY = (
    _of("name", "Company name", "company", 0, types=("string", "text")),
    _of("domain", "Company domain name", "domain", 20, types=("string", "text")),
    _of("city", "City", "city", 20, types=("string", "text")),
    _of("phone", "Phone Number", "phone", 30),
    _of(
        "industry",
        "Industry",
        "select",
        30,
        choices("HOSPITAL_HEALTH_CARE", "LOGISTICS", "COMPUTER_SOFTWARE"),
    ),
    _of("numberofemployees", "Number of Employees", "integer", 40),
    _of("annualrevenue", "Annual Revenue", "decimal", 50),
)
_TICKET = (
    _of("subject", "Ticket name", "visit", 0, types=("string", "text")),
    _of("content", "Ticket description", "textarea", 10),
    _of("hs_pipeline", "Pipeline", "pipeline", 0, types=("enumeration", "select"), external_options=True),
    _of(
        "hs_pipeline_stage",
        "Ticket status",
        "stage",
        0,
        types=("enumeration", "select"),
        external_options=True,
    ),
    _of("hs_ticket_priority", "Priority", "select", 20, choices("LOW", "MEDIUM", "HIGH")),
    _of(
        "hs_ticket_category",
        "Category",
        "multi",
        40,
        choices("PRODUCT_ISSUE", "BILLING_ISSUE", "GENERAL_INQUIRY"),
    ),
)
_OWN: dict[str, tuple[Definition, ...]] = {
    "contacts": _CONTACT,
    "companies": _COMPANY,
    "deals": _DEAL,
    "tickets": _TICKET,
    "appointments": _APPOINTMENT,
    "divisions": _DIVISION,
}
_GROUP = {
    "contacts": "contactinformation",
    "companies": "companyinformation",
    "deals": "dealinformation",
    "tickets": "ticketinformation",
    "appointments": "appointment_information",
    "divisions": "division_information",
}
#: (kind, name pattern, label pattern, options) of custom properties, taken in turn.
_CUSTOM: tuple[tuple[str, str, str, Choices], ...] = (
    ("text", "{}_reference", "{} reference", ()),
    ("select", "{}_status", "{} status", choices("new", "in_review", "approved", "declined", "on_hold")),
    ("integer", "{}_count", "{} count", ()),
    ("date", "{}_date", "{} date", ()),
    ("bool", "{}_opt_in", "{} opt-in", (("true", "Yes"), ("false", "No"))),
    ("decimal", "{}_amount", "{} amount", ()),
    ("datetime", "{}_at", "{} time", ()),
    ("multi", "{}_channels", "{} channels", choices("email", "phone", "sms", "post", "in_person")),
    ("textarea", "{}_notes", "{} notes", ()),
    ("phone", "{}_phone", "{} phone", ()),
    ("html", "{}_summary", "{} summary", ()),
    ("calculation", "{}_score", "{} score", ()),
    ("coordinates", "{}_location", "{} location", ()),
    ("json", "{}_details", "{} details", ()),
)


def _custom(number: int, group: str) -> Definition:
    """The portal's own property number 0, 1, 2, …; names never repeat."""
    kind, name, label, options = _CUSTOM[number % len(_CUSTOM)]
    turn, place = divmod(number // len(_CUSTOM), len(words.PROPERTY_STEMS))
    stem = words.PROPERTY_STEMS[place] + (f"_{turn + 1}" if turn else "")
    type_, field_type = _TYPE_OF_KIND[kind]
    title = stem.replace("_", " ").capitalize()
    return Definition(
        name.format(stem),
        label.format(title),
        type_,
        field_type,
        kind,
        group,
        f"{label.format(title)}, kept by the front desk.",
        options,
        # 12 … 76 %, so that all properties together are about 40 % null
        null_percent=12 + (number * 37) % 65,
        calculated=kind == "calculation",
    )


def definitions_of(object_type: ObjectType, count: int) -> dict[str, Definition]:
    """All definitions by name: HubSpot's own, then custom ones until there are `count` (never fewer than HubSpot's)."""
    group = _GROUP.get(object_type.plural, f"{object_type.singular}_information")
    found: dict[str, Definition] = {}
    for definition in (*_system(object_type), *_OWN.get(object_type.plural, ())):
        found.setdefault(definition.name, Definition(**{**definition.__dict__, "group": group}))
    number = 0
    while len(found) < count:
        definition = _custom(number, group)
        found.setdefault(definition.name, definition)
        number += 1
    return found

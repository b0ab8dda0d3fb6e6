"""HubSpot's own properties, one row each: the system properties of all types, then those of each type."""

from __future__ import annotations

from typing import Any

from hubspot_sandbox.portal import words
from hubspot_sandbox.portal.definition import TYPE_OF_GENERATOR, Choices, Definition, choices
from hubspot_sandbox.portal.object_types import ObjectType


def _of(name: str, label: str, generator: str, null: int = 40, options: Choices = (), **more: Any) -> Definition:
    """A HubSpot-defined property; `more` are Definition fields."""
    type_, field_type = more.pop("types", None) or TYPE_OF_GENERATOR[generator]
    group = more.pop("group", "")
    if generator == "owner":
        more.update(external_options=True, referenced_object_type="OWNER")
    return Definition(
        name, label, type_, field_type, generator, group, f"{label}.", options, null, hubspot_defined=True, **more
    )


def system_definitions(object_type: ObjectType) -> list[Definition]:
    """The properties that HubSpot gives every type."""
    number, timestamp, string = ("number", "number"), ("datetime", "date"), ("string", "text")
    definitions = [
        _of("hs_object_id", "Record ID", "id", 0, types=number),
        _of(object_type.created_property, "Create Date", "created", 0, types=timestamp),
        _of(object_type.modified_property, "Last Modified Date", "modified", 0, types=timestamp),
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
        definitions.append(_of("hs_createdate", "Object create date", "nothing", 100, types=timestamp, hidden=True))
    return definitions


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
    # The property exists, but a search of contacts by it returns 200 with no rows (observed).
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
    _of("hs_deal_stage_probability", "Deal probability", "probability", 30, calculated=True),
    _of("description", "Deal Description", "textarea", 60),
    _of("hs_forecast_amount", "Forecast amount", "calculation", 30, calculated=True),
    _of("hs_projected_amount", "Weighted amount", "projected", 30, calculated=True),
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
#: object type plural → HubSpot's own properties of the type, without the system properties
OWN: dict[str, tuple[Definition, ...]] = {
    "contacts": _CONTACT,
    "companies": _COMPANY,
    "deals": _DEAL,
    "tickets": _TICKET,
    "appointments": _APPOINTMENT,
    "divisions": _DIVISION,
}
#: object type plural → the property group of its properties
GROUP = {
    "contacts": "contactinformation",
    "companies": "companyinformation",
    "deals": "dealinformation",
    "tickets": "ticketinformation",
    "appointments": "appointment_information",
    "divisions": "division_information",
}

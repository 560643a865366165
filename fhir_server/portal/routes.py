"""Every page of the portal, by its address, and who may open it.

`PAGES` is the one list: routes, the smoke test and the accessibility test read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from flask import Blueprint

from fhir_server import web
from fhir_server.portal import assets
from fhir_server.portal.forms import Problem
from fhir_server.portal.models.words import LONDON, spoken_time
from fhir_server.portal.shell import shell
from fhir_server.portal.views import (
    access_log,
    access_log_files,
    access_questions,
    account,
    account_contact,
    account_devices,
    account_passkeys,
    account_proofs,
    account_resets,
    account_secrets,
    administration,
    administration_system,
    appointment_answers,
    appointment_requests,
    booking_requests,
    calendar,
    care_teams,
    carer_invitation,
    carers,
    caring,
    desk_help,
    developer,
    downloads,
    emergency,
    entries,
    home,
    invitation_files,
    letters,
    measurements,
    messages,
    notes,
    organisation,
    pages,
    parents,
    paused_sharing,
    person_cases,
    privacy,
    privacy_disputes,
    privacy_sharing,
    professional,
    record,
    record_search,
    sections,
    service_desk,
    sharing,
    sharing_entry,
    sharing_requests,
    team,
    working_for,
)

GET: Final = ("GET",)
POST: Final = ("POST",)
BOTH: Final = ("GET", "POST")
EVERYBODY: Final = ()
ANY_ROLE: Final = (
    "patient",
    "carer",
    "professional",
    "coordinator",
    "service-desk",
    "privacy-officer",
    "admin",
    "developer",
)
PATIENT: Final = ("patient",)
READER: Final = ("patient", "carer")
PROFESSIONAL: Final = ("professional",)
DEVELOPER: Final = ("developer",)


class Page(NamedTuple):
    """One address.

    Attributes:
        path: Rule of the URL.
        view: Function that answers.
        roles: Account roles it is for; none means everybody, signed in or not.
        methods: HTTP methods.
    """

    path: str
    view: Callable[..., Any]
    roles: tuple[str, ...]
    methods: tuple[str, ...] = GET


_RECORD: Final = (
    ("", record.record_summary),
    ("/appointments", record.appointments),
    ("/appointments/<appointment_id>.ics", record.appointment_file),
    ("/letters", letters.letters),
    ("/letters/<letter_id>", letters.one_letter),
    ("/letters/<letter_id>/files/<int:index>", letters.letter_file),
    ("/results", record.results),
    ("/results/<code>", record.history),
    ("/measurements", record.measurements),
    ("/measurements/<code>", record.history),
    ("/notes", notes.notes),
    ("/conditions", sections.conditions),
    ("/medicines", sections.medicines),
    ("/allergies", sections.allergies),
    ("/vaccinations", sections.vaccinations),
    ("/search", record_search.search_record),
)

PAGES: Final = (
    Page("/", home.home, EVERYBODY),
    *(Page(f"/record{path}", view, READER) for path, view in _RECORD),
    Page("/record/measurements/add/<kind_code>", measurements.add_measurement, READER, BOTH),
    Page("/record/notes/add", notes.add_note, READER, BOTH),
    Page("/record/letters/read", letters.mark_all_read, READER, POST),
    Page("/record/appointments/calendar", calendar.calendar_link, READER, BOTH),
    Page("/record/appointments/<appointment_id>/ask", appointment_requests.ask_to_change, READER, BOTH),
    Page("/record/download", downloads.download, READER),
    Page("/record/download/health-record.json", downloads.fhir_bundle, READER),
    Page("/record/download/patient-summary.json", downloads.ips_document, READER),
    Page("/record/download/health-record.pdf", downloads.pdf_file, READER),
    Page("/record/download/results.csv", downloads.results_table, READER),
    Page("/calendar/<token>/appointments.ics", calendar.calendar_feed, EVERYBODY),
    Page("/choose-record", caring.choose_record, READER, BOTH),
    Page("/choose-record/leave/<choice>", caring.leave_record, READER, BOTH),
    Page("/sharing", sharing.sharing, PATIENT),
    Page("/sharing/add", sharing.add_share, PATIENT),
    Page("/sharing/history", sharing.changes, PATIENT),
    Page("/sharing/entry/<entry_type>/<entry_id>", sharing_entry.one_entry, PATIENT),
    Page("/sharing/entry/<entry_type>/<entry_id>/change", sharing_entry.change_entry, PATIENT, BOTH),
    Page("/sharing/entry/<entry_type>/<entry_id>/label", sharing_entry.relabel, PATIENT, BOTH),
    Page("/sharing/with/<grantee_type>/<grantee_id>", sharing.share_with, PATIENT, BOTH),
    Page("/sharing/requests/<request_id>", sharing_requests.answer_request, PATIENT, BOTH),
    Page("/sharing/carers/invite", carers.invite_carer, PATIENT, BOTH),
    Page("/sharing/carers/<carer_invitation_id>/resend", carers.invite_again, PATIENT, POST),
    Page("/sharing/<consent_id>/stop", sharing.stop_sharing, PATIENT, BOTH),
    Page("/sharing/switch-off", sharing.switch_off, PATIENT, BOTH),
    Page("/sharing/paused", paused_sharing.paused, PATIENT, BOTH),
    Page("/sharing/switch-on", sharing.switch_on, PATIENT, BOTH),
    Page("/access-log", access_log.access_log, PATIENT),
    Page("/access-log.json", access_log_files.access_log_file, PATIENT),
    Page("/access-log/proof.json", access_log_files.proved_log, PATIENT),
    Page("/access-log/check", access_log_files.check_log, PATIENT, BOTH),
    Page("/access-log/ask/<event_id>", access_questions.ask_about, PATIENT, BOTH),
    Page("/apps", account.apps, READER),
    Page("/apps/<grant_id>/remove", account.remove_app, READER, BOTH),
    Page("/account", account.account, ANY_ROLE),
    Page("/account/password", account_secrets.change_password, ANY_ROLE, BOTH),
    Page("/account/memorable", account_secrets.change_memorable, ANY_ROLE, BOTH),
    Page("/account/email", account_contact.change_email, ANY_ROLE, BOTH),
    Page("/account/mobile", account_contact.change_mobile, ANY_ROLE, BOTH),
    Page("/account/mobile/code", account_contact.confirm_mobile, ANY_ROLE, BOTH),
    Page("/account/authenticator", account_proofs.authenticator, ANY_ROLE, BOTH),
    Page("/account/text-codes", account_proofs.text_codes, ANY_ROLE, BOTH),
    Page("/account/recovery-codes", account_proofs.recovery, ANY_ROLE, BOTH),
    Page("/account/passkeys", account_passkeys.passkey_list, ANY_ROLE, BOTH),
    Page("/account/passkeys/options", account_passkeys.passkey_options, ANY_ROLE, POST),
    Page("/account/devices", account_devices.devices, ANY_ROLE, BOTH),
    Page("/account/working-for", working_for.working_for, PROFESSIONAL, BOTH),
    Page("/account/messages", messages.messages, READER, BOTH),
    Page("/patients", professional.patients, PROFESSIONAL),
    Page("/patients/ask", sharing_requests.ask_for_access, PROFESSIONAL, BOTH),
    Page("/patients/requests", sharing_requests.my_requests, PROFESSIONAL),
    Page("/patients/appointment-requests", appointment_answers.appointment_requests, PROFESSIONAL),
    Page(
        "/patients/appointment-requests/<request_id>",
        appointment_answers.answer_appointment_request,
        PROFESSIONAL,
        BOTH,
    ),
    Page("/patients/find", professional.find_patient, PROFESSIONAL, BOTH),
    *(Page(f"/patients/<patient_id>{path}", view, PROFESSIONAL) for path, view in _RECORD),
    Page("/patients/<patient_id>/add", entries.choose_entry, PROFESSIONAL),
    Page("/patients/<patient_id>/add/<entry_kind>", entries.add_entry, PROFESSIONAL, BOTH),
    Page("/patients/<patient_id>/end-emergency", emergency.end_emergency, PROFESSIONAL, POST),
    Page("/emergency-access", emergency.emergency_access, PROFESSIONAL, BOTH),
    Page("/organisation", organisation.invitations, ("coordinator",)),
    Page("/organisation/appointment-requests", booking_requests.booking_requests, ("coordinator",)),
    Page(
        "/organisation/appointment-requests/<request_id>",
        booking_requests.answer_booking_request,
        ("coordinator",),
        BOTH,
    ),
    Page("/organisation/team", team.team, ("coordinator",)),
    Page("/organisation/team/invite", team.invite_colleague, ("coordinator",), BOTH),
    Page("/organisation/team/invitations/<request_id>/resend", team.invite_colleague_again, ("coordinator",), POST),
    Page("/organisation/team/invitations/<request_id>/cancel", team.cancel_invitation, ("coordinator",), BOTH),
    Page("/organisation/team/<account_id>/leave", team.leave, ("coordinator",), BOTH),
    Page("/organisation/teams", care_teams.teams, ("coordinator",), BOTH),
    Page("/organisation/teams/<team_id>", care_teams.one_team, ("coordinator",), BOTH),
    Page("/organisation/invite", organisation.invite, ("coordinator",), BOTH),
    Page(
        "/organisation/invitations/<invitation_id>/<any(resend, cancel):action>",
        organisation.change_invitation,
        ("coordinator",),
        POST,
    ),
    Page("/organisation/invitations/<invitation_id>/letter", organisation.letter, ("coordinator",), POST),
    Page("/organisation/parents", parents.parents, ("coordinator",)),
    Page("/organisation/parents/invite", parents.invite_parent, ("coordinator",), BOTH),
    Page("/organisation/parents/<parent_invitation_id>/resend", parents.invite_again, ("coordinator",), POST),
    Page("/organisation/parents/<parent_invitation_id>/end", parents.end_access, ("coordinator",), BOTH),
    Page("/organisation/files", invitation_files.files, ("coordinator",), BOTH),
    Page("/organisation/files/example.csv", invitation_files.example, ("coordinator",)),
    Page("/organisation/files/<batch_id>", invitation_files.one_file, ("coordinator",)),
    Page("/organisation/files/<batch_id>/report.csv", invitation_files.file_report, ("coordinator",)),
    Page("/privacy", privacy.reviews, ("privacy-officer",)),
    Page("/privacy/reviews/<review_id>", privacy.one_review, ("privacy-officer",), BOTH),
    Page("/privacy/audit", privacy.audit_search, ("privacy-officer",)),
    Page("/privacy/audit/state", privacy_sharing.audit_state, ("privacy-officer",)),
    Page("/privacy/disputes", privacy_disputes.disputes, ("privacy-officer",)),
    Page("/privacy/disputes/<dispute_id>", privacy_disputes.one_dispute, ("privacy-officer",), BOTH),
    Page("/privacy/sharing", privacy_sharing.sharing_of, ("privacy-officer",), BOTH),
    Page("/service-desk/requests", service_desk.requests, ("service-desk", "admin")),
    Page("/service-desk/requests/<request_id>", service_desk.one_request, ("service-desk", "admin"), BOTH),
    Page("/service-desk/messages/<message_id>/close", service_desk.close_message, ("service-desk",), POST),
    Page("/service-desk/help", desk_help.help_somebody, ("service-desk",), BOTH),
    Page("/service-desk/cases", person_cases.cases, ("service-desk", "admin")),
    Page(
        "/service-desk/cases/new/<any(merge, unmerge, death, alive):case_kind>",
        person_cases.propose_case,
        ("service-desk",),
        BOTH,
    ),
    Page("/service-desk/cases/<case_id>", person_cases.one_case, ("service-desk", "admin"), BOTH),
    Page("/service-desk/account-resets", account_resets.account_resets, ("service-desk", "admin"), BOTH),
    Page("/service-desk", pages.service_desk, ("service-desk",)),
    Page("/administration/organisations", administration_system.organisations, ("admin",)),
    Page("/administration/organisations/add", administration_system.add_organisation, ("admin",), BOTH),
    Page("/administration/systems", administration_system.systems, ("admin",)),
    Page("/administration/jobs", administration_system.jobs, ("admin",)),
    Page("/administration/settings", administration_system.settings, ("admin",)),
    Page("/administration/apps", administration.apps, ("admin",)),
    Page("/administration/apps/<client_id>", administration.one_app, ("admin",), BOTH),
    Page("/developer", developer.apps, DEVELOPER),
    Page("/developer/apps/register", developer.register, DEVELOPER, BOTH),
    Page("/developer/apps/<client_id>", developer.one_app, DEVELOPER),
    Page("/developer/apps/<client_id>/change", developer.change, DEVELOPER, BOTH),
    Page("/developer/apps/<client_id>/secret", developer.new_secret, DEVELOPER, POST),
    Page("/developer/apps/<client_id>/keys", developer.test_keys, DEVELOPER, POST),
    Page("/developer/apps/<client_id>/remove", developer.remove, DEVELOPER, BOTH),
    Page("/carer/<token>", carer_invitation.carer_invitation, EVERYBODY, BOTH),
    Page("/contact", pages.contact, EVERYBODY),
    Page("/accessibility", pages.accessibility, EVERYBODY),
    Page("/privacy-policy", pages.privacy_policy, EVERYBODY),
    Page("/cookies", pages.cookies, EVERYBODY),
    Page("/terms", pages.terms, EVERYBODY),
)

blueprint = Blueprint("portal", __name__, template_folder="templates")
blueprint.register_blueprint(assets.blueprint)

for _page in PAGES:
    blueprint.add_url_rule(
        _page.path,
        # Unique per address: one view serves a patient's own record and a professional's.
        _page.path.strip("/").translate(str.maketrans("/.<>():, ", "_________")) or "home",
        web.require(*_page.roles)(_page.view) if _page.roles else _page.view,
        methods=_page.methods,
    )


@blueprint.app_context_processor
def _page_values() -> dict[str, object]:
    return {
        "asset": assets.url,
        "shell": shell(),
        "problem": problem,
        "emergency_clock": emergency_clock,
    }


def problem(errors: Iterable[Problem], *fields: str) -> str:
    """Return what is wrong with one of these fields, "" for nothing."""
    wanted = {f"#{field}" for field in fields}
    return next((web.say(error.text) for error in errors or () if error.href in wanted), "")


def emergency_clock(ends_at: datetime) -> str:
    """Return the time of day at which an emergency access ends."""
    return spoken_time(ends_at.astimezone(LONDON).time())

"""Every page of this room: a literal table of path, method and view."""

from __future__ import annotations

from flask import Blueprint

from fhir_server.signin import nhs_login, recovery, registration, sessions, sign_in_problems

blueprint = Blueprint("signin", __name__, template_folder="templates")

ROUTES = (
    ("GET", "/sign-in", sessions.show_sign_in),
    ("POST", "/sign-in", sessions.sign_in),
    ("GET", "/sign-in/again", sessions.show_sign_in_again),
    ("POST", "/sign-in/again", sessions.sign_in_again),
    ("POST", "/sign-out", sessions.sign_out),
    ("GET", "/signed-out", sessions.signed_out),
    ("GET", "/nhs-login", nhs_login.start),
    ("GET", nhs_login.CALLBACK, nhs_login.callback),
    ("GET", "/nhs-login/agreement", nhs_login.show_agreement),
    ("POST", "/nhs-login/agreement", nhs_login.accept_agreement),
    ("GET", nhs_login.LINK_PAGE, nhs_login.show_link),
    ("POST", nhs_login.LINK_PAGE, nhs_login.link),
    ("GET", nhs_login.ACCOUNT_PAGE, nhs_login.show_account),
    ("POST", nhs_login.ACCOUNT_PAGE, nhs_login.unlink),
    ("GET", "/service-desk/sign-in-problems", sign_in_problems.show_conflicts),
    ("POST", "/service-desk/sign-in-problems", sign_in_problems.close_conflict),
    ("GET", "/register/finished", registration.finished),
    ("GET", "/register/<token>", registration.show_start),
    ("POST", "/register/<token>", registration.start),
    ("POST", "/register/<token>/new-link", registration.new_link),
    ("GET", "/register/<token>/<any(password, memorable, agreement):step>", registration.show_step),
    ("POST", "/register/<token>/password", registration.choose_password),
    ("POST", "/register/<token>/memorable", registration.choose_memorable),
    ("POST", "/register/<token>/agreement", registration.accept),
    ("GET", "/confirm-email/<token>", registration.confirm_email),
    ("GET", "/forgotten-password", recovery.show_forgotten),
    ("POST", "/forgotten-password", recovery.forgotten),
    ("GET", "/reset-password/finished", recovery.finished),
    ("GET", "/reset-password/<token>", recovery.show_reset),
    ("POST", "/reset-password/<token>", recovery.reset),
)

for _method, _path, _view in ROUTES:
    blueprint.add_url_rule(_path, f"{_view.__module__.rpartition('.')[2]}_{_view.__name__}", _view, methods=[_method])

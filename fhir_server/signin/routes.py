"""Every page of this room: a literal table of path, method and view."""

from __future__ import annotations

from flask import Blueprint

from fhir_server.signin import recovery, registration, sessions

blueprint = Blueprint("signin", __name__, template_folder="templates")

ROUTES = (
    ("GET", "/sign-in", sessions.show_sign_in),
    ("POST", "/sign-in", sessions.sign_in),
    ("GET", "/sign-in/again", sessions.show_sign_in_again),
    ("POST", "/sign-in/again", sessions.sign_in_again),
    ("POST", "/sign-out", sessions.sign_out),
    ("GET", "/signed-out", sessions.signed_out),
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

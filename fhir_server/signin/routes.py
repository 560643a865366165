"""Every page of this room: a literal table of path, method and view."""

from __future__ import annotations

from flask import Blueprint

from fhir_server.signin import (
    addresses,
    cis2,
    nhs_login,
    passkeys,
    proof,
    recovery,
    registration,
    resets,
    sessions,
    sign_in_problems,
    staying,
)

blueprint = Blueprint("signin", __name__, template_folder="templates")

ROUTES = (
    ("GET", "/sign-in", sessions.show_sign_in),
    ("POST", "/sign-in", sessions.sign_in),
    ("GET", "/sign-in/again", sessions.show_sign_in_again),
    ("POST", "/sign-in/again", sessions.sign_in_again),
    ("GET", "/sign-in/proof", proof.show_proof),
    ("POST", "/sign-in/proof", proof.proof),
    ("POST", "/sign-in/proof/code", proof.send_code),
    ("GET", "/sign-in/set-up", proof.show_set_up),
    ("POST", "/sign-in/set-up", proof.set_up),
    ("POST", "/sign-in/passkey", passkeys.prove),
    ("POST", "/sign-in/passkey/options", passkeys.options),
    ("GET", "/stay-signed-in", staying.show_stay),
    ("GET", "/session/left", staying.left),
    ("POST", "/session/stay", staying.stay),
    ("POST", "/sign-out", sessions.sign_out),
    ("GET", "/signed-out", sessions.signed_out),
    ("GET", "/cis2", cis2.start),
    ("GET", cis2.CALLBACK, cis2.callback),
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
    ("GET", "/register", registration.show_code),
    ("POST", "/register", registration.enter_code),
    ("GET", "/register/finished", registration.finished),
    ("GET", "/register/<token>", registration.show_start),
    ("POST", "/register/<token>", registration.start),
    ("POST", "/register/<token>/new-link", registration.new_link),
    ("GET", "/register/<token>/<any(email, password, memorable, agreement):step>", registration.show_step),
    ("POST", "/register/<token>/email", registration.choose_email),
    ("POST", "/register/<token>/password", registration.choose_password),
    ("POST", "/register/<token>/memorable", registration.choose_memorable),
    ("POST", "/register/<token>/agreement", registration.accept),
    ("GET", "/confirm-email/<token>", registration.confirm_email),
    ("GET", "/forgotten-password", recovery.show_forgotten),
    ("POST", "/forgotten-password", recovery.forgotten),
    ("GET", "/reset-password/finished", recovery.finished),
    ("GET", "/reset-password/<token>", recovery.show_reset),
    ("POST", "/reset-password/<token>", recovery.reset),
    ("POST", "/reset-password/<token>/code", recovery.send_code),
    ("GET", "/confirm-new-email/<token>", addresses.show_confirm),
    ("POST", "/confirm-new-email/<token>", addresses.confirm),
    ("GET", "/account-reset/finished", resets.finished),
    ("GET", "/account-reset/<token>", resets.show_reset),
    ("POST", "/account-reset/<token>", resets.reset),
)

for _method, _path, _view in ROUTES:
    blueprint.add_url_rule(_path, f"{_view.__module__.rpartition('.')[2]}_{_view.__name__}", _view, methods=[_method])

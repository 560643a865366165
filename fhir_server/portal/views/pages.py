"""Pages that are only words: help, accessibility, privacy, terms, the service desk's first page, signed out."""

from __future__ import annotations

from datetime import timedelta

from flask import render_template

from fhir_server import web

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


def contact() -> str:
    """Show how to get help."""
    return render_template("portal/pages/contact.html")


def accessibility() -> str:
    """Show the accessibility statement."""
    return render_template("portal/pages/accessibility.html")


def privacy_policy() -> str:
    """Show what is kept about people."""
    return render_template("portal/pages/privacy_policy.html")


def cookies() -> str:
    """Show every cookie that this website sets, what for and for how long."""
    here = web.current()
    idle, longest = here.session_idle // _MINUTE, here.session_max // _HOUR
    signed_in = web.say(
        "Until you sign out, %(minutes)s minutes after you last used the website, and %(hours)s hours at most"
    ) % {"minutes": idle, "hours": longest}
    rows = (
        (here.session_cookie, "Keeps you signed in", signed_in),
        ("form", "Makes sure that a form you send comes from this website", "Until you close the browser"),
        (here.device_cookie, "If you ask for it: remembers that this device is yours, so no code is asked", "30 days"),
        ("language", "Your language, if you choose another one", "1 year"),
        ("record, acting-as", "For carers: whose record was chosen last", "12 hours"),
        ("login, login-step", "Used while you sign in with NHS login or another service", "1 hour at most"),
    )
    return render_template("portal/pages/cookies.html", cookies=rows)


def terms() -> str:
    """Show the terms of use."""
    return render_template("portal/pages/terms.html")


def service_desk() -> str:
    """Show the service desk's first page."""
    return render_template("portal/service_desk.html")

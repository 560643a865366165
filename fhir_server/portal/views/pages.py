"""Pages that are only words: help, accessibility, privacy, terms, the service desk's first page, signed out."""

from __future__ import annotations

from flask import render_template


def contact() -> str:
    """Show how to get help."""
    return render_template("portal/pages/contact.html")


def accessibility() -> str:
    """Show the accessibility statement."""
    return render_template("portal/pages/accessibility.html")


def privacy_policy() -> str:
    """Show what is kept about people, and the cookies."""
    return render_template("portal/pages/privacy_policy.html")


def terms() -> str:
    """Show the terms of use."""
    return render_template("portal/pages/terms.html")


def service_desk() -> str:
    """Show the service desk's first page."""
    return render_template("portal/service_desk.html")

"""What kind of browser asks, in words that a person recognises their own device by; no more of it is kept."""

from __future__ import annotations

from flask import request

# The first that is found: browsers name others that they behave like.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser_name() -> str:
    """Return what kind of browser this request comes from, such as `Firefox on Windows`."""
    sent = request.headers.get("User-Agent", "")
    browser = next((name for mark, name in _BROWSERS if mark in sent), "A browser")
    system = next((name for mark, name in _SYSTEMS if mark in sent), "")
    return f"{browser} on {system}" if system else browser

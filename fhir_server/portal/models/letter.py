"""Letters and other documents: what a list says of them, and which of their files may be shown."""

from __future__ import annotations

import base64
import binascii
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fhir_server import web
from fhir_server.portal.models.words import (
    Json,
    Moment,
    concept,
    concepts,
    displays,
    first,
    items,
    listed_names,
    moment,
    reference,
)

SHOWN_TYPES: Final = {
    "application/pdf": ("PDF", "pdf"),
    "image/png": ("picture", "png"),
    "image/jpeg": ("picture", "jpg"),
    "text/plain": ("text", "txt"),
}
"""Media types that are ever sent to a browser, each with its word and its file extension. HTML and SVG never are."""

_STATUS: Final = {
    "superseded": "Replaced by a newer letter",
    "entered-in-error": "Sent by mistake",
}
_FULL_LINE: Final = 72
_DRAFT: Final = frozenset({"preliminary", "amended"})


@dataclass(frozen=True, slots=True)
class File:
    """One attachment.

    Attributes:
        index: Place among the attachments.
        media_type: Media type without parameters.
        word: What it is in words, "" where it may not be shown.
        size: `12 kB`, "" where unknown.
        binary: Id of the Binary, "" where the data are inside or elsewhere.
        shown: Whether it may be sent to a browser.
    """

    index: int
    media_type: str
    word: str
    size: str
    binary: str
    shown: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """A DocumentReference as pages show it.

    Attributes:
        id: Logical id.
        title: What it is.
        kind: Its type in words.
        sent: When it was written.
        authors: People who wrote it.
        source: Organisation it comes from.
        department: Practice setting in words.
        status: Anything unusual about it.
        files: Attachments in order.
        text: Its words, where they were sent as text.
        written_by: Literal references of its authors.
    """

    id: str
    title: str
    kind: str
    sent: Moment | None
    authors: tuple[str, ...]
    source: str
    department: str
    status: str
    files: tuple[File, ...]
    text: str
    written_by: tuple[str, ...] = ()

    @property
    def main(self) -> File | None:
        """Return the file that is the letter itself: a PDF, else a picture, else text."""
        shown = [file for file in self.files if file.shown]
        return min(shown, key=lambda file: list(SHOWN_TYPES).index(file.media_type), default=None)


def letter(resource: Json) -> Letter:
    """Return a DocumentReference as pages show it."""
    authors = items(resource, "author")
    people = displays([entry for entry in authors if not reference(entry).startswith("Organization/")])
    organisations = displays([entry for entry in authors if reference(entry).startswith("Organization/")])
    custodian = resource.get("custodian")
    context = resource.get("context")
    kind = concept(resource.get("type")) or concepts(resource.get("category"))
    status = _STATUS.get(str(resource.get("status")), "")
    return Letter(
        id=str(resource.get("id", "")),
        title=first((str(resource.get("description") or ""), kind, web.say("Letter"))),
        kind=kind,
        sent=moment(resource.get("date")),
        authors=people,
        source=first((*displays([custodian]), *organisations, listed_names(people), web.say("Source not stated"))),
        department=concept(context.get("practiceSetting")) if isinstance(context, dict) else "",
        status=status or ("Draft, may still change" if resource.get("docStatus") in _DRAFT else ""),
        files=tuple(_file(index, attachment) for index, attachment in enumerate(attachments(resource))),
        text=_text(resource),
        written_by=tuple(filter(None, map(reference, authors))),
    )


def found_in(letters: Iterable[Letter], wanted: str) -> tuple[Letter, ...]:
    """Return the letters in which every wanted word begins a word: of title, kind, sender or text."""
    words = _folded(wanted).split()
    return tuple(entry for entry in letters if words and all(_has(_words(entry), word) for word in words))


def _has(text: str, word: str) -> bool:
    return f" {word}" in text


def _words(entry: Letter) -> str:
    shown = (entry.title, entry.kind, entry.source, entry.department, *entry.authors, entry.text)
    return f" {_folded(' '.join(shown))}"


def _folded(text: str) -> str:
    """Return a text without case, accents and signs, as people search."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char if char.isalnum() else " " for char in plain if not unicodedata.combining(char))


def attachments(resource: Json) -> list[Json]:
    """Return the attachments of a DocumentReference in order."""
    found = [entry.get("attachment") for entry in items(resource, "content")]
    return [entry for entry in found if isinstance(entry, dict)]


def media_type(attachment: Json) -> str:
    """Return the media type of an attachment without parameters, lower case."""
    return str(attachment.get("contentType", "")).partition(";")[0].strip().lower()


def inline_data(attachment: Json) -> bytes | None:
    """Return the data inside an attachment or a Binary, None where there are none or they are not base64."""
    data = attachment.get("data")
    try:
        return base64.b64decode(data, validate=True) if isinstance(data, str) else None
    except binascii.Error:
        return None


def _file(index: int, attachment: Json) -> File:
    kind = media_type(attachment)
    size = attachment.get("size")
    # Only a Binary of this server is ever fetched: an absolute address could point anywhere.
    type_name, _, binary = str(attachment.get("url", "")).partition("/")
    local = binary if type_name == "Binary" and binary and "/" not in binary else ""
    return File(
        index=index,
        media_type=kind,
        word=SHOWN_TYPES.get(kind, ("", ""))[0],
        size=f"{max(1, round(size / 1000))} kB" if isinstance(size, int) else "",
        binary=local,
        shown=kind in SHOWN_TYPES and bool(local or attachment.get("data")),
    )


def _text(resource: Json) -> str:
    for attachment in attachments(resource):
        data = inline_data(attachment) if media_type(attachment) == "text/plain" else None
        if data:
            return reflowed(data.decode("utf-8", "replace").strip())
    return ""


def reflowed(text: str) -> str:
    """Join the lines of paragraphs that were broken to fit a page, so that they fit a phone, too; short lines stay."""
    lines: list[str] = []
    was_full = False
    for line in text.splitlines():
        stripped = line.strip()
        if was_full and stripped:
            lines[-1] = f"{lines[-1]} {stripped}"
        else:
            lines.append(stripped)
        was_full = len(stripped) >= _FULL_LINE
    return "\n".join(lines)

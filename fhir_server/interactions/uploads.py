"""The content of a Binary that is too long to hold: it goes down the road as a mark, and into its row at the end.

Whatever looks at the resource on the way sees a short text of base64 in its place.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from fhir_server.store import uploads
from fhir_server.store.database import Session
from fhir_server.store.resources import NewVersion

_PIECE_BYTES = 1 << 20


def _new_mark() -> str:
    return b64encode(secrets.token_bytes(24)).decode()


@dataclass(slots=True, eq=False)
class Upload:
    """A raw body on its way into a Binary.

    Attributes:
        file: Base64 of the body.
        length: Bytes in the file.
        mark: What stands for it in `Binary.data`; nobody can guess it, so no stored content has it.
    """

    file: IO[bytes]
    length: int = 0
    mark: str = field(default_factory=_new_mark)

    def write(self, piece: bytes) -> None:
        """Add to the file."""
        self.length += self.file.write(piece)

    def close(self) -> None:
        """Remove the file."""
        self.file.close()

    def stands_in(self, content: bytes) -> bool:
        """Return whether this JSON has the mark where the content belongs."""
        return self.mark.encode() in content

    def length_in(self, content: bytes) -> int:
        """Return how long a JSON with the mark is once the content is there."""
        return len(content) - len(self.mark) + self.length

    def pieces_of(self, content: bytes) -> Iterator[bytes]:
        """Yield the JSON with the content in the place of the mark."""
        head, _, tail = content.partition(self.mark.encode())
        yield head
        self.file.seek(0)
        while piece := self.file.read(_PIECE_BYTES):
            yield piece
        yield tail

    def last_pieces_of(self, content: bytes) -> Iterator[bytes]:
        """Yield as `pieces_of` for the last time."""
        with self.file:
            yield from self.pieces_of(content)


def fill(session: Session, written: Iterable[NewVersion], upload: Upload) -> None:
    """Put the content into the row that has its mark; a create that found what it would make has written none."""
    for new in written:
        if new.content is not None and upload.stands_in(new.content):
            uploads.fill(session, new.key, upload.pieces_of(new.content), upload.length_in(new.content))

"""Load parts of files in this process, as the operator or as an organisation's own system."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.assembly import make_context, settle_memory
from fhir_server.interactions import loading
from fhir_server.interactions.load_texts import Text
from fhir_server.interactions.model import Context
from fhir_server.settings import load
from fhir_server.store.database import Store
from fhir_server.store.load_parts import Part

CLIENT = "command-line"


class Loader:
    """Loads parts of files."""

    def __init__(self, context: Context, organization: str) -> None:
        """Load as this organisation (`Organization/ID`), or as the operator where it is empty."""
        self._context = context
        self._organization = organization

    def load(self, part: Part, texts: Sequence[Text]) -> list[Part]:
        """Store the resources of some lines and return what became of them."""
        return loading.load(part, texts, self._principal(), self._context)

    def _principal(self) -> Principal:
        now = self._context.now()
        if not self._organization:
            return tokens.operator(now)
        with self._context.store.read() as session:
            return tokens.feed(session, self._organization, now, CLIENT)


_loaders: list[Loader] = []


def start(organization: str) -> None:
    """Open the database of the environment in this process of a pool."""
    found = load(os.environ)
    settle_memory()
    _loaders.append(Loader(make_context(found, Store(found.database_url, pool_size=2)), organization))


def load_here(part: Part, texts: Sequence[Text]) -> list[Part]:
    """Load a part in a process that `start` prepared."""
    return _loaders[0].load(part, texts)

"""Templates that are compiled once a process, however many applications its tests build."""

from __future__ import annotations

from types import CodeType

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket


class Compiled(BytecodeCache):
    """Keeps the code of each template under its source and all that a compiler makes a difference of."""

    def __init__(self) -> None:
        """Begin with none."""
        self._codes: dict[tuple[object, ...], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Hand out what another application compiled."""
        bucket.code = self._codes.get(_key(bucket))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what this application compiled."""
        if bucket.code is not None:
            self._codes[_key(bucket)] = bucket.code


def _key(bucket: Bucket) -> tuple[object, ...]:
    environment = bucket.environment
    return (
        bucket.key,
        bucket.checksum,
        getattr(environment.autoescape, "__func__", environment.autoescape),
        environment.trim_blocks,
        environment.lstrip_blocks,
        environment.undefined,
        getattr(environment, "newstyle_gettext", None),
        environment.policies["ext.i18n.trimmed"],
        frozenset(environment.extensions),
        frozenset(environment.filters),
    )


def share() -> None:
    """Let every application of this process take part."""
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": Compiled()}

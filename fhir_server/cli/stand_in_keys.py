"""The keys of the stand-ins: their own, and that of their client as somebody there would register it."""

from __future__ import annotations

import secrets
from pathlib import Path

import click
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from joserfc.jwk import RSAKey

_BITS = 2048
_MODE = 0o600


def new_private_key() -> RSAPrivateKey:
    """Return a new RSA key."""
    return generate_private_key(public_exponent=65_537, key_size=_BITS)


def signing_key(algorithm: str) -> RSAKey:
    """Return a new key that signs tokens."""
    made = RSAKey.import_key(new_private_key())
    return RSAKey.import_key(made.as_dict(private=True) | {"kid": secrets.token_hex(8), "use": "sig", "alg": algorithm})


def registered_key(path: Path) -> RSAKey:
    """Return the public half of the client's key; write a new pair where the file is not there.

    Raises:
        click.ClickException: The file holds no RSA key.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=_MODE)
        path.write_bytes(
            new_private_key().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    content = path.read_bytes()
    try:
        found = (
            serialization.load_pem_private_key(content, None).public_key()
            if b"PRIVATE KEY" in content
            else serialization.load_pem_public_key(content)
        )
    except ValueError as error:
        raise click.ClickException(f"{path} holds no key in PEM") from error
    if not isinstance(found, RSAPublicKey):
        raise click.ClickException(f"{path} holds no RSA key")
    pem = found.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return RSAKey.import_key(pem)

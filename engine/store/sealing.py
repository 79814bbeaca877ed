"""Secrets at rest: AES-256-GCM with the platform's key, and keyed fingerprints for comparing without keeping."""

import base64
import binascii
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.domain.values import Json
from engine.errors import Invalid, Unavailable
from engine.store.types import dump_json, load_json

_VERSION = b"\x01"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class Sealer:
    """Seals bytes and JSON. `purpose` (the column's name) is bound in: a value cannot be moved to another column."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise Invalid("INNOMINATUS_SECRET_KEY must be 32 bytes in URL-safe base64.", hint=HOW_TO_MAKE_A_KEY)
        self._cipher = AESGCM(key)
        self._fingerprint_key = hmac.digest(key, b"innominatus fingerprint", "sha256")

    def seal(self, plain: bytes, purpose: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """The plain bytes. Raises Unavailable when the key is not the one they were sealed with."""
        nonce = sealed[1 : 1 + _NONCE_BYTES]
        try:
            return self._cipher.decrypt(nonce, sealed[1 + _NONCE_BYTES :], purpose.encode())
        except (InvalidTag, ValueError) as error:
            raise Unavailable(
                f"A sealed value ({purpose}) cannot be opened with this secret key.",
                code="wrong_secret_key",
                hint="Start with the INNOMINATUS_SECRET_KEY (or secret.key file) that this database was made with.",
            ) from error

    def seal_json(self, value: object, purpose: str) -> bytes:
        return self.seal(dump_json(value).encode(), purpose)

    def open_json(self, sealed: bytes, purpose: str) -> Json:
        return load_json(self.open(sealed, purpose))

    def fingerprint(self, plain: bytes) -> str:
        """The same input gives the same text, which tells nothing about the input without the key."""
        return hmac.new(self._fingerprint_key, plain, hashlib.sha256).hexdigest()


HOW_TO_MAKE_A_KEY = (
    'Make one with: python3 -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
)


def parse_key(text: str) -> bytes:
    """A key as settings carry it. Raises Invalid with how to make one."""
    try:
        key = base64.urlsafe_b64decode(text.strip().encode())
    except (binascii.Error, ValueError) as error:
        raise Invalid("INNOMINATUS_SECRET_KEY is not URL-safe base64.", hint=HOW_TO_MAKE_A_KEY) from error
    if len(key) != _KEY_BYTES:
        raise Invalid(f"INNOMINATUS_SECRET_KEY has {len(key)} bytes, not 32.", hint=HOW_TO_MAKE_A_KEY)
    return key


def key_from_file(path: Path) -> bytes:
    """The key in `path`, made on first use, readable by its owner only."""
    try:
        return parse_key(path.read_text())
    except FileNotFoundError:
        text = base64.urlsafe_b64encode(os.urandom(_KEY_BYTES))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return parse_key(text.decode())

"""Keys that an SSH agent holds: this process asks for signatures and never sees a seed.

Of the agent protocol (draft-ietf-sshm-ssh-agent) one question is used: sign this. An Ed25519 key signs the message
itself, so what comes back is the signature that SIG-1 wants, and it is checked before it is handed on.
"""

import base64
import binascii
import socket
from pathlib import Path
from typing import Final

from invoke_log.errors import KeyInvalidError, StoreError
from invoke_log.format import keys

ALGORITHM: Final = b"ssh-ed25519"
SIGN_REQUEST: Final = 13
SIGN_RESPONSE: Final = 14
ANSWER_BYTES_MAX: Final = 4_096
TIMEOUT_S: Final = 60.0
"""Seconds that an agent may take: it may ask its owner first."""


class AgentSigner:
    """A signer whose key lies with the SSH agent behind a socket; one connection a signature.

    `sign` raises StoreError: no agent answers there. KeyInvalidError: it does not hold this key, or its owner said no.
    """

    def __init__(self, public_key: bytes, agent: str | Path) -> None:
        keys.check_public_key(public_key)
        self.public_key: Final = public_key
        self._agent = Path(agent)

    def sign(self, message: bytes) -> bytes:
        request = bytes([SIGN_REQUEST]) + _string(_string(ALGORITHM) + _string(self.public_key)) + _string(message)
        answer = self._ask(_string(request + bytes(4)))
        blob = _string(ALGORITHM) + (64).to_bytes(4, "big")
        signature = answer.removeprefix(bytes([SIGN_RESPONSE]) + (len(blob) + 64).to_bytes(4, "big") + blob)
        if len(signature) != 64 or not keys.verify(self.public_key, message, signature):
            raise KeyInvalidError(
                f"ssh agent {self._agent}: it does not sign with key_{self.public_key.hex()}",
                hint='"ssh-add -L" lists what it holds',
            )
        return signature

    def __repr__(self) -> str:
        return f"AgentSigner(key_{self.public_key.hex()})"

    def _ask(self, request: bytes) -> bytes:
        """The agent's answer without its length."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT_S)
                connection.connect(str(self._agent))
                connection.sendall(request)
                with connection.makefile("rb") as stream:
                    size = int.from_bytes(stream.read(4), "big")
                    return stream.read(min(size, ANSWER_BYTES_MAX))
        except OSError as error:
            words = error.strerror or str(error)
            raise StoreError(
                f"ssh agent {self._agent}: {words}", hint="start one, and set SSH_AUTH_SOCK to its socket"
            ) from error


def parse_ssh_key(text: str) -> bytes:
    """Return the public key of an OpenSSH line (`ssh-ed25519 AAAA… comment`), 32 bytes.

    Raises: KeyInvalidError: another kind of key, or no such line.
    """
    words = text.split()
    try:
        blob = base64.b64decode(words[1], validate=True) if words[:1] == [ALGORITHM.decode()] else b""
    except (binascii.Error, IndexError):
        blob = b""
    public_key = blob.removeprefix(_string(ALGORITHM) + (32).to_bytes(4, "big"))
    if len(public_key) != 32:
        raise KeyInvalidError(f"{text.strip()[:40]!r} is no OpenSSH public key of type ssh-ed25519")
    keys.check_public_key(public_key)
    return public_key


def _string(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw

"""Where a server listens for HTTP, and whom it lets in. A token only admits; signed bodies are the authority."""

import hmac
import ipaddress
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from invoke_log.errors import ConfigInvalidError, NotFoundError

PATH: Final = "/mcp"
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
TOKEN: Final = re.compile(r"[!-~]{16,512}")
"""Visible ASCII, and too long to be guessed where it is random."""
SECRET_BYTES_MAX: Final = 8_192
_ADDRESS: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:/]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """host, port: where to listen; port 0 takes a free one. names: the hosts that requests may name, and the origins.

    token: what requests must bring; None: nothing. beyond: whether other machines may reach it.
    """

    host: str
    port: int
    names: tuple[str, ...]
    token: str | None
    beyond: bool

    def listen(self) -> socket.socket:
        """Return a socket that listens. Raises ConfigInvalidError: the port is taken, or the host not here."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family)
        except OSError as error:
            raise ConfigInvalidError(
                f"http: cannot listen at {self.host} port {self.port}: {error.strerror or error}",
                hint="port 0 takes a free one",
            ) from error

    def admits(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Return whether a request's headers bring the token; the time that it takes says nothing about it."""
        if self.token is None:
            return True
        found = [value for name, value in headers if name.lower() == b"authorization"]
        scheme, _, given = (found[0] if len(found) == 1 else b"").partition(b" ")
        return hmac.compare_digest(given, self.token.encode()) and scheme.lower() == b"bearer"


def make_door(text: str, *, token: str | None, names: tuple[str, ...]) -> Door:
    """Return the door at `HOST:PORT`, an IPv6 host in brackets.

    Raises: ConfigInvalidError: no such address, or one that other machines reach, without a token or without the names
        that they call it by.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65_535:
        raise ConfigInvalidError(f"http: found {text[:80]!r}, want HOST:PORT", hint="such as 127.0.0.1:0")
    named = match["v6"] or match["host"]
    try:
        host = str(socket.getaddrinfo(named, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as error:  # the second: no name of any host is written so
        raise ConfigInvalidError(f"http: host {named!r}: {getattr(error, 'strerror', error)}") from error
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.is_loopback:
        return Door(host=host, port=int(match["port"]), names=(*LOOPBACK, *names), token=token, beyond=False)
    if token is None:
        raise ConfigInvalidError(
            f"http: other machines reach {named}, and nothing says whom to let in",
            hint="give --token-file FILE, or listen at 127.0.0.1",
        )
    if address.is_unspecified and not names:
        raise ConfigInvalidError(
            f"http: {named} is every address, and none that a request names",
            hint="give --allow-host NAME for each name that clients use",
        )
    own = f"[{named}]" if match["v6"] else named
    return Door(
        host=host,
        port=int(match["port"]),
        names=names if address.is_unspecified else (own, *names),
        token=token,
        beyond=True,
    )


def read_token(file: Path) -> str:
    """Return the token in a file: one line.

    Raises: NotFoundError: it cannot be read. ConfigInvalidError: others can read it, or it is no token.
    """
    raw = read_secret(file, "token file")
    if TOKEN.fullmatch(raw) is None:
        raise ConfigInvalidError(
            f"token file {file}: want one line of 16 to 512 visible ASCII characters",
            hint=f"make one: openssl rand -hex 32 > {file}",
        )
    return raw


def read_secret(file: Path, what: str) -> str:
    """Return a file's one line, without its end. Raises as `read_token`."""
    try:
        with file.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            raw = stream.read(SECRET_BYTES_MAX)
    except OSError as error:
        raise NotFoundError(f"{what} {file}: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigInvalidError(f"{what} {file}: mode {mode:04o} lets others read it", hint=f"run: chmod 600 {file}")
    return raw.removesuffix(b"\n").decode("latin-1")

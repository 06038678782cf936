"""Where a server of ours is reached, and where the one behind it is: the options, and what they come to."""

import functools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoke_log.errors import ConfigInvalidError
from invoke_log.surfaces.cli.session import aside, warn
from invoke_log.surfaces.mcp_server.door import PATH, Door, make_door, read_secret, read_token

if TYPE_CHECKING:
    from invoke_log.surfaces.mcp_server.upstream import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Where a server of ours is to be reached, as it was given."""

    http: str | None
    token_file: Path | None
    names: tuple[str, ...]

    @contextmanager
    def listening(self) -> Iterator[tuple[Door, socket.socket] | None]:
        """Yield the door and its socket, its address said on stderr; None: stdin and stdout.

        Raises: click.UsageError: an option that goes with another. As `make_door`, `read_token` and `Door.listen`.
        """
        if self.http is None:
            if self.token_file is not None or self.names:
                raise click.UsageError("--token-file and --allow-host go with --http")
            yield None
            return
        token = read_token(self.token_file) if self.token_file is not None else None
        door = make_door(self.http, token=token, names=self.names)
        with door.listen() as listener:
            if door.beyond:
                warn("other machines can connect, and plain HTTP shows the token to who listens: put TLS in front")
            host = f"[{door.host}]" if ":" in door.host else door.host
            aside(f"listening at http://{host}:{listener.getsockname()[1]}{PATH}")
            yield door, listener


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Where the server behind is, where it is no command, as it was given."""

    url: str | None
    headers: tuple[str, ...]

    def source(self, command: tuple[str, ...]) -> "Source":
        """Return one of a command and a URL. The SDK is imported here.

        Raises: click.UsageError: neither, or both. ConfigInvalidError, NotFoundError: the URL, or a header's value.
        """
        if (self.url is None) != bool(command):
            raise click.UsageError("give the server behind as -- COMMAND, or as --upstream URL")
        from invoke_log.surfaces.mcp_server.endpoint import Endpoint
        from invoke_log.surfaces.mcp_server.upstream import Command

        if self.url is not None:
            endpoint = Endpoint(self.url, dict(_header(text) for text in self.headers))
            if endpoint.in_clear and self.headers:
                warn(f"the headers for {endpoint.name} go over the network in plain HTTP")
            return endpoint
        if self.headers:
            raise click.UsageError("--upstream-header goes with --upstream")
        return Command(command)


def reached(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that say where it listens, as its parameter `at`."""

    @click.option("--http", metavar="HOST:PORT", help="Serve streamable HTTP; port 0 takes a free one.")
    @click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A bearer token that requests must bring; needed where other machines can connect.",
    )
    @click.option(
        "--allow-host", "names", multiple=True, metavar="NAME", help="Another name that clients reach this host by."
    )
    @functools.wraps(verb)
    def packed(*given: Any, http: str | None, token_file: Path | None, names: tuple[str, ...], **more: Any) -> Any:  # noqa: ANN401 -- a verb's own
        return verb(*given, at=Reached(http=http, token_file=token_file, names=names), **more)

    return packed


def behind(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that say where the server behind is, as its parameter `upstream`."""

    @click.option("--upstream", metavar="URL", help="The server behind, by streamable HTTP, instead of COMMAND.")
    @click.option(
        "--upstream-header",
        "headers",
        multiple=True,
        metavar="NAME=SOURCE",
        help="A header for it, its value from env:VARIABLE or file:PATH.",
    )
    @functools.wraps(verb)
    def packed(*given: Any, upstream: str | None, headers: tuple[str, ...], **more: Any) -> Any:  # noqa: ANN401
        return verb(*given, upstream=Behind(url=upstream, headers=headers), **more)

    return packed


def _header(text: str) -> tuple[str, str]:
    """A header's name, and its value from where the command line says: the line itself other processes can see."""
    name, _, source = text.partition("=")
    kind, _, where = source.partition(":")
    if not name or not where or kind not in ("env", "file"):
        raise ConfigInvalidError(
            f"upstream header {name[:80]!r}: want where its value is, and not the value",
            hint="NAME=env:VARIABLE, or NAME=file:PATH",
        )
    value = os.environ.get(where) if kind == "env" else read_secret(Path(where), "header file")
    if not value or not value.isascii() or not value.isprintable():
        raise ConfigInvalidError(f"upstream header {name[:80]!r}: {source} holds no line of visible ASCII")
    return name, value

"""Tools that send with httpx, synchronously or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from invoke_log.adapter.http import failure_of
from invoke_log.errors import ConfigInvalidError
from invoke_log.guard.outcome import DefiniteFailure, NeverSent

Client = TypeVar("Client", httpx.Client, httpx.AsyncClient)


def once(client: Client) -> Client:
    """Return a client that sends each request once. `follow_redirects=True` or an `auth` with a request goes past it:
    give none.

    Raises: ConfigInvalidError: a transport of it retries, or is not httpx's own, it follows redirects, or its auth or a
        hook may send again: after a 401, or for a token. HTTP/2 does, after a GOAWAY, whatever the server did before.
    """
    if client.follow_redirects:
        raise ConfigInvalidError("httpx: the client follows redirects", hint="Client(follow_redirects=False)")
    if not isinstance(client.auth, httpx.BasicAuth | httpx.NetRCAuth | None):
        name = type(client.auth).__name__
        raise ConfigInvalidError(f"httpx: the client's auth is {name}, and may send again", hint="set the header")
    if client.event_hooks["response"]:  # and one that cannot connect would look like a request that never left
        raise ConfigInvalidError("httpx: a hook of the client may send again", hint="look at the response in the tool")
    # The transports are private: no other place says how often one connects.
    transports: list[Any] = [client._transport, *(mounted for mounted in client._mounts.values() if mounted)]
    for transport in transports:
        if type(transport) not in (httpx.HTTPTransport, httpx.AsyncHTTPTransport):
            raise ConfigInvalidError(f"httpx: a transport is {type(transport).__name__}, and may send twice")
        if transport._pool._http2:
            raise ConfigInvalidError("httpx: a transport speaks HTTP/2, and may send twice", hint="Client(http2=False)")
        if transport._pool._retries != 0:
            raise ConfigInvalidError("httpx: a transport retries", hint="HTTPTransport(retries=0)")
    return client


@contextmanager
def proofs() -> Iterator[None]:
    """In this block, of one request, a failure to connect, or to get a connection from the pool, is `NeverSent`, and a
    4xx that `raise_for_status` raises a definite failure `http_404`, except those that prove nothing. Every other
    exception stays as it is.
    """
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        if _began(error):
            raise
        raise NeverSent(str(error)) from error
    except httpx.HTTPStatusError as error:
        failure = failure_of(error.response.status_code)
        if failure is not None:
            raise DefiniteFailure(failure) from error
        raise


def _began(error: httpx.RequestError) -> bool:
    """Return whether a body that is made as it is sent was asked for: what could not connect may be its own source."""
    body = error._request.stream if error._request is not None else None
    return getattr(body, "_is_stream_consumed", False)  # private, as the transports are

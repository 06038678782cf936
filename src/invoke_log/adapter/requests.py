"""Tools that send with requests, and the session that Stripe's client sends with."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from invoke_log.adapter import urllib3
from invoke_log.adapter.http import failure_of
from invoke_log.errors import ConfigInvalidError
from invoke_log.guard.outcome import DefiniteFailure, NeverSent


def once(session: requests.Session) -> requests.Session:
    """Return a session that sends each request once. An `auth` or `hooks` with a request go past it: give none.

    Raises: ConfigInvalidError: an adapter of it retries, or is not requests' own, it follows redirects (a followed one
        is a second send), or its auth or a hook may send again: after a 401, or for a token.
    """
    for prefix, adapter in session.adapters.items():
        if type(adapter) is not HTTPAdapter or not urllib3.never_retries(adapter.max_retries):
            raise ConfigInvalidError(
                f"requests: what is mounted at {prefix} may retry", hint="mount HTTPAdapter(max_retries=0)"
            )
    if session.max_redirects != 0:
        raise ConfigInvalidError(
            f"requests: the session follows {session.max_redirects} redirects", hint="session.max_redirects = 0"
        )
    if not isinstance(session.auth, HTTPBasicAuth | tuple | None) or session.hooks["response"]:
        raise ConfigInvalidError(
            "requests: the session's auth or a hook of it may send again", hint='session.auth = ("user", "password")'
        )
    return session


@contextmanager
def proofs() -> Iterator[None]:
    """In this block, of one request, a failure to connect is `NeverSent`, and a 4xx that `raise_for_status` raises a
    definite failure `http_404`, except those that prove nothing. Every other exception stays as it is.
    """
    try:
        yield
    except requests.RequestException as error:
        if never_left(error):
            raise NeverSent(str(error)) from error
        if isinstance(error, requests.HTTPError) and error.response is not None:
            failure = failure_of(error.response.status_code)
            if failure is not None:
                raise DefiniteFailure(failure) from error
        raise


def never_left(error: BaseException | None) -> bool:
    """Return whether a request ended while there was no connection to write it to."""
    cause = error.args[0] if isinstance(error, requests.ConnectionError) and error.args else None
    return isinstance(cause, BaseException) and urllib3.never_left(cause)

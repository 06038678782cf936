"""Tools that send with urllib3."""

from collections.abc import Iterator
from contextlib import contextmanager

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError

from invoke_log.errors import ConfigInvalidError
from invoke_log.guard.outcome import NeverSent


def once(pool: urllib3.PoolManager) -> urllib3.PoolManager:
    """Return a pool that sends each request once. A `retries` given with a request goes past it: give none.

    Raises: ConfigInvalidError: it retries, or follows redirects; so it does where nothing else was said.
    """
    retries = pool.connection_pool_kw.get("retries")
    if not never_retries(retries):
        raise ConfigInvalidError(
            f"urllib3: the pool's retries are {retries!r}, want none", hint="PoolManager(retries=urllib3.Retry(0))"
        )
    return pool


@contextmanager
def proofs() -> Iterator[None]:
    """In this block, of one request, a failure to connect is `NeverSent`; every other exception stays as it is, and
    proves nothing.
    """
    try:
        yield
    except HTTPError as error:
        if never_left(error):
            raise NeverSent(str(error)) from error
        raise


def never_retries(retries: object) -> bool:
    """Return whether urllib3 sends once under these retries: their total is 0, which bounds redirects too."""
    total = retries.total if isinstance(retries, urllib3.Retry) else retries
    return total is False or (type(total) is int and total == 0)


def never_left(error: BaseException) -> bool:
    """Return whether a single attempt ended while there was no connection to write to.

    A reset, an EOF or a timeout of a *made* connection is another class, and says nothing.
    """
    reason = error.reason if isinstance(error, MaxRetryError) else error
    return isinstance(reason, ConnectTimeoutError | NewConnectionError)

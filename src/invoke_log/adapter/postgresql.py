"""Tools that write to PostgreSQL, 17 or later: one transaction, whose id is on the log before its COMMIT leaves.

A COMMIT whose answer is lost is then no riddle: the server itself says whether that transaction committed or aborted,
for as long as it keeps its state, which is far longer than a reconciler waits. SPEC §10 [PRF-2], [PRF-4].
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

from invoke_log.errors import ConfigInvalidError, ReadUnclearError
from invoke_log.guard.outcome import Aborted
from invoke_log.guard.tool_call import Call

Connect = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]
VERSION_MIN: Final = 170_000
_HANDLE: Final = re.compile(r"postgresql:(\d+):(\d+)")
_BEGIN: Final = (
    # The server itself ends what lasts longer than the tool may wait: no COMMIT comes later than the contract says. A
    # timer that runs already, as a role may have it, is not set anew before it is stopped.
    "SELECT set_config('transaction_timeout', '0', true)",
    "SELECT set_config('transaction_timeout', %(timeout)s, true)",
    # Acknowledged means durable: else a crash of the server could undo what was answered.
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'",
)
_NAME: Final = "SELECT system_identifier, pg_current_xact_id()::text FROM pg_control_system()"
_SERVER: Final = "SELECT system_identifier::text, pg_is_in_recovery() FROM pg_control_system()"
_STATUS: Final = "SELECT pg_xact_status(%s::xid8)"


@contextmanager
def transaction(connect: Connect, call: Call) -> Iterator[psycopg.Cursor[Any]]:
    """Yield a cursor in a transaction of its own, note its id on the log, and commit it. Once in a call.

    Args: connect: opens a connection that is not in a transaction, for a `with` block: `psycopg.connect` with its
        arguments, or a pool's `connection`.
    Raises: Aborted: it ended before COMMIT was sent, by whatever exception: nothing of it can happen any more.
        ConfigInvalidError: the block has ended the transaction itself, by a COMMIT or ROLLBACK of its own, and a person
        has to look. Any other exception is of the commit, or of a second block after one, and says nothing; the id
        that was noted can be asked about.
    """
    try:
        with connect() as connection, _begun(connection, call) as (cursor, handle):
            yield cursor
            if _handle(cursor) != handle:
                raise _EndedError(handle)
            # Crash here: nothing is noted, and the server aborts what was never committed.
            call.note_handle(handle)
            # Crash here: noted and not committed: the server says aborted.
            if not call.may_send():
                raise TimeoutError("the send deadline has passed")
            # From here on the server's timeout is the bound: it began before D, and ends what lasts longer.
            call.leave()
    except _EndedError as error:
        call.note_handle(f"{error}, ended by its block")  # which no server can be asked about
        raise ConfigInvalidError("postgresql: the block has ended its transaction itself") from error.__cause__
    except Exception as error:
        if call.left:  # by this block, or by another one of its call: that this one ended says nothing of that
            raise
        raise Aborted(str(error)) from error


def transactions_under(connection: psycopg.Connection[Any], call: Call) -> list[str]:
    """Return the handle that a call noted, if its transaction committed; none if it noted none.

    Raises: Aborted: it aborted. ReadUnclearError: it still runs, or this server can't know: another cluster, a standby,
        or an id older than it keeps. psycopg.Error: no answer.
    """
    with connection.transaction():  # one that fails must not stay open, and fail whatever is asked after it
        found = [handle for handle in call.handles if _committed(connection, handle)]
    if call.handles and not found:
        raise Aborted(", ".join(call.handles))
    return found


def _committed(connection: psycopg.Connection[Any], handle: str) -> bool:
    named = _HANDLE.fullmatch(handle)
    if named is None:
        raise ReadUnclearError(f"handle {handle[:60]!r}, want postgresql:CLUSTER:TRANSACTION")
    if connection.execute(_SERVER).fetchone() != (named[1], False):
        raise ReadUnclearError(f"{handle} is of another cluster, or this server is a standby")
    (status,) = connection.execute(_STATUS, (named[2],)).fetchone() or (None,)
    if status not in ("committed", "aborted"):
        raise ReadUnclearError(f"{handle} is {status or 'older than the server keeps'}")
    return bool(status == "committed")


class _EndedError(Exception):
    """A block has ended its transaction, whose handle this is: what it did besides nobody knows."""


@contextmanager
def _begun(connection: psycopg.Connection[Any], call: Call) -> Iterator[tuple[psycopg.Cursor[Any], str]]:
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        raise ConfigInvalidError("postgresql: the connection is in a transaction already, want one of its own")
    if connection.info.server_version < VERSION_MIN:
        raise ConfigInvalidError(
            f"postgresql: server version {connection.info.server_version}, want 17 or later, which bounds transactions"
        )
    handle = ""
    try:
        with connection.transaction(), connection.cursor() as cursor:
            for statement in _BEGIN:
                cursor.execute(statement, {"timeout": f"{max(1, int(call.timeout_s * 1000))}ms"})
            handle = _handle(cursor)
            try:
                yield cursor, handle
            except psycopg.Rollback as error:  # psycopg would end the block as if all had gone well
                raise RuntimeError("its block rolled back") from error
    except Exception as error:
        if handle and _has_committed(connection, handle):
            raise _EndedError(handle) from error
        raise


def _handle(cursor: psycopg.Cursor[Any]) -> str:
    cluster, transaction_id = cursor.execute(_NAME).fetchone() or ("", "")
    return f"postgresql:{cluster}:{transaction_id}"


def _has_committed(connection: psycopg.Connection[Any], handle: str) -> bool:
    """Whether a transaction that failed had committed before, or may have: only its own block can have done that."""
    try:
        return _committed(connection, handle)
    except ReadUnclearError:
        return True
    except psycopg.Error:  # the line is gone, and the server aborts what was not committed
        return False

"""PostgreSQL, transactional: a lost COMMIT answer is unknown, and the server itself says what became of it. [PRF-2],
[PRF-4], S2, S3
"""

import ctypes
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, LiteralString
from unittest.mock import patch

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from invoke_log.adapter import postgresql
from invoke_log.errors import ConfigInvalidError, ReadUnclearError
from invoke_log.format.cbor import Value
from invoke_log.guard.outcome import Aborted, Blocked, Committed, NotCommitted, OutcomeUnknown
from invoke_log.guard.reconcile import NONE, ONE, UNCLEAR
from invoke_log.guard.tool_call import CLOCK, Call
from invoke_log.rules.kind import COMMITTED, NOT_COMMITTED, UNKNOWN
from invoke_log.surfaces.demo.processes import child_environment
from invoke_log.surfaces.demo.proxy_control import Behaviour, Rule
from tests.counterparties.desk import Desk
from tests.counterparties.postgres_server import connect, free_port
from tests.counterparties.wire import PostgresWire, RunningProxy, landed, running_proxy

COMMIT = partial(Rule, path="/COMMIT")
TIMEOUT_MS: Final = 1_500
SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h; Python has no name for it
TCPI_UNACKED: Final = slice(24, 28)  # in the tcp_info of linux/tcp.h


@dataclass
class Books:
    """A table of entries behind the proxy, and the tool that writes it."""

    desk: Desk
    proxy: RunningProxy
    direct: psycopg.Connection[Any]
    contract: Any
    port: int
    settings: str = ""
    cut: Callable[[int], object] | None = None
    """What happens to the line of a call, by its descriptor, just before its COMMIT."""

    def connect(self, call: Call) -> psycopg.Connection[Any]:
        made = connect(self.port, self.settings)
        note, spoil = call.append_handle, self.cut
        if note is not None and spoil is not None:
            descriptor = made.pgconn.socket
            object.__setattr__(call, "append_handle", lambda handle: (note(handle), spoil(descriptor)))
        return made

    def cut_once_received(self, descriptor: int) -> None:
        """Cut a line as soon as the COMMIT on it was received, and the client knows that."""

        def wait_and_cut() -> None:
            with socket.socket(fileno=os.dup(descriptor)) as line:
                landed(lambda: self.requests("/COMMIT") and not unacknowledged(line))
                cut(descriptor)

        threading.Thread(target=wait_and_cut).start()

    def post(self, document: str = "d1", **more: Value) -> Any:
        return self.desk.call("post_entry", account="a1", document=document, amount="5.00", **more)

    def documents(self) -> list[str]:
        """The database's own ledger."""
        return [row[0] for row in self.direct.execute("SELECT document FROM entries ORDER BY document").fetchall()]

    def requests(self, path: str) -> int:
        return sum(post.path == path for post in self.proxy.control.report().posts)


@pytest.fixture(scope="module")
def proxy(postgres_port: int) -> Iterator[RunningProxy]:
    with running_proxy(lambda: PostgresWire(postgres_port)) as running:
        yield running


@pytest.fixture
def books(request: pytest.FixtureRequest, desk: Desk, proxy: RunningProxy, postgres_port: int) -> Iterator[Books]:
    proxy.control.clear()
    changes = getattr(request, "param", {})
    contract = desk.ready("postgresql-entry", {"cluster": "test", "database": "postgres"}, **changes)
    with connect(postgres_port) as direct:
        direct.execute("DROP TABLE IF EXISTS entries")
        direct.execute(
            "CREATE TABLE entries"
            " (document text UNIQUE DEFERRABLE INITIALLY DEFERRED, amount numeric CHECK (amount > 0))"
        )
        opened = Books(desk, proxy, direct, contract, proxy.port)

        @desk.guard.tool(contract, read_back=lambda call: postgresql.transactions_under(direct, call))
        def post_entry(account: str, document: str, amount: str, *, invoke: Call) -> str:
            with postgresql.transaction(lambda: opened.connect(invoke), invoke) as cursor:
                cursor.execute("INSERT INTO entries VALUES (%s, %s)", (document, amount))
            return document

        yield opened


def cut(descriptor: int) -> None:
    """Let nothing that is sent to a socket reach it any more: a packet filter that takes 0 bytes of each."""
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    with socket.socket(fileno=os.dup(descriptor)) as line:
        line.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(nothing)))


def ended(call: Callable[[], object]) -> object:
    """Return how a call ended, which could also hang."""
    endings: list[object] = []
    threading.Thread(target=lambda: endings.append(call()), daemon=True).start()
    return landed(lambda: endings)[0]


def unacknowledged(line: socket.socket) -> int:
    """How many segments that were sent the other side has not acknowledged."""
    return int.from_bytes(line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[TCPI_UNACKED], sys.byteorder)


def test_a_commit_that_is_answered_is_committed_in_one_transaction(books: Books) -> None:
    assert isinstance(books.post(), Committed)
    assert (books.documents(), books.requests("/COMMIT")) == (["d1"], 1)
    assert books.desk.statuses() == {"d1": COMMITTED}
    kinds = [entry.event.kind for entry in books.desk.log.entries()]
    assert kinds.index("start") < kinds.index("handle") < kinds.index("outcome")


@pytest.mark.parametrize(
    "behaviour", [Behaviour.DROP_RESPONSE, Behaviour.UNAVAILABLE, Behaviour.DUPLICATE], ids=lambda one: one.value
)
def test_a_commit_that_landed_and_was_answered_badly_is_found_committed(books: Books, behaviour: Behaviour) -> None:
    books.proxy.control.next_posts(COMMIT(behaviour=behaviour))
    ending = books.post()
    if behaviour is Behaviour.DUPLICATE:
        assert isinstance(ending, Committed)  # the second COMMIT finds no transaction, and says so in a warning
    else:
        assert isinstance(ending, OutcomeUnknown)
        assert isinstance(books.post(), Blocked)
        look = books.desk.look()
        assert (look.probe, look.status) == (ONE, COMMITTED)
        assert books.desk.kinds()[-1] == "tag_seen"
    assert (books.documents(), books.requests("/COMMIT")) == (["d1"], 1)
    assert books.desk.statuses() == {"d1": COMMITTED}


@pytest.mark.parametrize("books", [{"timeout_ms": TIMEOUT_MS}], indirect=True, ids=["in a hurry"])
def test_a_commit_that_comes_later_than_the_tool_may_wait_finds_that_the_server_has_ended_its_transaction(
    books: Books,
) -> None:
    books.proxy.control.next_posts(COMMIT(behaviour=Behaviour.SLOW, delay_ms=TIMEOUT_MS + 500))
    assert isinstance(books.post(), OutcomeUnknown)
    assert isinstance(books.post(), Blocked)
    look = books.desk.look()
    assert (look.probe, look.status, books.desk.kinds()[-1]) == (NONE, NOT_COMMITTED, "abort")
    assert (books.documents(), books.requests("/COMMIT"), books.desk.statuses()) == ([], 1, {"d1": NOT_COMMITTED})


@pytest.mark.skipif(sys.platform != "linux", reason="a packet filter on a socket is Linux's")
@pytest.mark.parametrize(
    ("received", "settings"),
    [(False, "tcp_user_timeout=300"), (True, "keepalives_idle=1 keepalives_interval=1 keepalives_count=1")],
    ids=["not known to be received", "received, and its answer lost"],
)
def test_a_commit_that_hangs_on_a_dead_line_ends_by_the_settings_of_the_documentation_and_the_server_knows(
    books: Books, received: bool, settings: str
) -> None:
    """The COMMIT lands, and nothing that the server sends reaches the client any more."""
    documented = Path("docs/adapters.md").read_text(encoding="utf-8")
    assert [name for name in re.findall(r"(\w+)=", settings) if f"{name}=" not in documented] == []
    books.proxy.control.next_posts(COMMIT(behaviour=Behaviour.HANG))
    books.settings, books.cut = settings, books.cut_once_received if received else cut
    ending = ended(books.post)
    assert isinstance(ending, OutcomeUnknown)
    assert isinstance(ending.__cause__, psycopg.OperationalError)
    assert isinstance(books.post(), Blocked)
    landed(books.documents)
    look = books.desk.look()
    assert (look.probe, look.status, books.desk.kinds()[-1]) == (ONE, COMMITTED, "tag_seen")
    assert (books.documents(), books.requests("/COMMIT"), books.desk.statuses()) == (["d1"], 1, {"d1": COMMITTED})


def test_a_commit_that_never_arrived_is_found_aborted_and_may_be_decided_again(books: Books) -> None:
    books.proxy.control.next_posts(COMMIT(behaviour=Behaviour.DROP_REQUEST))
    assert isinstance(books.post(), OutcomeUnknown)
    assert isinstance(books.post(), Blocked)
    look = books.desk.look()
    for _ in range(100):  # the server notices that its client is gone
        if look.status != UNKNOWN:
            break
        look = books.desk.look()
    assert (look.probe, look.status) == (NONE, NOT_COMMITTED)
    assert books.desk.kinds()[-1] == "abort"
    assert (books.documents(), books.desk.statuses()) == ([], {"d1": NOT_COMMITTED})
    assert isinstance(books.post(), Committed)
    assert (books.documents(), books.requests("/COMMIT"), books.desk.statuses()) == (["d1"], 2, {"d1": COMMITTED})


def test_a_commit_that_still_hangs_is_unclear_until_the_server_has_decided(books: Books) -> None:
    with connect(books.port) as held, held.cursor() as cursor:
        cursor.execute("BEGIN")
        xid = cursor.execute("SELECT pg_current_xact_id()::text").fetchone() or ("",)
        name = books.direct.execute("SELECT system_identifier FROM pg_control_system()").fetchone() or ("",)
        handle = f"postgresql:{name[0]}:{xid[0]}"
        with pytest.raises(ReadUnclearError, match="in progress"):
            postgresql.transactions_under(books.direct, call(handle))
        cursor.execute("ROLLBACK")
    with pytest.raises(Aborted):
        postgresql.transactions_under(books.direct, call(handle))


def test_a_statement_that_fails_is_an_aborted_transaction_and_sends_no_commit(books: Books) -> None:
    ending = books.desk.call("post_entry", account="a1", document="d1", amount="-5.00")
    assert isinstance(ending, NotCommitted)
    assert isinstance(ending.__cause__, Aborted)
    assert (books.documents(), books.requests("/COMMIT"), books.desk.kinds()) == ([], 0, ["abort"])


def test_a_commit_that_the_server_refuses_is_unknown_until_it_says_aborted(books: Books) -> None:
    books.direct.execute("INSERT INTO entries VALUES ('d1', 1)")  # the check waits for the commit
    ending = books.post()
    assert isinstance(ending, OutcomeUnknown)
    assert isinstance(ending.__cause__, psycopg.errors.UniqueViolation)
    assert (books.desk.look().status, books.desk.kinds()[-1]) == (NOT_COMMITTED, "abort")


def test_a_server_that_is_not_there_was_sent_nothing(books: Books) -> None:
    books.port = free_port()
    assert isinstance(books.post(), NotCommitted)
    assert (books.requests("/STARTUP"), books.desk.kinds()) == (0, ["abort"])


def test_a_call_that_noted_no_handle_is_absent_once_the_server_must_have_ended_it(books: Books) -> None:
    def crashed(*_: object) -> None:
        raise SystemExit  # as a kill does: nothing in the process says how it ended

    with patch.object(Call, "note_handle", crashed), pytest.raises(SystemExit):
        books.post()
    look = books.desk.look()
    assert (look.probe, look.status) == (NONE, UNKNOWN)
    books.desk.later(books.contract)
    look = books.desk.look()
    assert (look.status, books.desk.kinds()[-1]) == (NOT_COMMITTED, "absence")
    assert (books.documents(), books.desk.statuses()) == ([], {"d1": NOT_COMMITTED})


@pytest.mark.parametrize("settings", ["", "options='-c transaction_timeout=60000'"], ids=["none before", "one before"])
def test_the_server_ends_a_transaction_that_lasts_longer_than_the_tool_may_wait(
    postgres_port: int, settings: str
) -> None:
    noted: list[str] = []
    slow, opened = call(timeout_s=0.3, append_handle=noted.append), partial(connect, postgres_port, settings)
    with pytest.raises(Aborted) as raised, postgresql.transaction(opened, slow) as cursor:
        cursor.execute("SELECT pg_sleep(5)")
    assert isinstance(raised.value.__cause__, psycopg.errors.TransactionTimeout)
    assert noted == []


def test_after_the_send_deadline_no_commit_is_sent_though_everything_else_went_well(books: Books) -> None:
    """A connect that hangs for long: by then a reconciler may have counted on nothing coming. S2"""
    passed = books.desk.guard._tools["post_entry"].contract.send_deadline_ms / 1000 + 1
    real = time.clock_gettime

    def slow(port: int, settings: str) -> Any:
        clock.side_effect = lambda which: real(which) + passed
        return connect(port, settings)

    with (
        patch("time.clock_gettime", side_effect=real) as clock,
        patch("tests.counterparties.test_postgresql.connect", slow),
    ):
        ending = books.post()
    assert isinstance(ending, NotCommitted)
    assert (books.documents(), books.requests("/COMMIT"), books.desk.kinds()) == ([], 0, ["abort"])


@pytest.mark.parametrize(("statement", "ending"), [("SELECT 1", NotCommitted), ("COMMIT", OutcomeUnknown)])
def test_a_block_that_rolls_back_has_done_nothing(
    books: Books, statement: LiteralString, ending: type[NotCommitted] | type[OutcomeUnknown]
) -> None:
    contract = books.contract

    @books.desk.guard.tool(contract, read_back=lambda call: postgresql.transactions_under(books.direct, call))
    def post_entry(account: str, document: str, amount: str, *, invoke: Call) -> None:
        with postgresql.transaction(lambda: connect(books.port), invoke) as cursor:
            cursor.execute("INSERT INTO entries VALUES (%s, %s)", (document, amount))
            cursor.execute(statement)
            raise psycopg.Rollback  # as psycopg's documentation has it

    assert isinstance(books.post(), ending)
    assert books.documents() == (["d1"] if statement == "COMMIT" else [])


@pytest.mark.parametrize("reached", [True, False])
def test_a_second_block_after_a_commit_that_was_not_answered_proves_nothing(books: Books, reached: bool) -> None:
    contract, ports = books.contract, iter([books.port, books.port if reached else free_port()])

    @books.desk.guard.tool(contract, read_back=lambda call: postgresql.transactions_under(books.direct, call))
    def post_entry(account: str, document: str, amount: str, *, invoke: Call) -> None:
        for port in ports:
            with suppress(psycopg.OperationalError):
                with postgresql.transaction(partial(connect, port), invoke) as cursor:
                    cursor.execute("INSERT INTO entries VALUES (%s, %s)", (document, amount))
                return
        raise TimeoutError

    books.proxy.control.next_posts(COMMIT(behaviour=Behaviour.DROP_RESPONSE))
    assert isinstance(books.post(), OutcomeUnknown)
    assert (books.documents(), books.requests("/COMMIT"), books.desk.look().status) == (["d1"], 1, COMMITTED)


def test_a_block_around_one_that_committed_proves_nothing(books: Books) -> None:
    contract = books.contract

    @books.desk.guard.tool(contract, read_back=lambda call: postgresql.transactions_under(books.direct, call))
    def post_entry(account: str, document: str, amount: str, *, invoke: Call) -> None:
        another = partial(postgresql.transaction, partial(connect, books.port), invoke)
        with another(), another() as cursor:
            cursor.execute("INSERT INTO entries VALUES (%s, %s)", (document, amount))

    assert isinstance(books.post(), OutcomeUnknown)
    assert (books.documents(), books.desk.look().status) == (["d1"], COMMITTED)


def test_an_acknowledged_commit_is_durable_where_the_server_would_not_wait(books: Books) -> None:
    books.direct.execute("ALTER ROLE postgres SET synchronous_commit = off")
    try:
        with postgresql.transaction(lambda: connect(books.port), call(append_handle=lambda _: None)) as cursor:
            assert cursor.execute("SHOW synchronous_commit").fetchone() == ("on",)
        with connect(books.port) as connection:
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
    finally:
        books.direct.execute("ALTER ROLE postgres RESET synchronous_commit")


@pytest.mark.parametrize(
    ("statements", "fails", "landed"),
    [
        (("COMMIT",), False, ["d1"]),
        (("COMMIT",), True, ["d1"]),
        (("ROLLBACK",), False, []),
        (("ROLLBACK", "BEGIN", "INSERT INTO entries VALUES ('d2', 1)", "COMMIT"), False, ["d2"]),
    ],
    ids=lambda each: " ".join(each)[:24] if isinstance(each, tuple) else str(each),
)
def test_a_block_that_ends_its_transaction_itself_proves_nothing_and_a_person_has_to_look(
    books: Books, statements: tuple[LiteralString, ...], fails: bool, landed: list[str]
) -> None:
    noted: list[str] = []

    def misuse() -> None:
        with postgresql.transaction(
            lambda: connect(books.port), call(timeout_s=60, append_handle=noted.append)
        ) as cursor:
            for statement in ("INSERT INTO entries VALUES ('d1', 1)", *statements):
                cursor.execute(statement)
            if fails:
                raise ZeroDivisionError

    with pytest.raises(ConfigInvalidError, match="ended its transaction"):
        misuse()
    assert books.documents() == landed
    with pytest.raises(ReadUnclearError, match="ended by its block"):
        postgresql.transactions_under(books.direct, call(*noted))


def test_a_transaction_inside_another_is_refused_before_anything_is_sent(books: Books) -> None:
    with connect(books.port) as connection, connection.transaction():
        with pytest.raises(Aborted) as raised, postgresql.transaction(lambda: nullcontext(connection), call()):
            pass
        assert isinstance(raised.value.__cause__, ConfigInvalidError)


@pytest.mark.parametrize("handle", ["postgresql:1:2", "xid 7", "postgresql:7300000000000000000:800"])
def test_a_handle_of_another_cluster_says_nothing(books: Books, handle: str) -> None:
    with pytest.raises(ReadUnclearError):
        postgresql.transactions_under(books.direct, call(handle))


def test_a_read_that_the_server_refuses_leaves_the_next_one_alone(books: Books, postgres_port: int) -> None:
    noted: list[str] = []
    with postgresql.transaction(lambda: connect(books.port), call(append_handle=noted.append)):
        pass
    [known] = noted
    with connect(postgres_port) as reader:
        reader.autocommit = False  # as psycopg opens one
        with pytest.raises(psycopg.Error):
            postgresql.transactions_under(reader, call(f"{known}0000"))  # such as after a fail-over
        assert postgresql.transactions_under(reader, call(known)) == [known]
        assert reader.info.transaction_status is TransactionStatus.IDLE


def test_a_read_back_that_cannot_be_made_settles_nothing(books: Books) -> None:
    books.proxy.control.next_posts(COMMIT(behaviour=Behaviour.DROP_RESPONSE))
    books.post()
    books.direct.close()
    look = books.desk.look()
    assert (look.probe, look.status) == (UNCLEAR, UNKNOWN)


def call(*handles: str, timeout_s: float = 5, append_handle: Any = None) -> Call:
    return Call(
        effect_key="eff_",
        resource="r",
        generation=1,
        provider_key="k",
        tag="t",
        timeout_s=timeout_s,
        handles=handles,
        send_by=time.clock_gettime(CLOCK) + 60,
        append_handle=append_handle,
    )


KILLED = """
import os, sys, signal
import psycopg
import invoke_log as il
from invoke_log.adapter.postgresql import transaction

path, dsn, when = sys.argv[1:]
contract = il.Contract.ready("postgresql-entry", realm={"cluster": "test", "database": "postgres"})

def killed():
    os.kill(os.getpid(), signal.SIGKILL)

with il.Log.open(path) as log:
    guard = il.Guard(log)

    @guard.tool(contract)
    def post_entry(account, document, amount, *, invoke):
        with transaction(lambda: psycopg.connect(dsn), invoke) as cursor:
            cursor.execute("INSERT INTO entries VALUES (%s, %s)", (document, amount))
            if when == "before the handle":
                killed()
            if when == "before COMMIT":
                note = invoke.append_handle
                object.__setattr__(invoke, "append_handle", lambda handle: (note(handle), killed()))
        killed()

    guard.call("post_entry", {"account": "a1", "document": "d1", "amount": "5.00"})
"""


@pytest.mark.parametrize(
    ("when", "kind", "documents"),
    [
        ("before the handle", "absence", []),
        ("before COMMIT", "abort", []),
        ("after COMMIT", "tag_seen", ["d1"]),
    ],
)
def test_an_executor_that_is_killed_leaves_what_the_server_can_tell(
    books: Books, when: str, kind: str, documents: list[str]
) -> None:
    dsn = f"host=127.0.0.1 port={books.port} user=postgres dbname=postgres sslmode=disable gssencmode=disable"
    command = [sys.executable, "-P", "-c", KILLED, str(books.desk.log.path), dsn, when]
    killed = subprocess.run(command, env=child_environment(), capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert isinstance(books.post(), Blocked)
    books.desk.later(books.contract)
    deadline_s = time.monotonic() + 30  # the server notices that its client is gone
    while (look := books.desk.look()).status == UNKNOWN and time.monotonic() < deadline_s:
        time.sleep(0.05)
    status = COMMITTED if documents else NOT_COMMITTED
    assert (look.status, books.desk.kinds()[-1], books.documents()) == (status, kind, documents)
    assert books.desk.statuses() == {"d1": status}

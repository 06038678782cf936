"""Real counterparties on loopback, started once: each in a process or a thread of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.counterparties.desk import Desk, open_desk
from tests.counterparties.keyed import Inbox, Keyed, keyed_provider, open_inbox
from tests.counterparties.postgres_server import postgres_server
from tests.harness.world import stage as stage
from tests.harness.world import world as world


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    with postgres_server() as port:
        yield port


@pytest.fixture(scope="session")
def keyed_server() -> Iterator[Keyed]:
    with keyed_provider() as keyed:
        yield keyed


@pytest.fixture
def keyed(keyed_server: Keyed) -> Keyed:
    """The provider with empty books that stores all results, and a proxy that passes everything."""
    keyed_server.configure()
    return keyed_server


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with open_inbox() as opened:
        yield opened

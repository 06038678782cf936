"""Real counterparties on loopback, started once: each in a process or a thread of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.counterparties.desk import Desk, open_desk
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

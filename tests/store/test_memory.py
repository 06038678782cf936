import pytest

from invoke_log.store.memory import MemoryStore
from tests.store.suite import StoreSuite


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


def test_meta_values_given_at_the_start_are_there() -> None:
    assert MemoryStore({b"origin": b"example.com/log"}).get_meta(b"origin") == b"example.com/log"

"""Tests of the guard share one provider and one proxy, for those that count charges."""

from tests.harness.world import stage as stage
from tests.harness.world import world as world

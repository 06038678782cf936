"""The tests of the demo share one provider and one proxy."""

from tests.harness.world import stage as stage
from tests.harness.world import world as world

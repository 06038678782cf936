"""The provider: localstripe, a Stripe-compatible server, on a free port of 127.0.0.1, in this process alone.

Run as `python -m invoke_log.surfaces.demo.provider`; the ready line names its port. It decides nothing for us: charges
are counted by asking it over HTTP. It knows less than Stripe: it ignores Idempotency-Key (the same key twice makes two
payment intents), has no search, lists payment intents oldest first, and of the test cards that can be charged by name
it declines only `pm_card_chargeCustomerFail`.
"""

import asyncio

from aiohttp import web
from localstripe import resources, server

from invoke_log.surfaces.demo.processes import say, told_to_stop

SHUTDOWN_S_MAX = 0.5  # open keep-alive connections are cut; nobody waits for their answers any more


async def serve() -> None:
    """Serve until told to stop. Every object is in memory and goes with the process."""
    stop = told_to_stop()
    # It pickles its whole store to the temporary directory at every change; another run would find it there.
    resources.store.dump_to_disk = lambda: None
    runner = web.AppRunner(server.app, access_log=None, shutdown_timeout=SHUTDOWN_S_MAX)
    await runner.setup()
    # Its own start() binds "::", every interface of the machine.
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    say(port=runner.addresses[0][1])
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())

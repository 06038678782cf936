"""The stage: one provider and one proxy before it, running until the `with` block ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from invoke_log.surfaces.demo.processes import Child
from invoke_log.surfaces.demo.proxy_control import ProxyControl

PROVIDER = "invoke_log.surfaces.demo.provider"
PROXY = "invoke_log.surfaces.demo.proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Agents are given `proxy_url`. Whoever counts or reads back asks `provider_url`, past the proxy."""

    provider_url: str
    proxy_url: str
    proxy: ProxyControl


@contextmanager
def open_stage() -> Iterator[Stage]:
    """Yield a stage with an empty provider.

    Raises: ChildError: one of the two did not start; its stderr says why.
    """
    with Child(PROVIDER) as provider:
        provider_port = provider.ready_ports()["port"]
        with Child(PROXY, "--upstream", str(provider_port)) as proxy:
            ports = proxy.ready_ports()
            yield Stage(
                provider_url=f"http://127.0.0.1:{provider_port}",
                proxy_url=f"http://127.0.0.1:{ports['port']}",
                proxy=ProxyControl(port=ports["control"]),
            )

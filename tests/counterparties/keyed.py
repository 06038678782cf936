"""The keyed provider as tests have it: its process, the proxy before it, its ledger, and where its messages arrive."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from invoke_log.guard.tool_call import Call
from invoke_log.surfaces.demo.proxy import HttpWire
from tests.counterparties.wire import RunningProxy, running_proxy

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True, kw_only=True)
class Keyed:
    """The provider: reached by tools through `proxy`, asked by tests past it."""

    port: int
    proxy: RunningProxy

    def configure(self, *, stores: str = "all", webhook: dict[str, Any] | None = None) -> None:
        """Empty its books, and set what it keeps and whom it tells."""
        answer = httpx.post(self._url("/_config"), json={"stores": stores, "webhook": webhook}, trust_env=False)
        answer.raise_for_status()
        self.proxy.control.clear()

    def transfers(self) -> list[dict[str, Any]]:
        """What it did."""
        listed: list[dict[str, Any]] = self._ledger()["transfers"]
        return listed

    def requests(self) -> int:
        """How many requests reached it."""
        return int(self._ledger()["requests"])

    def cancel(self, call: Call) -> bool:
        """Have it give up what it holds under a call's tag, and return whether there is something and all of it is."""
        answer = httpx.post(self._url("/cancel"), json={"tag": call.tag}, trust_env=False)
        found = [made["status"] for made in answer.raise_for_status().json()["transfers"]]
        return set(found) == {"canceled"}

    def _ledger(self) -> dict[str, Any]:
        ledger: dict[str, Any] = httpx.get(self._url("/_ledger"), trust_env=False).json()
        return ledger

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def keyed_provider() -> Iterator[Keyed]:
    """Yield the provider, in a process that ends with the block, or with this process."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("keyed_provider.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        port = int(process.stdout.readline())
        with running_proxy(lambda: HttpWire(port)) as proxy:
            yield Keyed(port=port, proxy=proxy)
        process.stdin.close()


@dataclass
class Inbox:
    """Where messages arrive: each as its raw body and its headers, in the order of their coming.

    answer: the HTTP status that a message is answered with, given it; called before it counts as arrived.
    """

    url: str = ""
    answer: Callable[[bytes, dict[str, str]], int] = lambda *_: 204
    arrived: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    _more: threading.Condition = field(default_factory=threading.Condition)

    def take(self, count: int) -> list[tuple[bytes, dict[str, str]]]:
        """Return what has arrived as soon as it is that many."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.arrived) >= count, timeout=20), self.arrived
            return list(self.arrived)

    def put(self, body: bytes, headers: dict[str, str]) -> int:
        status = self.answer(body, headers)
        with self._more:
            self.arrived.append((body, headers))
            self._more.notify_all()
        return status


@contextmanager
def open_inbox() -> Iterator[Inbox]:
    """Yield an inbox that listens until the block ends."""
    inbox = Inbox()

    class Messages(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(inbox.put(body, dict(self.headers.items())))
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Messages) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        inbox.url = f"http://127.0.0.1:{server.server_address[1]}/"
        yield inbox
        server.shutdown()
        thread.join()

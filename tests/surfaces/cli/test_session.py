"""What the environment names counts where its option would, for every verb."""

from pathlib import Path

import pytest

from invoke_log.log.signer import load_key
from invoke_log.surfaces.cli.main import main
from invoke_log.surfaces.mcp_server import serving
from invoke_log.surfaces.mcp_server.tools import Tools


def test_a_server_proposes_with_the_key_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Tools] = []
    monkeypatch.setattr(serving, "serve", lambda tools, at: served.append(tools))
    monkeypatch.setenv("INVOKE_LOG", str(tmp_path / "log"))
    monkeypatch.delenv("INVOKE_LOG_KEY", raising=False)
    assert main(["init", str(tmp_path / "log"), "--origin", "example.com/log"]) == 0
    assert main(["key", "new", str(tmp_path / "own.key")]) == 0
    assert main(["mcp"]) == 0
    monkeypatch.setenv("INVOKE_LOG_KEY", str(tmp_path / "own.key"))
    assert main(["mcp"]) == 0
    reader, proposer = served
    assert (reader.proposes, proposer.proposes) == (False, True)
    assert proposer.signer is not None
    assert proposer.signer.public_key == load_key(tmp_path / "own.key").public_key

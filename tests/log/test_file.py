"""A file is read up to what such a file may hold, and no further."""

from pathlib import Path

import pytest

from invoke_log.errors import ContractInvalidError, NotFoundError
from invoke_log.log.file import read_file


def test_a_file_of_as_many_bytes_as_it_may_have_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"four")
    assert read_file(tmp_path / "file", "contract", bytes_max=4, wrong=ContractInvalidError) == b"four"


def test_a_longer_one_and_one_without_an_end_are_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"five!")
    for path in (tmp_path / "file", Path("/dev/zero")):
        with pytest.raises(ContractInvalidError, match=f"contract {path}: more than 4 bytes, want at most that"):
            read_file(path, "contract", bytes_max=4, wrong=ContractInvalidError)


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"policy .*gone: No such file"):
        read_file(tmp_path / "gone", "policy", bytes_max=4, wrong=ContractInvalidError)

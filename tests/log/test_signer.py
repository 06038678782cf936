import os
from pathlib import Path

import pytest

from invoke_log.errors import KeyInvalidError, NotFoundError, StoreError, StoreExistsError
from invoke_log.format.keys import verify
from invoke_log.log.signer import FileSigner, load_key, write_key_file
from invoke_log.store import directory

# RFC 8032, section 7.1, test 2.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_signatures_are_those_of_rfc_8032() -> None:
    signer = FileSigner(SEED)
    assert (signer.public_key, signer.sign(b"\x72")) == (PUBLIC, SIGNATURE)
    assert verify(signer.public_key, b"\x72", SIGNATURE)


def test_a_written_key_file_is_one_line_that_only_its_owner_reads(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        signer = write_key_file(tmp_path / "agent.key", SEED)
    finally:
        os.umask(before)
    assert (tmp_path / "agent.key").read_bytes() == SEED.hex().encode() + b"\n"
    assert (tmp_path / "agent.key").stat().st_mode & 0o777 == 0o600
    assert signer.public_key == load_key(tmp_path / "agent.key").public_key == PUBLIC


def test_a_key_file_and_its_name_are_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(directory, "sync", synced.append)
    write_key_file(tmp_path / "agent.key", SEED)
    assert synced == [tmp_path]


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    write_key_file(tmp_path / "agent.key", SEED)
    with pytest.raises(StoreExistsError, match=r"agent\.key"):
        write_key_file(tmp_path / "agent.key", bytes(32))
    assert load_key(tmp_path / "agent.key").public_key == PUBLIC


def test_a_key_file_in_a_missing_directory_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        write_key_file(tmp_path / "missing" / "agent.key", SEED)


def test_a_missing_key_file_is_not_found_and_a_directory_is_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_key(tmp_path / "agent.key")
    with pytest.raises(StoreError):
        load_key(tmp_path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_key_file_that_others_may_use_is_refused_with_what_to_run(tmp_path: Path, mode: int) -> None:
    write_key_file(tmp_path / "agent.key", SEED)
    (tmp_path / "agent.key").chmod(mode)
    with pytest.raises(KeyInvalidError, match=f"{mode:04o}") as caught:
        load_key(tmp_path / "agent.key")
    assert caught.value.hint == f"run: chmod 600 {tmp_path / 'agent.key'}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        SEED.hex()[:-2] + "\n",
        SEED.hex()[:-1] + "\n",
        SEED.hex() + "00\n",
        SEED.hex().upper() + "\n",
        SEED.hex() + "\n\n",
        SEED.hex() + "\r\n",
        " " + SEED.hex()[1:] + "\n",
        SEED.hex() + "\n" + SEED.hex() + "\n",
        "é" * 32,
    ],
    ids=range(11),
)
def test_a_key_file_that_holds_no_seed_is_refused_and_its_text_is_not_shown(tmp_path: Path, text: str) -> None:
    place = tmp_path / "agent.key"
    place.write_bytes(text.encode())
    place.chmod(0o600)
    with pytest.raises(KeyInvalidError) as caught:
        load_key(place)
    assert SEED.hex()[:8].lower() not in (str(caught.value) + str(caught.value.hint)).lower()


def test_a_seed_of_another_length_is_refused_and_no_file_is_left(tmp_path: Path) -> None:
    for seed in (b"", bytes(31), bytes(33), bytes(64)):
        with pytest.raises(KeyInvalidError):
            write_key_file(tmp_path / "agent.key", seed)
    assert list(tmp_path.iterdir()) == []


def test_a_signer_does_not_show_its_seed() -> None:
    shown = repr(FileSigner(SEED)) + str(vars(FileSigner(SEED)))
    assert SEED.hex() not in shown
    assert repr(SEED)[2:12] not in shown

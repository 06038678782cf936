import errno
import os
from pathlib import Path

import pytest

from invoke_log.errors import (
    KeyInvalidError,
    KeyLockedError,
    NotFoundError,
    StoreError,
    StoreExistsError,
    StoreFullError,
)
from invoke_log.format.keys import verify
from invoke_log.log.signer import FileSigner, load_key, lock_key_file, public_key_of, write_key_file
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


@pytest.mark.parametrize("umask", [0, 0o777])
def test_a_written_key_file_is_one_line_that_only_its_owner_reads(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
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


def test_a_key_file_that_the_disk_did_not_take_is_not_in_the_next_ones_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreFullError):
            write_key_file(tmp_path / "agent.key", SEED)
    assert list(tmp_path.iterdir()) == []
    assert write_key_file(tmp_path / "agent.key", SEED).public_key == PUBLIC


def test_a_key_file_in_a_missing_directory_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        write_key_file(tmp_path / "missing" / "agent.key", SEED)


def test_a_name_that_no_file_can_have_is_not_found(tmp_path: Path) -> None:
    for use in (load_key, lambda path: write_key_file(path, SEED)):
        with pytest.raises(NotFoundError, match="File name too long"):
            use(tmp_path / ("k" * 256))


def test_a_missing_key_file_is_not_found_and_a_directory_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for missing in ("agent.key", "file/agent.key"):
        with pytest.raises(NotFoundError):
            load_key(tmp_path / missing)
    with pytest.raises(KeyInvalidError):
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


def test_a_locked_key_file_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    place = tmp_path / "agent.key"
    write_key_file(place, SEED, passphrase=b"open sesame")
    assert SEED.hex() not in place.read_text()
    assert place.stat().st_mode & 0o777 == 0o600
    assert load_key(place, passphrase=b"open sesame").sign(b"\x72") == SIGNATURE
    with pytest.raises(KeyLockedError, match="does not open it"):
        load_key(place, passphrase=b"open sesam")
    with pytest.raises(KeyLockedError, match=f"key_{PUBLIC.hex()} is locked"):
        load_key(place)


def test_a_locked_key_file_tells_its_public_key(tmp_path: Path) -> None:
    write_key_file(tmp_path / "open.key", SEED)
    write_key_file(tmp_path / "locked.key", SEED, passphrase=b"p")
    assert public_key_of(tmp_path / "open.key") == public_key_of(tmp_path / "locked.key") == PUBLIC


def test_two_lockings_of_one_seed_have_nothing_in_common_but_the_public_key(tmp_path: Path) -> None:
    for name in ("a.key", "b.key"):
        write_key_file(tmp_path / name, SEED, passphrase=b"p")
    a, b = (set((tmp_path / name).read_text().split()) for name in ("a.key", "b.key"))
    assert a & b == {"invoke-log-key-1", PUBLIC.hex()}


def test_a_key_file_is_locked_in_place_and_again_under_another_passphrase(tmp_path: Path) -> None:
    place = tmp_path / "agent.key"
    write_key_file(place, SEED)
    assert lock_key_file(place, passphrase=b"one").public_key == PUBLIC
    with pytest.raises(KeyLockedError):
        lock_key_file(place, passphrase=b"two")
    lock_key_file(place, passphrase=b"two", was=b"one")
    with pytest.raises(KeyLockedError):
        load_key(place, passphrase=b"one")
    assert load_key(place, passphrase=b"two").public_key == PUBLIC
    assert [path.name for path in tmp_path.iterdir()] == ["agent.key"]


def test_a_key_file_is_locked_where_it_lies_and_not_where_a_link_to_it_does(tmp_path: Path) -> None:
    (tmp_path / "safe").mkdir()
    write_key_file(tmp_path / "safe" / "admin.key", SEED)
    (tmp_path / "admin.key").symlink_to("safe/admin.key")
    lock_key_file(tmp_path / "admin.key", passphrase=b"one")
    assert (tmp_path / "admin.key").is_symlink()
    assert SEED.hex() not in (tmp_path / "safe" / "admin.key").read_text()
    assert load_key(tmp_path / "admin.key", passphrase=b"one").public_key == PUBLIC


def test_a_key_file_that_cannot_be_replaced_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "agent.key"
    write_key_file(place, SEED)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(StoreError, match="No space left"):
        lock_key_file(place, passphrase=b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["agent.key"]
    assert load_key(place).public_key == PUBLIC


@pytest.mark.parametrize("passphrase", [b"", bytes(1_025)], ids=["empty", "long"])
def test_a_passphrase_of_no_use_is_refused_and_no_file_is_left(tmp_path: Path, passphrase: bytes) -> None:
    with pytest.raises(KeyInvalidError, match="passphrase has"):
        write_key_file(tmp_path / "agent.key", SEED, passphrase=passphrase)
    assert list(tmp_path.iterdir()) == []


def test_a_locked_key_file_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "agent.key"
    write_key_file(place, SEED, passphrase=b"p")
    word, public_key, salt, box = place.read_text().split()
    other = FileSigner(bytes(32)).public_key.hex()
    tampered = {
        "it holds another key than it says": f"{word} {other} {salt} {box}",
        "does not open it": f"{word} {public_key} {salt[:-2]}00 {box[:-2]}00",
        "of a locked key": f"{word} {public_key} {salt} {box[:-2]}",
        "want one line": f"invoke-log-key-2 {public_key} {salt} {box}",
    }
    for message, line in tampered.items():
        place.write_text(line + "\n")
        with pytest.raises((KeyInvalidError, KeyLockedError), match=message):
            load_key(place, passphrase=b"p")

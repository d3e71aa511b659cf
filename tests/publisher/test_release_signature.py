"""Signatures: what is signed here is verified by others: by the bare algorithm, and by minisign
where it is there.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import minisign
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from publisher.releases.signature import load_key, public_key_text, sign


def verified(path: Path, public: bytes) -> None:
    """Verify by the description of the format alone
    (https://jedisct1.github.io/minisign/#signature-format).
    """
    _, signature, comment, whole = (
        path.with_name(path.name + ".minisig").read_bytes().rstrip(b"\n").split(b"\n")
    )
    known, output = base64.b64decode(public), base64.b64decode(signature)
    assert (known[:2], output[:2], output[2:10]) == (b"Ed", b"ED", known[2:10])
    holder = Ed25519PublicKey.from_public_bytes(known[10:])
    holder.verify(output[10:], hashlib.blake2b(path.read_bytes()).digest())
    holder.verify(base64.b64decode(whole), output[10:] + comment.removeprefix(b"trusted comment: "))


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """Return a signed file; the keys are beside."""
    path = tmp_path / "file.gz"
    path.write_bytes(b"content " * 100_000)
    with load_key(tmp_path / "signing") as secret:
        sign(path, secret, "timestamp:1")
    return path


def public_key(signed: Path) -> bytes:
    return (signed.parent / "signing/stocktake.pub").read_bytes().splitlines()[1]


def test_a_signature_is_verified_by_the_bare_algorithm(signed: Path) -> None:
    verified(signed, public_key(signed))  # raises where it does not hold

    assert len(base64.b64decode(public_key(signed))) == 42


def test_a_file_that_was_touched_is_found_out_and_so_is_its_comment(signed: Path) -> None:
    beside, whole = signed.with_name("file.gz.minisig"), signed.read_bytes()
    signed.write_bytes(whole + b".")
    with pytest.raises(InvalidSignature):
        verified(signed, public_key(signed))
    signed.write_bytes(whole)
    beside.write_bytes(beside.read_bytes().replace(b"timestamp:1", b"timestamp:2"))

    with pytest.raises(InvalidSignature):
        verified(signed, public_key(signed))


@pytest.mark.skipif(
    shutil.which("minisign") is None, reason="the program minisign is not installed"
)
@pytest.mark.smoke
def test_a_signature_is_verified_by_minisign_itself(signed: Path) -> None:
    public = signed.parent / "signing/stocktake.pub"

    completed = subprocess.run(
        ["minisign", "-Vm", str(signed), "-p", str(public)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert completed.returncode == 0, completed.stderr


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first, second = (public_key_text(load_key(tmp_path).get_public_key()) for _ in range(2))

    assert first == second
    assert (tmp_path / "stocktake.key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_none_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "stocktake.key").write_text("no key\n")

    with pytest.raises(minisign.Error):
        load_key(tmp_path)

    assert (tmp_path / "stocktake.key").read_text() == "no key\n"

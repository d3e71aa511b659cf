"""Sign files with Ed25519 in the format of minisign (https://jedisct1.github.io/minisign/); the key
is created at first use.
"""

from __future__ import annotations

import os
from pathlib import Path

from minisign import KeyPair, PublicKey, SecretKey

SUFFIX = ".minisig"
PUBLIC = "stocktake.pub"
SECRET = "stocktake.key"


def load_key(folder: Path) -> SecretKey:
    """Read the secret key in *folder*, or create one. It has no password: whoever can read the
    folder can sign.

    The public key is written into the same folder. Raises minisign.Error if the file is not a key.
    """
    path = folder / SECRET
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{SECRET}.part"
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(bytes(KeyPair.generate().secret_key))
            os.fsync(file.fileno())
        part.rename(path)
    secret = SecretKey.from_file(path)
    public = bytes(secret.get_public_key())
    if not (folder / PUBLIC).exists() or (folder / PUBLIC).read_bytes() != public:
        (folder / PUBLIC).write_bytes(public)
    return secret


def public_key_text(public: PublicKey) -> str:
    """Return a public key as ``minisign -P`` expects it."""
    return bytes(public.to_base64()).decode()


def sign(path: Path, secret: SecretKey, comment: str) -> Path:
    """Sign a file; *comment* is a trusted comment, which the signature covers. Return the path of
    the signature.
    """
    with path.open("rb") as file:
        signature = secret.sign(file, trusted_comment=f"{comment}\tfile:{path.name}\thashed")
    signature_path = path.with_name(path.name + SUFFIX)
    signature_path.write_bytes(bytes(signature).rstrip(b"\n") + b"\n")
    return signature_path

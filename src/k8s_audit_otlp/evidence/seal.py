"""Signs where a chain of receipts is, so that nobody can make another one afterwards.

Ed25519 from `cryptography`, which comes with the extra `evidence`. A key file is a private key in
PEM (0600), its public half lies beside it as FILE.pub. A key that follows another is vouched for by
a line in its FILE.pub: the older key's signature.
"""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from k8s_audit_otlp.evidence.chain import CHAIN
from k8s_audit_otlp.state.files import open_private, read_regular, replace_file
from k8s_audit_otlp.state.outbox import EXPORTER, Chain, Notice, Value

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SEAL = "k8s.audit.seal."
EVENT = "k8s.audit.seal"
AGENT = SEAL + "agent"  # of the last seal before an agent ends: STOPPED
STOPPED = "stopped"
OPEN = SEAL + "open"  # segments without a receipt, and how far they are; parted by blanks
INTERVAL_S = 600.0  # the longest that a link stays without a seal
INFO = 9
_SIGNED = (
    *(EXPORTER, SEAL + "log", SEAL + "key", SEAL + "time_ns"),
    *(CHAIN + "id", CHAIN + "number", CHAIN + "hash"),
)
_MOST_BYTES = 1 << 20  # a key has some hundred
_VOUCHED = "signed-by: "  # key id and signature, after the public key


class KeyFileError(Exception):
    """A key cannot be used; the message says where, why and the hint."""


def _need_cryptography(path: Path) -> None:
    try:
        import cryptography  # noqa: F401, PLC0415 - only to see whether it is there
    except ImportError:
        raise KeyFileError(
            f"{path}: cryptography is not installed, which seals need; "
            "install it with pip install '.[evidence]' from the repository's root"
        ) from None


def key_id(key: "Ed25519PublicKey") -> str:
    """Return what names a public key: 16 hex digits of its hash."""
    return sha256(key.public_bytes_raw()).hexdigest()[:16]


def make_key(path: Path, previous: Path | None = None) -> str:
    """Make a key pair at *path* and `path.pub`; return its id. *previous* signs it.

    Raise KeyFileError where there is a file already, or the previous key cannot be read; OSError
    where it cannot be written.
    """
    _need_cryptography(path)
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )

    older = SealKey.read(previous) if previous else None
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public = key.public_key().public_bytes(
        form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
    )
    if older is not None:
        signature = older.sign(_vouched_text(key.public_key()))
        public += f"{_VOUCHED}{older.id} {signature}\n".encode()
    try:
        fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        raise KeyFileError(
            f"{path}: is there already; give another name, and a key in use as --previous"
        ) from None
    with os.fdopen(fd, "wb") as file:
        file.write(private)
        file.flush()
        os.fsync(file.fileno())
    of_others = path.with_name(path.name + ".pub")
    replace_file(of_others, lambda file: file.write(public), public=True)
    return key_id(key.public_key())


def _vouched_text(key: "Ed25519PublicKey") -> bytes:
    return b"k8s-audit-otlp key v1\n" + key.public_bytes_raw()


@dataclass(frozen=True)
class SealKey:
    """A private key that signs seals."""

    key: "Ed25519PrivateKey"

    @classmethod
    def read(cls, path: Path) -> "SealKey":
        """Read a key that `evidence keygen` made. Raise KeyFileError where there is none."""
        _need_cryptography(path)
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            load_pem_private_key,
        )

        try:
            key = load_pem_private_key(read_regular(path, _MOST_BYTES), None)
        except OSError as error:
            raise KeyFileError(
                f"{path}: {error.strerror}; make a key with `evidence keygen FILE`"
            ) from None
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise KeyFileError(f"{path}: no Ed25519 key in PEM; make one with `evidence keygen`")
        return cls(key)

    @property
    def id(self) -> str:
        return key_id(self.key.public_key())

    def sign(self, data: bytes) -> str:
        return base64.b64encode(self.key.sign(data)).decode()

    def seal(
        self,
        chain: Chain,
        log: str,
        exporter: str,
        now_ns: int,
        *,
        opened: str = "",
        stops: bool = False,
    ) -> Notice:
        """Sign that *chain* has come so far by now; *stops*: and that the agent ends then.

        *opened*: what is said of the segments that have no receipt yet.
        """
        attributes: dict[str, Value] = {
            EXPORTER: exporter,
            SEAL + "log": log,
            SEAL + "key": self.id,
            SEAL + "time_ns": now_ns,
            CHAIN + "id": chain.id,
            CHAIN + "number": chain.number,
            CHAIN + "hash": chain.hash,
        }
        if stops:
            attributes[AGENT] = STOPPED
        if opened:
            attributes[OPEN] = opened
        attributes[SEAL + "signature"] = self.sign(signed_text(attributes))
        return Notice(
            f"seal-{chain.id}-{chain.number}-{now_ns:x}",
            EVENT,
            now_ns,
            INFO,
            f"sealed: {exporter} of {log} up to number {chain.number}",
            attributes,
            kept=True,
        )


def signed_text(attributes: Mapping[str, object]) -> bytes:
    """Return the bytes that a seal's signature is over, from what it says of itself."""
    lines = ["k8s-audit-otlp seal v1", *(str(attributes.get(name, "")) for name in _SIGNED)]
    lines += [f"{name} {said}" for name in (AGENT, OPEN) if (said := attributes.get(name))]
    return "\n".join(lines).encode()


def read_public_keys(paths: list[Path]) -> "dict[str, Ed25519PublicKey]":
    """Read trusted public keys by their ids.

    A key whose file another trusted key has signed is only as trusted as being given here: who
    holds an old key's file and the new one can see that the owner of the old one made the new.

    Raise KeyFileError where a file is not there, is not one key, or is not signed as it says.
    """
    keys: dict[str, Ed25519PublicKey] = {}
    vouched: list[tuple[Path, str, str, Ed25519PublicKey]] = []
    for path in paths:
        key, line = _read_public(path)
        keys[key_id(key)] = key
        if line:
            by, _, signature = line.partition(" ")
            vouched.append((path, by, signature, key))
    for path, by, signature, key in vouched:
        if by in keys and not is_signed(keys[by], _vouched_text(key), signature):
            raise KeyFileError(f"{path}: says that {by} has signed it, which is not so")
    return keys


def _read_public(path: Path) -> "tuple[Ed25519PublicKey, str]":
    _need_cryptography(path)
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        data = read_regular(path, _MOST_BYTES)
        key = load_pem_public_key(data)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}; give FILE.pub") from None
    except ValueError:
        key = None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise KeyFileError(f"{path}: no public Ed25519 key in PEM; give FILE.pub")
    if data.count(b"-----BEGIN") > 1:
        raise KeyFileError(f"{path}: holds several keys; give each in a file of its own")
    _, found, line = data.decode("utf-8", "replace").partition(_VOUCHED)
    return key, line.strip() if found else ""


def is_signed(key: "Ed25519PublicKey", data: bytes, signature: str) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

    try:
        key.verify(base64.b64decode(signature, validate=True), data)
    except (InvalidSignature, ValueError):
        return False
    return True

"""An optional Ed25519 signature inside an exported file: who made it, where the checksum tells only that it is whole.

The file's metadata holds ``tabwright_signature``: 128 hexadecimal digits, the signature of the SHA-256 of the whole
file with zeros in the places of signature and checksum. The checksum covers the signature too.

References
----------
RFC 8032, "Edwards-Curve Digital Signature Algorithm (EdDSA)".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tabwright import seal
from tabwright.errors import MissingExtraError, ModelFileError, OptionError

KEY = "tabwright_signature"
PLACEHOLDER = "0" * 128
# Protocol buffers' encoding of a metadata entry: field 1 the key, field 2 a value of 128 bytes.
_MARK = b"\x0a" + bytes([len(KEY)]) + KEY.encode() + b"\x12\x80\x01"
_DOMAIN = b"tabwright signature 1\n"  # so that the key's signatures of other things can't be taken for this


def is_signed(data: bytes) -> bool:
    """Whether the file holds a signature, of whomever."""
    return _MARK in data


def sign(data: bytes, signing_key: Any) -> bytes:
    """The unsealed file, whose metadata holds :data:`PLACEHOLDER` under :data:`KEY`, with its signature filled in.

    Parameters
    ----------
    data : bytes
    signing_key : path of a PEM file, PEM bytes, 32 raw bytes, or an ``Ed25519PrivateKey``

    Raises
    ------
    OptionError
        If the key can't be read or is of another kind.
    MissingExtraError
        If ``cryptography`` is not installed.
    """
    signature: bytes = private_key(signing_key).sign(_message(data))
    position = _position(data)
    return data[:position] + signature.hex().encode() + data[position + len(PLACEHOLDER) :]


def verify(data: bytes, public_key: Any, name: str = "the file") -> None:
    """Refuse a file that the owner of the key has not signed.

    Parameters
    ----------
    data : bytes
        Of a sealed file.
    public_key : path of a PEM file, PEM bytes, 32 raw bytes, or an ``Ed25519PublicKey``
    name : str
        What messages call the file.

    Raises
    ------
    ModelFileError
        If the file has no signature, or another's.
    """
    key = _public_key(public_key)
    if not is_signed(data):
        raise ModelFileError(f"{name} is not signed", "get a signed one from its maker, or pass no public key")
    from cryptography.exceptions import InvalidSignature

    position = _position(data)
    try:
        key.verify(bytes.fromhex(data[position : position + len(PLACEHOLDER)].decode("ascii")), _message(data))
    except (InvalidSignature, ValueError):
        raise ModelFileError(
            f"{name} does not bear the signature of this public key's owner",
            "do not use it, and get the file and the key again from their maker",
        ) from None


def _position(data: bytes) -> int:
    return data.rfind(_MARK) + len(_MARK)


def _message(data: bytes) -> bytes:
    """What is signed: a digest that depends on neither signature nor checksum."""
    blank, position = bytearray(data), _position(data)
    blank[position : position + len(PLACEHOLDER)] = PLACEHOLDER.encode()
    return _DOMAIN + bytes.fromhex(seal.digest(bytes(blank)))


def private_key(given: Any) -> Any:
    """An ``Ed25519PrivateKey`` from what the caller has; errors as in :func:`sign`."""
    asymmetric, serialization = _cryptography()
    if isinstance(given, asymmetric.Ed25519PrivateKey):
        return given
    content = _content("signing_key", given)
    try:
        if len(content) == 32:
            return asymmetric.Ed25519PrivateKey.from_private_bytes(content)
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError:
        raise OptionError("signing_key", "is protected by a password",
                          "unlock it with cryptography and pass the key object") from None
    except ValueError:
        key = None
    if not isinstance(key, asymmetric.Ed25519PrivateKey):
        raise OptionError("signing_key", "is no Ed25519 private key in PEM form",
                          "make one: openssl genpkey -algorithm ed25519 -out key.pem")
    return key


def _public_key(given: Any) -> Any:
    asymmetric, serialization = _cryptography()
    if isinstance(given, asymmetric.Ed25519PublicKey):
        return given
    content = _content("public_key", given)
    try:
        if len(content) == 32:
            return asymmetric.Ed25519PublicKey.from_public_bytes(content)
        key = serialization.load_pem_public_key(content)
    except ValueError:
        key = None
    if not isinstance(key, asymmetric.Ed25519PublicKey):
        raise OptionError("public_key", "is no Ed25519 public key in PEM form",
                          "take it from the private key: openssl pkey -in key.pem -pubout -out public.pem")
    return key


def _content(option: str, given: Any) -> bytes:
    if isinstance(given, bytes):
        return given
    if not isinstance(given, (str, Path)):
        raise OptionError(option, f"is a {type(given).__name__}", "give a path, bytes, or an Ed25519 key object")
    try:
        return Path(given).read_bytes()
    except OSError as error:
        raise OptionError(option, f"is {str(given)!r}, which can't be read ({error.strerror})",
                          "name a PEM file") from None


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingExtraError("cryptography", "sign") from None
    return ed25519, serialization

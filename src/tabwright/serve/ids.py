"""Prediction ids that need no storage: what was predicted, by which model and when, signed.

An id is 48 characters of base64: 4 bytes of the model's checksum, 4 of the time, 8 unique ones, 2 for the class,
8 for the score, and a 10-byte keyed BLAKE2b. Feedback that names an id therefore tells all that live metrics need,
whichever process or machine predicted, and nothing can be lost between the prediction and its outcome.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import os
import struct
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

_BODY = struct.Struct(">4sI8sHd")
_MAC_BYTES = 10
LENGTH = 48


@dataclass(frozen=True)
class Predicted:
    """What an id tells."""

    tag: str  # first 8 hexadecimal digits of the model file's checksum
    at: int  # seconds since 1970
    nonce: str
    label: int  # position of the predicted class; 0 in regression
    score: float  # the value, P(second class), or the predicted class's probability


class Ids:
    """Makes and reads ids under one secret of 32 bytes."""

    def __init__(self, secret: bytes) -> None:
        self._keyed = hashlib.blake2b(key=secret, digest_size=_MAC_BYTES)
        self._prefix = os.urandom(4)
        self._counter = itertools.count(int.from_bytes(os.urandom(3)))

    def make(self, tag: bytes, labels: list[int], scores: list[float]) -> list[str]:
        """One id per prediction; ``tag`` is the first 4 bytes of the model's checksum."""
        now, pack, prefix, ids = int(time.time()), _BODY.pack, self._prefix, []
        for label, score in zip(labels, scores, strict=True):
            nonce = prefix + (next(self._counter) & 0xFFFFFFFF).to_bytes(4)
            body = pack(tag, now, nonce, label, score)
            mac = self._keyed.copy()
            mac.update(body)
            ids.append(urlsafe_b64encode(body + mac.digest()).decode())
        return ids

    def read(self, text: str) -> Predicted:
        """What an id tells; ValueError if this secret did not make it."""
        if len(text) != LENGTH:
            raise ValueError(text)
        data = urlsafe_b64decode(text)
        body, given = data[: _BODY.size], data[_BODY.size :]
        mac = self._keyed.copy()
        mac.update(body)
        if not hmac.compare_digest(mac.digest(), given):
            raise ValueError(text)
        tag, at, nonce, label, score = _BODY.unpack(body)
        return Predicted(tag.hex(), at, nonce.hex(), label, score)

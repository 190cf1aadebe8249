"""Signing an exported file and refusing what the key's owner has not signed."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tabwright import AutoMLRegressor, load_model, seal, signature
from tabwright.errors import MissingExtraError, ModelFileError, OptionError


@pytest.fixture(scope="module")
def aml(tmp_path_factory):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 3)), columns=list("abc"))
    path = tmp_path_factory.mktemp("signed") / "run"
    made = AutoMLRegressor(
        max_models=1, max_runtime_secs=60, include_families=["linear"], progress=False, export_checkpoints_dir=path
    )
    return made.fit(X, X["a"] + 0.1 * rng.normal(size=200))


@pytest.fixture(scope="module")
def key():
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="module")
def signed(aml, key):
    path = aml.run_dir.parent / "model.onnx"
    aml.export(path, signing_key=key)
    return path


def pem(key, *, password=None):
    how = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_every_form_of_a_key_signs_and_verifies(aml, key, tmp_path):
    row = {"a": 1.0, "b": 0.0, "c": 0.0}
    (tmp_path / "key.pem").write_bytes(pem(key))
    (tmp_path / "public.pem").write_bytes(public_pem(key))
    public = key.public_key()
    expected = None
    for private in (key, pem(key), key.private_bytes_raw(), tmp_path / "key.pem"):
        aml.export(tmp_path / "model.onnx", signing_key=private)
        for given in (public, public_pem(key), public.public_bytes_raw(), str(tmp_path / "public.pem")):
            predicted = load_model(tmp_path / "model.onnx", public_key=given).predict(row)
            expected = predicted if expected is None else expected
            np.testing.assert_array_equal(predicted, expected)
    load_model(tmp_path / "model.onnx")  # and it needs no key


def test_another_key_and_no_signature_are_refused(aml, key, signed, tmp_path):
    with pytest.raises(ModelFileError, match="does not bear the signature"):
        load_model(signed, public_key=Ed25519PrivateKey.generate().public_key())
    aml.export(tmp_path / "plain.onnx")
    with pytest.raises(ModelFileError, match="is not signed"):
        load_model(tmp_path / "plain.onnx", public_key=key.public_key())


def test_an_altered_file_that_was_sealed_again_is_refused(key, signed, tmp_path):
    """A forger can make a new checksum, and not a new signature."""
    data = signed.read_bytes()
    for old, new in ((b'"target"', b'"TARGET"'), (b'"rmse"', b'"RMSE"')):
        assert old in data
        forged = data.replace(old, new)
        position = seal._position(forged, "it")
        forged = seal.seal(forged[:position] + seal.PLACEHOLDER.encode() + forged[position + 64 :])
        (tmp_path / "forged.onnx").write_bytes(forged)
        with pytest.raises(ModelFileError, match="does not bear the signature"):
            load_model(tmp_path / "forged.onnx", public_key=key.public_key())
    at = data.index(signature.KEY.encode()) + len(signature.KEY) + 5
    broken = bytearray(data)
    broken[at] = ord("z")
    (tmp_path / "broken.onnx").write_bytes(bytes(broken))
    with pytest.raises(ModelFileError, match="checksum"):
        load_model(tmp_path / "broken.onnx", public_key=key.public_key())


def test_keys_that_can_not_be_used_are_named(aml, signed, key, tmp_path):
    for wrong, reason in (
        (tmp_path / "none.pem", "can't be read"), (b"text", "no Ed25519 private key"), (7, "is a int"),
        (pem(key, password=b"secret"), "protected by a password"), (public_pem(key), "no Ed25519 private key"),
    ):  # fmt: skip
        with pytest.raises(OptionError, match=reason):
            aml.export(tmp_path / "model.onnx", signing_key=wrong)
    assert not (tmp_path / "model.onnx").exists()
    with pytest.raises(OptionError, match="no Ed25519 public key"):
        load_model(signed, public_key=pem(key))


def test_without_the_extra_it_is_named(signed, key, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(MissingExtraError, match=r"tabwright\[sign\]"):
        load_model(signed, public_key=public_pem(key))


def test_openssl_keys_on_the_command_line(aml, key, tmp_path):
    private, public, model = tmp_path / "key.pem", tmp_path / "public.pem", tmp_path / "model.onnx"
    private.write_bytes(pem(key))
    public.write_bytes(public_pem(key))
    (tmp_path / "rows.csv").write_text("a,b,c\n1,2,3\n")

    def run(*arguments):
        command = [sys.executable, "-m", "tabwright.cli.main", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("export", aml.run_dir, "--out", model, "--signing-key", private)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out.csv"
    done = run("predict", model, tmp_path / "rows.csv", "--out", out, "--public-key", public)
    assert done.returncode == 0 and out.exists(), done.stderr
    public.write_bytes(public_pem(Ed25519PrivateKey.generate()))
    done = run("predict", model, tmp_path / "rows.csv", "--out", out, "--public-key", public)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "does not bear the signature" in done.stderr

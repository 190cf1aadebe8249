"""What the server is told: one frozen record, handed to worker processes through the environment."""

from __future__ import annotations

import ipaddress
import json
import math
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tabwright.errors import OptionError

VARIABLE = "TABWRIGHT_SERVE_CONFIG"
ANONYMOUS = "TABWRIGHT_ALLOW_ANONYMOUS"
MIB = 1 << 20


@dataclass(frozen=True)
class Config:
    """Options of ``tabwright serve``.

    Parameters
    ----------
    models : tuple of str
        Exported files, folders of them, or ``NAME=PATH``.
    host, port, workers
        Where to listen, with how many processes.
    store : str
        SQLite file, or a ``postgresql://`` URL, for counts, feedback and alerts.
    keys : str or None
        File of hashed API keys; None leaves the server open.
    allow_anonymous : bool
        Whether it may be open on an address that other machines reach.
    tls_cert, tls_key : str or None
        PEM files.
    public_key : str or None
        PEM file; only models that its owner has signed are loaded.
    strict : bool
        Refuse categories never seen in training.
    max_body_mib, max_rows, max_seconds : float, int, float
        Limits of one request.
    max_in_flight : int
        Requests that one process holds at once; beyond them the answer is 503.
    reload_s : float
        How often files are looked at; 0 for never.
    window_s : int
        Length of the window for drift and live metrics.
    evaluate_s : float
        How often drift, live metrics and alerts are worked out.
    """

    models: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    store: str = ""
    keys: str | None = None
    allow_anonymous: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    strict: bool = False
    public_key: str | None = None
    max_body_mib: float = 8.0
    max_rows: int = 100_000
    max_seconds: float = 30.0
    max_in_flight: int = 256
    reload_s: float = 2.0
    window_s: int = 3600
    evaluate_s: float = 10.0

    @property
    def max_body_bytes(self) -> int:
        return int(self.max_body_mib * MIB)

    def to_environment(self) -> None:
        """Leave the record for this process's children."""
        os.environ[VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Config:
        record: dict[str, Any] = json.loads(os.environ[VARIABLE])
        return cls(**(record | {"models": tuple(record["models"])}))


def checked(config: Config, environment: Mapping[str, str] = os.environ) -> Config:
    """The record with the platform's defaults filled in.

    Raises
    ------
    OptionError
        For limits that are not positive, TLS files that are not there, and an open server on an outside address.
    """
    for name in ("workers", "max_body_mib", "max_rows", "max_seconds", "max_in_flight", "window_s", "evaluate_s"):
        value = getattr(config, name)
        if not (value > 0 and math.isfinite(value)):
            raise OptionError("--" + name.replace("_", "-"), f"is {value}", "give a number above 0")
    if not 0 <= config.port <= 65535:
        raise OptionError("--port", f"is {config.port}", "give a port from 1 to 65535")
    if (config.tls_cert is None) != (config.tls_key is None):
        raise OptionError("--tls-cert", "and --tls-key go together", "give both, or neither")
    for option, path in (("--tls-cert", config.tls_cert), ("--tls-key", config.tls_key), ("--keys", config.keys),
                         ("--public-key", config.public_key)):
        if path is not None and not Path(path).is_file():
            raise OptionError(option, f"is {path!r}, and there is no such file", "name a file that exists")
    if config.tls_cert is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_cert, config.tls_key)
        except (ssl.SSLError, OSError) as error:
            raise OptionError("--tls-cert", f"and --tls-key are no certificate and its key ({error})",
                              "give two files in PEM form that belong together") from None  # fmt: skip
    if set(config.host) <= set("0123456789.") and not _numeric(config.host):
        raise OptionError("--host", f"is {config.host!r}, which is no address", "give one such as 127.0.0.1 or 0.0.0.0")
    anonymous = config.allow_anonymous or environment.get(ANONYMOUS) == "1"
    if config.keys is None and not anonymous and not is_loopback(config.host):
        raise OptionError(
            "--host", f"is {config.host!r}, which other machines reach, and no API key is asked for",
            f"give --keys FILE (tabwright keys makes one), or --allow-anonymous (or {ANONYMOUS}=1) "
            "where the platform in front checks who calls",
        )  # fmt: skip
    models = config.models or default_models(environment)
    if not models:
        raise OptionError("MODEL", "is missing", "name exported .onnx files or a folder of them")
    return replace(config, models=models, allow_anonymous=anonymous)


def default_models(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Where cloud platforms put a model: Azure ML's folder by its variable, SageMaker's by its fixed path."""
    for folder in (environment.get("TABWRIGHT_MODELS"), environment.get("AZUREML_MODEL_DIR"), "/opt/ml/model"):
        if folder and Path(folder).is_dir():
            return (folder,)
    return ()


def default_port(environment: Mapping[str, str] = os.environ) -> int:
    """The port that Vertex AI or SageMaker asks for; 8080 elsewhere."""
    for name in ("AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT"):
        if environment.get(name, "").isdigit():
            return int(environment[name])
    return 8080


def _numeric(host: str) -> bool:
    """Whether digits and dots are an address, which may be spelled shorter than in full."""
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

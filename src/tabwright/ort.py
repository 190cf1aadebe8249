"""The one place that imports onnxruntime: without its telemetry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tabwright.errors import MissingExtraError


def session(model: bytes, n_threads: int, profile: Path | None = None) -> Any:
    """An onnxruntime session of a serialised model, on the processor; MissingExtraError without onnxruntime.

    With ``profile``, times of each operator are written to a file whose name begins so.

    From 1.29 on onnxruntime tells its makers about processes, models and errors by default, on Linux too. It is told
    not to before it is loaded, unless the user has set ``ORT_DISABLE_TELEMETRY`` or loaded it before.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime as ort
    except ImportError:
        raise MissingExtraError("onnxruntime", "all") from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

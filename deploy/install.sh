#!/bin/sh
# Install the scoring server alone into a new virtual environment: sh deploy/install.sh FOLDER, from the project's root.
# The wheel's hard dependencies are the training libraries, so it is installed without them.
set -eu
python3 -m venv "$1"
"$1/bin/python" -m pip install --quiet --no-cache-dir --requirement deploy/requirements-serve.txt
"$1/bin/python" -m pip install --quiet --no-cache-dir --no-deps .
[ -f deploy/container ] && install -m 755 deploy/container "$1/bin/container"
# what scoring never imports: libraries' own tests, and onnxruntime's tools for making models
find "$1"/lib/python3*/site-packages -depth -type d -name tests -exec rm -r {} +
for part in backend datasets quantization tools transformers; do rm -rf "$1"/lib/python3*/site-packages/onnxruntime/$part; done
"$1/bin/python" -m pip uninstall --quiet --yes pip setuptools 2>/dev/null || true

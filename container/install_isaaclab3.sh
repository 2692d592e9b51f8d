#!/usr/bin/env bash
# Installs what the image `isaaclab-3` holds into a Python 3.12: `install_isaaclab3.sh PYTHON REQUIREMENTS`.
# A script, so that the same can be tried in a virtual environment where there is no Docker.
set -euo pipefail
python="$1" requirements="$2"
pip=("${python}" -m pip install --no-cache-dir --no-deps --require-hashes)
# What has no wheel is built with the setuptools that is pinned. Nothing is resolved: Isaac Lab asks for more than Newton
# needs, gigabytes of it.
build="$(mktemp)"
grep '^setuptools==' "${requirements}" > "${build}"
"${pip[@]}" -r "${build}"
"${pip[@]}" --no-build-isolation -r "${requirements}"
rm "${build}"

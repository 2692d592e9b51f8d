#!/usr/bin/env bash
# Becomes the runner: `entrypoint.sh <run_id>`. No shell is left between Docker's signals and it.
# An end here is an attempt that said nothing, which AWS Batch makes again.
# `entrypoint.sh agent <arguments>` becomes the agent of a cluster instead.
set -euo pipefail

fail() {
    echo "gaitway: $1" >&2
    exit 1
}

[[ ${1:-} == agent || ($# -eq 1 && -n $1) ]] ||
    fail "the command must be the id of a run, and nothing else; got: $*"
: "${GAITWAY_PYTHON:?gaitway: the image must set it to the interpreter of the runner}"
[[ -x $GAITWAY_PYTHON ]] || fail "there is no interpreter $GAITWAY_PYTHON: build the image from container/Dockerfile"
if [[ $1 == agent ]]; then
    # It has the runner's libraries, and starts no simulator that has others.
    export PYTHONPATH="${GAITWAY_LIBRARIES:+$GAITWAY_LIBRARIES:}${PYTHONPATH:-/opt/gaitway/src}"
    exec "$GAITWAY_PYTHON" -P -m gaitway.agent "${@:2}"
fi
: "${GAITWAY_EFS_ROOT:?gaitway: the job definition must set it to where the file system is mounted}"
if [[ ${GAITWAY_BACKEND:-} == sagemaker && ! -d $GAITWAY_EFS_ROOT ]]; then
    # SageMaker mounts the whole file system. The first job of a deployment makes the runs' directory as the access point
    # would, through which everyone else mounts it; only root may give it away.
    [[ $EUID -eq 0 ]] && owner=(-o 1000 -g 1000) || owner=()
    install -d -m 750 "${owner[@]}" "$GAITWAY_EFS_ROOT" || fail "$GAITWAY_EFS_ROOT cannot be made: is EFS mounted there?"
fi
[[ -d $GAITWAY_EFS_ROOT && -w $GAITWAY_EFS_ROOT ]] ||
    fail "$GAITWAY_EFS_ROOT is no directory that can be written to: the job definition must mount the file system there"
if [[ ${GAITWAY_SIMULATOR:-} == isaaclab2 && ! -e ${GAITWAY_GPU_DEVICE:-/dev/nvidiactl} ]]; then
    fail "there is no GPU in this container: the job must ask for one, on an instance whose image has NVIDIA's driver"
fi

exec "$GAITWAY_PYTHON" -P -m gaitway.runner.start "$1"

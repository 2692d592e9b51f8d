#!/usr/bin/env bash
# HyperPod runs this as root on each node of a Slurm cluster that a deployment has made, when it has configured Slurm
# there (`OnInitComplete`: docs.aws.amazon.com/sagemaker/latest/APIReference/API_ClusterLifeCycleConfig.html). What
# differs from one deployment to the next is in gaitway.json, which the deployment puts beside it.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
told() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$here/gaitway.json" "$1"
}

# The AMI's system is Ubuntu; amazon-efs-utils has its own installer for it, and Python 3.11 is a package.
# docs.aws.amazon.com/efs/latest/ug/installing-amazon-efs-utils.html
if ! command -v mount.efs > /dev/null; then
    curl --fail --silent --show-error --retry 5 https://amazon-efs-utils.aws.com/efs-utils-installer.sh | sh -s -- --install
fi
if ! python3.11 -c 'import ensurepip' 2> /dev/null; then
    apt-get -o DPkg::Lock::Timeout=300 update --quiet
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install --quiet --yes python3.11 python3.11-venv
fi
package=/opt/gaitway-package.zip
aws s3 cp --only-show-errors "$(told package)" "$package"
# It reads the controller's group from here.
export GAITWAY_PARAMETERS="$here/gaitway.json"
exec bash "$here/gaitway.sh" "$(told deployment)" "$(told region)" "$package"

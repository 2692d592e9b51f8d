#!/usr/bin/env bash
# First steps of an instance, before the ECS agent starts: run once, by cloud-init, as root.
# The variables are for tests.
set -euo pipefail

ecs_config="${GAITWAY_ECS_CONFIG:-/etc/ecs/ecs.config}"
cache="${GAITWAY_CACHE:-/var/cache/gaitway}"
devices="${GAITWAY_DEVICES:-/dev/infiniband}"
machine="${GAITWAY_MACHINE_FILE:-/etc/gaitway/machine.json}"
metadata="${GAITWAY_METADATA_SERVICE:-http://169.254.169.254}"

# AWS Batch appends its own settings. Containers with a network interface of their own do not reach the instance's
# metadata, where credentials of its role are. An image that is here is not pulled again: jobs name it by its digest,
# and a pull takes minutes. The agent would delete it when it is an hour old and no container uses it.
# docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html
mkdir -p "$(dirname "$ecs_config")"
cat >>"$ecs_config" <<'CONFIG'
ECS_AWSVPC_BLOCK_IMDS=true
ECS_IMAGE_PULL_BEHAVIOR=prefer-cached
ECS_IMAGE_MINIMUM_CLEANUP_AGE=168h
CONFIG

# Shaders and assets that one job has made or fetched are there for the next one, whoever its container runs as.
mkdir -p "$cache"
chmod 1777 "$cache"

# What a run has cost is reckoned by the machines that it had, and containers do not reach the metadata themselves. A
# run without this file goes on without a cost, and so does a boot.
# docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
ask() {
    curl -fsS --max-time 5 --retry 3 -H "X-aws-ec2-metadata-token: $token" "$metadata/latest/meta-data/$1"
}
if token="$(curl -fsS --max-time 5 --retry 3 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/latest/api/token")" &&
    type="$(ask instance-type)" && purchase="$(ask instance-life-cycle)"; then
    [[ $purchase == spot ]] || purchase=on-demand
    mkdir -p "$(dirname "$machine")"
    printf '{"instanceType": "%s", "purchase": "%s"}\n' "$type" "$purchase" >"$machine"
    chmod 0644 "$machine"
else
    echo "the instance's metadata does not tell what it is" >&2
fi

# The containers of multi-node jobs are given this device, and Docker starts none whose device is missing. Without an
# adapter a node of the device's own number stands there: opening it fails, and NCCL takes the network instead.
modprobe efa || echo "no driver for Elastic Fabric Adapters" >&2
if [[ ! -e "$devices/uverbs0" ]]; then
    mkdir -p "$devices"
    mknod -m 0600 "$devices/uverbs0" c 231 192
fi

#!/usr/bin/env bash
# First steps of an instance, before the ECS agent starts: run once, by cloud-init, as root.
# The variables are for tests.
set -euo pipefail

ecs_config="${GAITWAY_ECS_CONFIG:-/etc/ecs/ecs.config}"
cache="${GAITWAY_CACHE:-/var/cache/gaitway}"
devices="${GAITWAY_DEVICES:-/dev/infiniband}"
machine="${GAITWAY_MACHINE_FILE:-/etc/gaitway/machine.json}"
metadata="${GAITWAY_METADATA_SERVICE:-http://169.254.169.254}"

# The simulator runs the code of users, as a user of its own (GAITWAY_SIMULATOR_UID in container/Dockerfile). A job of
# one node is in the instance's own network (docs.aws.amazon.com/batch/latest/userguide/networking-modes-jobs.html), so
# that only rules for this user keep it from the credentials: those of the instance's role, in its metadata; and those
# of the job's role, which the ECS agent gives at 169.254.170.2, an address that OUTPUT of the table nat turns into a
# port of the agent's own before this chain sees it (github.com/aws/amazon-ecs-agent/blob/master/README.md).
simulator_uid=10001
forbid() {
    iptables --wait --insert OUTPUT --match owner --uid-owner "$simulator_uid" "$@" --jump REJECT
}
if ! { forbid --destination 169.254.169.254 && forbid --destination 169.254.170.2 &&
    forbid --protocol tcp --destination-port 51678:51680; }; then
    echo "the simulator's user cannot be kept from the instance's credentials: this instance takes no jobs" >&2
    systemctl mask --now ecs
    exit 1
fi

# AWS Batch appends its own settings. Containers with a network interface of their own, which the rules above do not
# see, do not reach the instance's metadata. An image that is here is not pulled again: jobs name it by its digest,
# and a pull takes minutes. The agent would delete it when it is an hour old and no container uses it.
# A pull is given up where its layers, of many GB, are not unpacked a minute after they have arrived: the agent's default
# of ECS_IMAGE_PULL_INACTIVITY_TIMEOUT, github.com/aws/amazon-ecs-agent/blob/master/README.md
# docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html
mkdir -p "$(dirname "$ecs_config")"
cat >>"$ecs_config" <<'CONFIG'
ECS_AWSVPC_BLOCK_IMDS=true
ECS_IMAGE_PULL_BEHAVIOR=prefer-cached
ECS_IMAGE_MINIMUM_CLEANUP_AGE=168h
ECS_IMAGE_PULL_INACTIVITY_TIMEOUT=15m
CONFIG

# Shaders and assets that one job has made or fetched are there for the next one, whoever its container runs as.
mkdir -p "$cache"
chmod 1777 "$cache"

# What a run has cost is reckoned by the machines that it had, and the containers of several nodes do not reach the
# metadata. A run without this file goes on without a cost, and so does a boot.
# docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
ask() {
    curl -fsS --max-time 5 --retry 3 -H "X-aws-ec2-metadata-token: $token" "$metadata/latest/meta-data/$1"
}
if token="$(curl -fsS --max-time 5 --retry 3 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/latest/api/token")" &&
    id="$(ask instance-id)" && type="$(ask instance-type)" && purchase="$(ask instance-life-cycle)"; then
    [[ $purchase == spot ]] || purchase=on-demand
    mkdir -p "$(dirname "$machine")"
    printf '{"instanceId": "%s", "instanceType": "%s", "purchase": "%s"}\n' "$id" "$type" "$purchase" >"$machine"
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

#!/usr/bin/env bash
# Prepares a node of a HyperPod cluster with Slurm for Gaitway, as root: `gaitway.sh DEPLOYMENT REGION PACKAGE`.
# The cluster's own lifecycle script calls it at its end, when Slurm runs. PACKAGE is what pip installs on the controller:
# gaitway's wheel. It may be run again. The variables are for tests.
set -euo pipefail

[[ $# -eq 3 ]] || { echo "usage: gaitway.sh DEPLOYMENT REGION PACKAGE" >&2; exit 2; }
deployment="$1" region="$2" package="$3"
root="${GAITWAY_ROOT:-}"
parameters="${GAITWAY_PARAMETERS:-/opt/ml/config/provisioning_parameters.json}"
resources="${GAITWAY_RESOURCES:-/opt/ml/config/resource_config.json}"
here="${GAITWAY_HERE:-$(hostname -I)}"

# What the deployment says of itself: the agent reads the same.
config="$(aws ssm get-parameter --region "$region" --name "/$deployment/agent/hyperpod-slurm" \
    --query Parameter.Value --output text)"
told() {
    python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$config" "$1"
}
file_system="$(told file_system)" access_point="$(told access_point)" mount_point="$(told efs_root)"

# Which of the groups this node is in, and of which type: from the files that AWS's own script reads for that
# (github.com/aws-samples/awsome-distributed-training, LifecycleScripts/base-config/lifecycle_script.py).
read -r group type < <(python3 - "$resources" "$here" <<'PYTHON'
import json
import sys

addresses = sys.argv[2].split()
for group in json.load(open(sys.argv[1]))["InstanceGroups"]:
    if any(instance.get("CustomerIpAddress") in addresses for instance in group["Instances"]):
        print(group["Name"], group.get("InstanceType", ""))
        break
else:
    sys.exit(f"none of {sys.argv[1]} has one of the addresses {', '.join(addresses)}")
PYTHON
)
controllers="$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["controller_group"])' "$parameters")"

mkdir -p "$root/etc/gaitway" "$root/var/cache/gaitway" "$root$mount_point"
chmod 1777 "$root/var/cache/gaitway"
# A run without this file goes on without a cost.
if [[ -n $type ]]; then
    printf '{"instanceType": "%s", "purchase": "on-demand"}\n' "$type" > "$root/etc/gaitway/machine.json"
fi

# The simulator runs users' code as a user of its own (GAITWAY_SIMULATOR_UID in container/Dockerfile), which must not
# get the credentials of the node's role, also after the node has started again. Deployments that share a cluster share it.
cat > "$root/etc/systemd/system/gaitway-metadata.service" << 'UNIT'
[Unit]
Description=Gaitway: no credentials of this node for the simulator's user
Before=slurmd.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/iptables --wait --insert OUTPUT --match owner --uid-owner 10001 --destination 169.254.169.254 --jump REJECT
ExecStop=/usr/sbin/iptables --wait --delete OUTPUT --match owner --uid-owner 10001 --destination 169.254.169.254 --jump REJECT

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now gaitway-metadata.service

# By TLS, and with the role: docs.aws.amazon.com/efs/latest/ug/mounting-access-points.html, mounting-IAM-option.html
if ! command -v mount.efs > /dev/null; then
    echo "there is no mount.efs: install amazon-efs-utils first" \
        "(docs.aws.amazon.com/efs/latest/ug/installing-amazon-efs-utils.html)" >&2
    exit 1
fi
line="$file_system:/ $mount_point efs _netdev,tls,iam,accesspoint=$access_point 0 0"
grep -qsxF "$line" "$root/etc/fstab" || echo "$line" >> "$root/etc/fstab"
mountpoint -q "$mount_point" || mount "$mount_point"

[[ $group == "$controllers" ]] || exit 0

# The controller has the agent; it has a Python of its own, since the system's may be older.
# Deployments may share a cluster: each has an agent, and a directory for its file system.
environment="$root/opt/$deployment"
[[ -x $environment/bin/python ]] || "${GAITWAY_PYTHON:-python3.11}" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --upgrade "$package"
cat > "$root/etc/systemd/system/$deployment-agent.service" <<UNIT
[Unit]
Description=Gaitway's agent: jobs of the deployment $deployment
After=network-online.target slurmctld.service
Wants=network-online.target
RequiresMountsFor=$mount_point

[Service]
ExecStart=$environment/bin/gaitway agent --scheduler slurm --deployment $deployment
Environment=AWS_REGION=$region AWS_DEFAULT_REGION=$region
Environment=PATH=/opt/slurm/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable "$deployment-agent.service"
systemctl restart "$deployment-agent.service"

#!/usr/bin/env bash
# HyperPod runs this as root on each node of an EKS cluster that a deployment has made, when it has configured the node
# (`OnInitComplete`: docs.aws.amazon.com/sagemaker/latest/APIReference/API_ClusterLifeCycleConfig.html).
# Pods run users' code, and get their credentials by pod identity: the node's own, which the instance's metadata offers,
# are kept from them, also after the node has started again.
# docs.aws.amazon.com/eks/latest/best-practices/identity-and-access-management.html
# The variable is for tests.
set -euo pipefail

cat > "${GAITWAY_ROOT:-}/etc/systemd/system/gaitway-metadata.service" << 'UNIT'
[Unit]
Description=Gaitway: no credentials of this node for pods
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/iptables --wait --insert FORWARD 1 --in-interface eni+ --destination 169.254.169.254/32 --jump DROP
ExecStop=/usr/sbin/iptables --wait --delete FORWARD --in-interface eni+ --destination 169.254.169.254/32 --jump DROP

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now gaitway-metadata.service

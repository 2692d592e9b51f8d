"""A stand-in for a HyperPod EKS cluster: no Kubernetes, but what our jobs and `kubectl` need of one.

It has an API server (discovery, create, get, list, watch, patch, delete, logs, roles), Kueue's admission, the Training
Operator, and a kubelet whose containers are processes of this machine. It is as strict as the real ones, or stricter:
it refuses an unknown field, a name that exists, an old resource version and a right that is missing, and a pod waits
for an image, a claim or a node that does not exist. What it leaves unproven is in docs/fidelity.md.
"""

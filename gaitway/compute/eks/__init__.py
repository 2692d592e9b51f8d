"""Kubernetes, as HyperPod's EKS clusters have it: the manifests of a run, and what the status of its job says."""

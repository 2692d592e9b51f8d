"""What a failed build of the image says: recorded lines of CodeBuild, Docker and the registries."""

from __future__ import annotations

import pytest

from lambdas.build_image.known_failures import KNOWN_FAILURES, cure_of

_IMAGE = "nvcr.io/nvidia/isaac-lab:2.3.2"
RECORDED = {
    # github.com/nv-tlabs/Fixer/issues/5
    "needs an account": (
        f"ERROR: failed to build: failed to solve: {_IMAGE}: failed to resolve source metadata for {_IMAGE}: "
        "unexpected status from HEAD request to https://nvcr.io/v2/nvidia/isaac-lab/manifests/2.3.2: 401 Unauthorized",
        "set ngcSecretArn",
    ),
    # github.com/NVIDIA/TensorRT-LLM/issues/419
    "gives no anonymous token": (
        "ERROR: failed to solve: failed to fetch anonymous token: unexpected status: 401 Unauthorized",
        "set ngcSecretArn",
    ),
    # github.com/NVIDIA-ISAAC-ROS/isaac_ros_common/issues/82
    "gives no anonymous token, older Docker": (
        "failed to solve with frontend dockerfile.v0: failed to create LLB definition: failed to authorize: rpc error: "
        "code = Unknown desc = failed to fetch anonymous token: unexpected status: 401 Unauthorized",
        "set ngcSecretArn",
    ),
    "forbids the image": (
        f"ERROR: failed to solve: {_IMAGE}: failed to resolve source metadata for {_IMAGE}: unexpected status from "
        "HEAD request to https://nvcr.io/v2/nvidia/isaac-lab/manifests/2.3.2: 403 Forbidden",
        "the key's account has no access",
    ),
    "too many requests to nvcr.io": (
        f"ERROR: failed to solve: {_IMAGE}: failed to resolve source metadata for {_IMAGE}: unexpected status from "
        "HEAD request to https://nvcr.io/v2/nvidia/isaac-lab/manifests/2.3.2: 429 Too Many Requests",
        "wait for an hour",
    ),
    # github.com/artifact-keeper/artifact-keeper/issues/315 has these words of Docker for another registry
    "key is refused": (
        "Error response from daemon: login attempt to https://nvcr.io/v2/ failed with status: 401 Unauthorized",
        "does not take the API key",
    ),
    "key is refused, older Docker": (
        'Error response from daemon: Get "https://nvcr.io/v2/": unauthorized: authentication required',
        "does not take the API key",
    ),
    "secret may not be read": (
        "An error occurred (AccessDeniedException) when calling the GetSecretValue operation: Access to KMS is not "
        "allowed",
        "may not read the secret",
    ),
    "secret is gone": (
        "An error occurred (ResourceNotFoundException) when calling the GetSecretValue operation: Secrets Manager "
        "can't find the specified secret.",
        "check its ARN",
    ),
    "image is gone": (f"ERROR: failed to solve: {_IMAGE}: not found", "no such image any more"),
    # github.com/aws/aws-cdk/issues/23923
    "too many requests to ECR Public": ("toomanyrequests: Rate exceeded", "ECR Public"),
    # github.com/rapidsai/ci-imgs/issues/427
    "too many requests to Docker Hub": (
        "#3 ERROR: unexpected status from HEAD request to https://registry-1.docker.io/v2/library/python/manifests/"
        "3.11.14-slim-bookworm: 429 Too Many Requests",
        "Docker Hub",
    ),
    # github.com/aws-samples/aws-modern-application-workshop/issues/237
    "pull rate limit of Docker Hub": (
        "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and "
        "upgrading: https://www.docker.com/increase-rate-limit",
        "Docker Hub",
    ),
    # www.flightcontrol.dev/docs/troubleshooting/codebuild-concurrency
    "no build at a time": (
        "An error occurred (AccountLimitExceededException) when calling the StartBuild operation: Cannot have more "
        "than 0 builds in queue for the account",
        "Linux/Large builds",
    ),
    "key of the sources": (
        "User: arn:aws:sts::123456789012:assumed-role/GaitwayCompute-BuildRole/AWSCodeBuild-1 is not authorized to "
        "perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:123456789012:key/1 because no resource-based policy "
        "allows the kms:Decrypt action",
        "bootstrap bucket",
    ),
    "disk is full": (
        "failed to register layer: write /isaac-sim/extscache/omni.usd.so: no space left on device",
        "disk of the build is full",
    ),
    "push is denied": (
        "denied: User: arn:aws:sts::123456789012:assumed-role/GaitwayCompute-BuildRole/AWSCodeBuild-1 is not "
        "authorized to perform: ecr:InitiateLayerUpload on resource: "
        "arn:aws:ecr:eu-west-1:123456789012:repository/gaitway because no permissions boundary allows the "
        "ecr:InitiateLayerUpload action",
        "denies the build access to the image repository",
    ),
    "server is not reached": (
        "#9 12.31 curl: (6) Could not resolve host: efa-installer.amazonaws.com",
        "deploy again",
    ),
    "library is gone": (
        "#12 3.20 ERROR: No matching distribution found for pydantic==2.99.0",
        "not on the package index",
    ),
}


@pytest.mark.parametrize(("line", "cure"), RECORDED.values(), ids=RECORDED)
def test_a_recorded_failure_is_told_with_its_cure(line: str, cure: str) -> None:
    found = cure_of(["#1 [internal] load build definition from Dockerfile", line, "------"])
    assert found is not None
    assert cure in found


def test_every_known_failure_was_recorded() -> None:
    found = {cure_of([line]) for line, _ in RECORDED.values()}
    assert {known.cure for known in KNOWN_FAILURES} <= found


def test_an_account_of_docker_hub_is_not_taken_for_one_of_nvidia() -> None:
    line = (
        "ERROR: failed to solve: python:3.11: failed to authorize: failed to fetch oauth token: unexpected status from "
        "GET request to https://auth.docker.io/token?scope=repository%3Alibrary%2Fpython%3Apull: 401 Unauthorized"
    )
    assert cure_of([line]) is None


@pytest.mark.parametrize("line", ["Step 1 of 14 is done", "#5 extracting sha256:429401403", "exit status 1"])
def test_what_is_not_known_has_no_cure(line: str) -> None:
    assert cure_of([line]) is None

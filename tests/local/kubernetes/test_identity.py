"""A pod gets the credentials of its service account's role, and nobody else does."""

from __future__ import annotations

import json
import stat
import urllib.error
import urllib.request

import pytest

from gaitway.compute.eks.manifests import run_manifests
from gaitway.names import DEFAULT_NAMES
from tests.local.kubernetes.conftest import NAMESPACE, Desk
from tests.unit.compute.eks.settings import eks, order


def credentials(desk: Desk, token: str) -> dict[str, str]:
    """Ask as the AWS SDKs do."""
    headers = {"Authorization": token}
    request = urllib.request.Request(desk.cluster.identity_url, headers=headers)  # noqa: S310 - this machine
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        found: dict[str, str] = json.load(answer)
    return found


def test_a_pods_token_is_for_its_own_role(ready: Desk) -> None:
    (ready.volume / "succeeds_at").write_text("99")
    ready.apply(*run_manifests(order(), eks()))
    pod = ready.running()
    token = ready.directory / "pods" / pod["metadata"]["uid"] / "identity" / "eks-pod-identity-token"
    assert credentials(ready, token.read_text()) == {"AccessKeyId": f"{NAMESPACE}/gaitway-runner"}
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


@pytest.mark.parametrize(("account", "code"), [(DEFAULT_NAMES.agent_account, 403), (None, 401)])
def test_without_an_association_or_a_token_there_are_none(ready: Desk, account: str | None, code: int) -> None:
    token = ready.cluster.access.account_token(NAMESPACE, account) if account else "guessed"
    with pytest.raises(urllib.error.HTTPError, match=str(code)) as raised:
        credentials(ready, token)
    raised.value.close()

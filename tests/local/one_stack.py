"""One stack of ours, deployed by the emulator's own CloudFormation: the real template, functions and policies."""

from __future__ import annotations

import io
import json
import queue
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gaitway.local.runtime import ACCOUNT_ID, REGION
from gaitway.settings import Settings
from tests.local.emulator import Emulator
from tests.serving import Handler, serving

if TYPE_CHECKING:
    import aws_cdk as cdk

Json = dict[str, Any]
SETTINGS = Settings.model_validate({"acceptNvidiaEula": True, "lambdaPython": "host", "tracing": False})
"""With which functions run in the emulator."""


class OneStack:
    """A stack as it is synthesised, and what CloudFormation makes of it.

    Attributes:
        template: Its template.
    """

    def __init__(self, emulator: Emulator, stack: cdk.Stack) -> None:
        """Synthesise the app that the stack is in, and upload what it needs."""
        app = cast("cdk.App", stack.node.root)
        directory = Path(app.synth().directory)
        self._name = stack.stack_name
        self._cloudformation = emulator.client("cloudformation")
        self._upload_assets(emulator.client("s3"), directory)
        self.template: Json = json.loads((directory / f"{self._name}.template.json").read_text(encoding="utf-8"))
        # Which bootstrap stack there must be: the emulator has none.
        self.template["Parameters"] = {}
        self.template.pop("Rules", None)

    def deploy(self, template: Json) -> Json:
        """Create or update the stack; return how it stands when that has ended."""
        exists = any(stack["StackName"] == self._name for stack in self._cloudformation.describe_stacks()["Stacks"])
        call = self._cloudformation.update_stack if exists else self._cloudformation.create_stack
        call(StackName=self._name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"])
        waiter = self._cloudformation.get_waiter("stack_update_complete" if exists else "stack_create_complete")
        try:
            waiter.wait(StackName=self._name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})
        except Exception:
            stack = self._describe()
            assert "ROLLBACK" in stack["StackStatus"], stack
            return stack
        return self._describe()

    def delete(self) -> None:
        """Delete the stack, and wait until it is gone."""
        self._cloudformation.delete_stack(StackName=self._name)
        waiter = self._cloudformation.get_waiter("stack_delete_complete")
        waiter.wait(StackName=self._name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})

    def reasons(self) -> list[str]:
        """List what CloudFormation says of the resources, the newest first."""
        events = self._cloudformation.describe_stack_events(StackName=self._name)["StackEvents"]
        return [event.get("ResourceStatusReason", "") for event in events]

    def _describe(self) -> Json:
        stack: Json = self._cloudformation.describe_stacks(StackName=self._name)["Stacks"][0]
        return stack

    def _upload_assets(self, s3: Any, directory: Path) -> None:
        """Do what `cdk deploy` does before it deploys."""
        files = json.loads((directory / f"{self._name}.assets.json").read_text(encoding="utf-8"))["files"]
        bucket = f"cdk-hnb659fds-assets-{ACCOUNT_ID}-{REGION}"
        s3.create_bucket(Bucket=bucket)
        for asset in files.values():
            if asset["source"]["packaging"] == "zip":
                (destination,) = asset["destinations"].values()
                content = packed(directory / asset["source"]["path"])
                s3.put_object(Bucket=bucket, Key=destination["objectKey"], Body=content)


@contextmanager
def answers_received() -> Iterator[tuple[str, queue.Queue[Json]]]:
    """Wait for the answers of a custom resource's function, as CloudFormation does: give their address, and them."""
    answers: queue.Queue[Json] = queue.Queue()

    class Receive(Handler):
        def put(self) -> None:
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(200)

    with serving(Receive) as address:
        yield f"{address}/", answers


def packed(directory: Path) -> bytes:
    """Pack a directory as a Lambda function's code is packed."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(directory.rglob("*")):
            archive.write(path, path.relative_to(directory))
    return content.getvalue()

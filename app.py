"""Entry point of the CDK: settings → stacks → checks → synth. It calls no AWS service."""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import aws_cdk as cdk

    from gaitway.settings import SettingsError, load_settings
    from stacks.assembly import assemble
except ModuleNotFoundError as error:
    sys.exit(
        f"gaitway: the stacks need {error.name}, which {sys.executable} does not have: run `make setup` and use "
        ".venv/bin/python, or run `pip install --editable '.[deploy]'`"
    )

if __name__ == "__main__":
    app = cdk.App()
    try:
        assemble(app, load_settings(app.node.get_all_context(), Path(__file__).parent))
    except SettingsError as error:
        sys.exit(f"gaitway: {error}")
    app.synth()

"""The image's entry point: the runner, with the libraries that it was tested with.

    python -P -m gaitway.runner.start <run_id>

They are in a directory that comes before the interpreter's packages. A simulator that the runner starts with the
same interpreter finds its own packages first: Isaac Lab's pins stay as they are.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    libraries = os.environ.get("GAITWAY_LIBRARIES")
    if libraries:
        sys.path.insert(0, libraries)
    from gaitway.runner.__main__ import main

    sys.exit(main())

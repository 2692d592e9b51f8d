"""What the image's entry point becomes: the runner, with the libraries that it was tested with.

    python -P -m container.start <run_id>

They lie in a directory of their own, before whatever the interpreter has. A simulator that the runner starts with the
same interpreter has them only behind its own: Isaac Lab's pins stay as they are.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    libraries = os.environ.get("GAITWAY_LIBRARIES")
    if libraries:
        sys.path.insert(0, libraries)
    from container.runner.__main__ import main

    sys.exit(main())

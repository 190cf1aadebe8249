"""``python -m tabwright.ui.child CODE_FILE COMMAND…``: runs a tabwright command and leaves its exit code in a file.

A job must not end with the server, and a later server must learn how it ended. So nobody waits for it: it is started
in a session of its own and writes its exit code itself.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path


def main() -> int:
    # by name, because the commands are a layer above this one
    command_line = importlib.import_module("tabwright.cli.main")
    code = 1
    try:
        code = int(command_line.main(sys.argv[2:]))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        path = Path(sys.argv[1])
        temporary = path.with_suffix(".tmp")
        temporary.write_text(str(code))
        temporary.replace(path)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tabwright``."""

from tabwright.cli.main import main

raise SystemExit(main())

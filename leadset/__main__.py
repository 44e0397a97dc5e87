"""``python -m leadset``."""

from leadset.cli import main

raise SystemExit(main())

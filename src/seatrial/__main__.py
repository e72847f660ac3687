"""`python -m seatrial`."""

from __future__ import annotations

import sys

from seatrial.cli import main

sys.exit(main())

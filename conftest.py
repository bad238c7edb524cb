"""The suite's own environment: nothing of the developer's `.env` reaches a test."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("ENV_FILE", os.path.join(tempfile.mkdtemp(prefix="papo-test-"), ".env"))

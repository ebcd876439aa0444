"""Where the tables lie, and a mark for tests that need them."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not (DATA / "nas").is_dir(), reason=f"the tables are not in {DATA}")

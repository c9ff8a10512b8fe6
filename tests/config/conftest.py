"""What tests of the configuration share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vmaild.config import Config, load


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read_text(text: str, environ: dict[str, str] | None = None) -> Config:
        path = tmp_path / "vmaild.toml"
        path.write_text(text)
        path.chmod(0o640)
        return load(path, environ or {})

    return read_text

"""What a worker needs to know to turn files into items: plain values that travel as JSON."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

from bonito_assets.identity import digest

# Counts up when the same bytes give other items than before: what was read earlier is read again.
_READERS = 1
# Libraries whose next release may read a file otherwise. So may Python itself, which reads CSV
# and archives.
_LIBRARIES = ("pypdfium2", "lxml", "charset-normalizer", "pyarrow", "orjson", "pyyaml")


@dataclass(frozen=True)
class Limits:
    """What one item of a source may cost; the defaults suit a machine with a few gigabytes.

    ``ratio`` is how many times larger than its file an archive or a table may be once it is
    unpacked: text rarely shrinks to less than a twentieth, and 300 MB of zeros to a thousandth.
    """

    seconds: float = 30.0
    memory_mb: int = 1024
    file_mb: int = 4096
    text_mb: int = 100
    ratio: int = 200
    members: int = 100_000


@dataclass(frozen=True)
class Reading:
    """How the items of one corpus are read."""

    corpus: str
    text_field: str = "text"
    id_field: str | None = None
    title_field: str | None = None
    license_field: str | None = None
    where: dict[str, Any] = field(default_factory=dict)
    mask_personal_data: bool = False
    limits: Limits = Limits()

    def to_json(self) -> dict[str, Any]:
        """Gives the settings as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Reading:
        """Gives the settings that ``to_json`` wrote down."""
        return cls(**{**values, "limits": Limits(**values["limits"])})

    @property
    def fingerprint(self) -> str:
        """Gives the digest of everything but the bytes that the items of a file depend on."""
        versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
        return digest(_READERS, self.to_json(), versions, list(sys.version_info[:2]))

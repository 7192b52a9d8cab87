"""Where the repository is, and what may lie beside it."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
"""Material that is read in place; tests that need it are skipped where it is absent."""

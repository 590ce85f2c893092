"""The core that all functions share. pyproject.toml has the import rules, under import-linter."""

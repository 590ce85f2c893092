"""The core that every function shares. Who may import whom is in pyproject.toml, under import-linter."""

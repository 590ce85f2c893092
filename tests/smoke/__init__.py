"""A deployment, tried from the outside: `make smoke URL=... TOKEN=...`. It asks models, and costs some cents."""

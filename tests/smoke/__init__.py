"""Try a deployment from the outside: `make smoke URL=... TOKEN=... TENANT=...`. It asks models and costs some cents."""

"""Code that runs only on a developer's machine: Postgres, the local model, the gateway and the `pantheon` command."""

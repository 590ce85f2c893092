"""What exists only on a developer's machine: Postgres, a model, the gateway, the `pantheon` command."""

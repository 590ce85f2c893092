"""Real clients of `/v1`, each in an environment of its own under build/clients. Its lock file is here."""

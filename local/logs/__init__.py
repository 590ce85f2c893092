"""The logs of the local stack: read, followed, and shown in plain words."""

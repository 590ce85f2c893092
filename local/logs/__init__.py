"""Read and follow the logs of the local stack, and show them in plain words."""

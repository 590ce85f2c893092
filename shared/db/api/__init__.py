"""What the API and the operator read and write outside of the turn protocol."""

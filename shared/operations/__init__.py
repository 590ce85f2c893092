"""What the deployment does for itself, across tenants, in the role for operations."""

"""What the deployment does across tenants, in the role for operations."""

"""The function for the operator of the deployment."""

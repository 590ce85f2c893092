"""The function of the deployment's operator."""

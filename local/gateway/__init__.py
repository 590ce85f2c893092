"""Stand in for API Gateway and Lambda on this machine: serve HTTP, and run the real handlers in their own processes."""

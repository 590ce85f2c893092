"""The local stand-in for API Gateway and Lambda: HTTP in, the real handlers in processes of their own."""

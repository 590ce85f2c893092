"""The function that migrates the schema. The deployment invokes it before it shifts traffic."""

"""The columns by which the ledger is summed into hours and days. Rows that agree in all of them become one sum."""

# The dimensions that the operator sees.
OPERATOR_DIMENSIONS = ("tenant_id", "agent_key", "model_alias", "purpose", "account", "kind", "reason")
DIMENSIONS = (*OPERATOR_DIMENSIONS, "user_id", "api_key_id", "provider")

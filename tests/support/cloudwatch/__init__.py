"""A stand-in for CloudWatch that evaluates the metrics, alarms and dashboards of the stack.

It follows AWS's documentation for statistics, metric maths, missing data and log queries. Anything else is an error.
"""

"""What CloudWatch makes of what is emitted: as much of it as the stack's dashboards and alarms use.

The rule this package protects: statistics, metric maths, missing data and log queries are taken as AWS documents them;
what is not covered here is an error, and never a guess.
"""

"""Run the migration of a release before callers reach its functions.

No alias moves to a new version before the migration has succeeded. If it fails, CloudFormation undoes the deployment,
and the release before keeps serving.
"""

from collections.abc import Sequence

from aws_cdk import Duration, triggers
from constructs import Construct

from infra_cdk.function import Function


class Migration(Construct):
    """Invoke `migrate` once for each of its versions, after `after` exists and before any of `released` moves."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        migrate: Function,
        after: Sequence[Construct],
        released: Sequence[Function],
    ) -> None:
        super().__init__(scope, id)
        triggers.Trigger(
            self,
            "Trigger",
            handler=migrate.function,
            timeout=Duration.seconds(migrate.entry.seconds),
            execute_after=[*after, migrate.role],
            execute_before=[function.alias for function in released],
        )

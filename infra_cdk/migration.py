"""The schema comes before the code that needs it.

The rule this file protects: no alias moves to a new version before the migration of its release has succeeded. When
it fails, the deployment stops and is undone, and the release before goes on serving.
"""

from collections.abc import Sequence

from aws_cdk import Duration, triggers
from constructs import Construct

from infra_cdk.function import Function


class Migration(Construct):
    """Invokes `migrate` once for each of its versions, after `after` is there and before any of `released` moves."""

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

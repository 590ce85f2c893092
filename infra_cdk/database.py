"""Make the database (RDS for PostgreSQL) and its proxy: private, encrypted, with IAM tokens over TLS.

No function holds a password. RDS makes, stores and rotates the owner's.
"""

from typing import Final

from aws_cdk import CfnDeletionPolicy, Duration, RemovalPolicy, SecretValue
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from constructs import Construct

from infra_cdk.logs import Logs
from infra_cdk.metrics import aws
from infra_cdk.network import POSTGRES, Network
from infra_cdk.stage import PROXY_PER_CENT
from infra_cdk.stages import Stage
from shared.names import Role

NAME: Final = "pantheon"
OWNER: Final = "pantheon_owner"
# Files of authorities in the layer. RDS's own sign the database's certificate; a public one signs the proxy's.
RDS_AUTHORITIES: Final = "/opt/rds-ca.pem"
PUBLIC_AUTHORITIES: Final = "/opt/python/certifi/cacert.pem"
_EXPORTS: Final = ("postgresql", "upgrade")
_VERSION: Final = rds.PostgresEngineVersion.of("18", "18")


class Database(Construct):
    """The instance, and the proxy if the stage has one."""

    def __init__(
        self, scope: Construct, id: str, *, network: Network, stage: Stage, logs: Logs, key: kms.IKey | None
    ) -> None:
        super().__init__(scope, id)
        self._network = network
        self.group = network.group(self, "The database")
        self.instance = self._make(stage, logs, key)
        self.proxy = self._make_proxy(stage.proxy_name or stage.prefix, logs) if stage.proxy else None

    @property
    def entrance(self) -> ec2.SecurityGroup:
        """Return the security group that functions connect to: the proxy's, or the database's."""
        return self.proxy_group if self.proxy else self.group

    @property
    def secret_arn(self) -> str:
        """Return the ARN of the secret with the owner's name and password."""
        cfn = self.instance.node.default_child
        assert isinstance(cfn, rds.CfnDBInstance)
        return str(cfn.attr_master_user_secret_secret_arn)

    def url(self, role: Role) -> str:
        """Return the address by which a function connects as `role`, with an IAM token that it signs itself."""
        host = self.proxy.endpoint if self.proxy else self.instance.db_instance_endpoint_address
        authorities = PUBLIC_AUTHORITIES if self.proxy else RDS_AUTHORITIES
        region = self.instance.stack.region
        url = f"postgresql://{role}@{host}:{POSTGRES}/{NAME}?sslmode=verify-full&sslrootcert={authorities}&iam={region}"
        # A prepared statement would pin its client to one connection of the proxy.
        return f"{url}&prepare=off" if self.proxy else url

    @property
    def owner_url(self) -> str:
        """Return the address of the database itself, without the owner's name and password."""
        host = self.instance.db_instance_endpoint_address
        return f"postgresql://{host}:{POSTGRES}/{NAME}?sslmode=verify-full&sslrootcert={RDS_AUTHORITIES}"

    def pinned(self, period: Duration) -> cloudwatch.Metric:
        """Return the metric of the proxy's pinned connections."""
        assert self.proxy
        name, here = "DatabaseConnectionsCurrentlySessionPinned", {"ProxyName": self.proxy.db_proxy_name}
        return aws("RDS", name, "Maximum", period, here)

    def grant_connect(self, grantee: iam.IGrantable, role: Role) -> None:
        if self.proxy:
            self.proxy.grant_connect(grantee, role.value)
        else:
            self.instance.grant_connect(grantee, role.value)

    def _make(self, stage: Stage, logs: Logs, key: kms.IKey | None) -> rds.DatabaseInstance:
        # Without these groups, RDS makes its own and keeps them forever.
        name = stage.database_snapshot or stage.prefix
        groups = [logs.group(self, export.title(), f"/aws/rds/instance/{name}/{export}") for export in _EXPORTS]
        instance = rds.DatabaseInstance(
            self,
            "Instance",
            engine=rds.DatabaseInstanceEngine.postgres(version=_VERSION),
            instance_type=ec2.InstanceType(stage.instance_type),
            vpc=self._network.vpc,
            vpc_subnets=self._network.isolated,
            security_groups=[self.group],
            database_name=NAME,
            credentials=rds.Credentials.from_password(OWNER, SecretValue.unsafe_plain_text("made by RDS")),
            parameters={
                "rds.force_ssl": "1",
                "max_connections": str(stage.connections),
                # Log slow statements (ms) without their parameters, which may hold tenants' text.
                "log_min_duration_statement": "1000",
                "log_error_verbosity": "terse",
                # Log no statements of errors, because a refused hold is an error, too.
                "log_min_error_statement": "panic",
                "log_parameter_max_length": "0",
                "log_parameter_max_length_on_error": "0",
                "idle_in_transaction_session_timeout": "60000",
                # A statement ends (ms) after its function has closed the connection.
                "client_connection_check_interval": "5000",
            },
            iam_authentication=True,
            publicly_accessible=False,
            multi_az=stage.multi_az,
            storage_type=rds.StorageType.GP3,
            storage_encrypted=True,
            # The key of the storage, its backups and Performance Insights.
            storage_encryption_key=key,
            performance_insight_encryption_key=key,
            allocated_storage=stage.storage_gib,
            max_allocated_storage=stage.storage_limit_gib,
            backup_retention=Duration.days(stage.backup_days),
            copy_tags_to_snapshot=True,
            deletion_protection=stage.protected,
            delete_automated_backups=not stage.protected,
            removal_policy=RemovalPolicy.SNAPSHOT,
            auto_minor_version_upgrade=True,
            monitoring_interval=Duration.seconds(stage.monitoring_s),
            enable_performance_insights=True,
            cloudwatch_logs_exports=list(_EXPORTS),
            instance_identifier=name,
        )
        instance.node.add_dependency(*groups)
        cfn = instance.node.default_child
        assert isinstance(cfn, rds.CfnDBInstance)
        cfn.master_user_password = None
        cfn.manage_master_user_password = True
        if not stage.protected:
            # The key is deleted with the stage, so a snapshot could not be read. An update still makes one.
            cfn.cfn_options.deletion_policy = CfnDeletionPolicy.DELETE
        if stage.database_snapshot is not None:
            _restore(cfn, stage.database_snapshot)
        return instance

    def _make_proxy(self, name: str, logs: Logs) -> rds.DatabaseProxy:
        self.proxy_group = self._network.group(self, "The proxy", "ProxyGroup")
        self._network.allow(self.proxy_group, self.group, POSTGRES, "The proxy to the database")
        role = iam.Role(self, "ProxyRole", assumed_by=iam.ServicePrincipal("rds.amazonaws.com"))
        for each in Role:
            self.instance.grant_connect(role, each.value)
        # Without this group, RDS makes its own and keeps it forever.
        group = logs.group(self, "ProxyLog", f"/aws/rds/proxy/{name}")
        proxy = rds.DatabaseProxy(
            self,
            "Proxy",
            db_proxy_name=name,
            proxy_target=rds.ProxyTarget.from_instance(self.instance),
            vpc=self._network.vpc,
            vpc_subnets=self._network.isolated,
            security_groups=[self.proxy_group],
            role=role,
            # The proxy signs an IAM token for the client's role, so there is no password.
            default_auth_scheme=rds.DefaultAuthScheme.IAM_AUTH,
            iam_auth=True,
            require_tls=True,
            max_connections_percent=PROXY_PER_CENT,
            borrow_timeout=Duration.seconds(5),
        )
        proxy.node.add_dependency(group)
        return proxy


def _restore(cfn: rds.CfnDBInstance, snapshot: str) -> None:
    """Make the instance from `snapshot`, with the database, owner and key of the snapshot."""
    cfn.db_snapshot_identifier = snapshot
    cfn.db_name = None
    cfn.master_username = None
    cfn.kms_key_id = None

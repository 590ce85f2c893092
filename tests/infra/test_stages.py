"""Each stage has the resources of its fields: network, database, functions, retention, releases and identity."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from infra_cdk import app
from infra_cdk.assets import WRAPPER, Assets
from infra_cdk.endpoints import INTERFACES
from infra_cdk.entries import (
    ENTRIES,
    MIGRATE,
    RELEASED,
    TURNS,
    WORKER,
    Entry,
)
from infra_cdk.stage import ALL_REACHED
from infra_cdk.stage_catalog import DEPLOYED
from infra_cdk.stages import DEV, PROD, STAGES, Stage
from shared.names import Env, Role
from shared.settings import Settings
from tests.support.templates.template import Properties, Template, text

# Resource types that only a stage with egress has.
WAYS_OUT = {
    "AWS::EC2::InternetGateway",
    "AWS::EC2::NatGateway",
    "AWS::EC2::EIP",
    "AWS::EC2::Route",
    "AWS::EC2::VPCCidrBlock",
    "AWS::EC2::EgressOnlyInternetGateway",
}


def variables(function: Properties) -> dict[str, str]:
    return {name: text(value) for name, value in function["Environment"]["Variables"].items()}


def triggers(template: Template, construct: str) -> dict[str, Properties]:
    return {id_: one for id_, one in template.all("Custom::Trigger").items() if id_.startswith(construct)}


class TestDatabase:
    def test_database_is_private_encrypted_and_kept(self, template: Template, stage: Stage) -> None:
        database = template.one("AWS::RDS::DBInstance")
        assert database["PubliclyAccessible"] is False
        assert database["StorageEncrypted"] is True
        assert database["EnableIAMDatabaseAuthentication"] is True
        assert database["BackupRetentionPeriod"] == stage.backup_days >= 1
        assert (database["MultiAZ"], database["DeletionProtection"]) == (stage.multi_az, stage.protected)
        (whole,) = template.all("AWS::RDS::DBInstance").values()
        assert whole["DeletionPolicy"] == ("Snapshot" if stage.protected else "Delete")

    def test_database_requires_tls_and_logs_no_parameters(self, template: Template, stage: Stage) -> None:
        parameters = template.one("AWS::RDS::DBParameterGroup")
        assert parameters["Family"] == "postgres18"
        assert parameters["Parameters"]["rds.force_ssl"] == "1"
        assert parameters["Parameters"]["log_parameter_max_length"] == "0"
        assert parameters["Parameters"]["log_error_verbosity"] == "terse"
        assert parameters["Parameters"]["max_connections"] == str(stage.connections)

    def test_a_statement_ends_soon_after_its_client_has_gone(self, template: Template) -> None:
        parameters = template.one("AWS::RDS::DBParameterGroup")["Parameters"]
        assert parameters["client_connection_check_interval"] == "5000"

    def test_only_rds_has_a_password_of_the_database(self, template: Template) -> None:
        database = template.one("AWS::RDS::DBInstance")
        assert database["ManageMasterUserPassword"] is True
        assert "MasterUserPassword" not in database
        assert template.resources("AWS::SecretsManager::Secret") == {}

    def test_a_proxy_signs_for_its_client(self, template: Template, stage: Stage) -> None:
        proxies = list(template.resources("AWS::RDS::DBProxy").values())
        assert len(proxies) == int(stage.proxy)
        for proxy in proxies:
            assert (proxy["DefaultAuthScheme"], proxy["RequireTLS"]) == ("IAM_AUTH", True)
            assert all(auth.get("IAMAuth") == "REQUIRED" for auth in proxy.get("Auth", []))
        signs = {r for one in template.statements() if one.owner == "DatabaseProxyRole" for r in one.resources}
        assert {resource.rpartition("/")[2] for resource in signs} == (set(Role) if stage.proxy else set())

    def test_pinned_sessions_ring_an_alarm(self, template: Template, stage: Stage) -> None:
        names = {alarm.get("MetricName") for alarm in template.resources("AWS::CloudWatch::Alarm").values()}
        assert ("DatabaseConnectionsCurrentlySessionPinned" in names) is stage.proxy


class TestNetwork:
    def test_only_a_stage_without_endpoints_has_a_route_out_and_none_has_one_in(
        self, template: Template, stage: Stage
    ) -> None:
        kinds = {resource["Type"] for resource in template.body["Resources"].values()}
        by_ipv6 = {"AWS::EC2::Route", "AWS::EC2::VPCCidrBlock", "AWS::EC2::EgressOnlyInternetGateway"}
        assert kinds & WAYS_OUT == (set() if stage.endpoints == ALL_REACHED else by_ipv6)
        assert all(not s.get("MapPublicIpOnLaunch") for s in template.resources("AWS::EC2::Subnet").values())

    def test_no_group_accepts_every_address(self, template: Template) -> None:
        rules = [
            r for g in template.resources("AWS::EC2::SecurityGroup").values() for r in g.get("SecurityGroupIngress", [])
        ]
        rules += template.resources("AWS::EC2::SecurityGroupIngress").values()
        assert rules
        assert all("CidrIp" not in rule and "CidrIpv6" not in rule for rule in rules)

    def test_called_services_are_reachable(self, template: Template, stage: Stage) -> None:
        endpoints = template.resources("AWS::EC2::VPCEndpoint").values()
        services = {text(endpoint["ServiceName"]).rpartition(".")[2] for endpoint in endpoints}
        assert services == {*stage.endpoints, "s3"}
        told = {name for function in template.functions().values() for name in variables(function)}
        elsewhere = {"sqs": "AWS_ENDPOINT_URL_SQS", "secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER"}
        assert {name for name in told if name.startswith("AWS_ENDPOINT")} == {
            variable for service, variable in elsewhere.items() if service not in stage.endpoints
        }
        interfaces = [endpoint for endpoint in endpoints if endpoint["VpcEndpointType"] == "Interface"]
        assert all(endpoint["PrivateDnsEnabled"] is True for endpoint in interfaces)


class TestFunctions:
    def test_functions_match_the_table(self, template: Template) -> None:
        assert set(template.functions()) == {entry.name for entry in ENTRIES}

    def test_handlers_of_functions_exist(self) -> None:
        found = [importlib.util.find_spec(entry.handler.rpartition(".")[0]) for entry in ENTRIES]
        assert None not in found

    def test_functions_have_the_same_runtime_and_options(self, template: Template, stage: Stage) -> None:
        for entry in ENTRIES:
            function = template.functions()[entry.name]
            assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"])
            assert (function["Handler"], function["Timeout"]) == (entry.handler, entry.seconds)
            assert len(function["Layers"]) == 2 + entry.reads_catalog
            assert function.get("ReservedConcurrentExecutions") == stage.reserved.get(entry.name)
            assert ("SnapStart" in function) is (entry.snap_start and stage.snap_start)
            assert len(function.get("VpcConfig", {}).get("SubnetIds", ())) == (stage.zones if entry.in_network else 0)

    def test_only_the_function_without_a_database_is_outside_the_network(self) -> None:
        assert [(entry.name, entry.role) for entry in ENTRIES if not entry.in_network] == [("jwks", None)]

    def test_a_new_account_can_have_every_stage_but_production(self) -> None:
        """A new account may run ten invocations at the same time and reserve none."""
        assert [stage.name for stage in STAGES.values() if stage.reserved] == ["prod"]

    def test_logs_of_functions_have_a_retention(self, template: Template, stage: Stage) -> None:
        groups = template.resources("AWS::Logs::LogGroup").values()
        # Flows, access, two of the database, the CDK's own functions, and the proxy.
        assert len(groups) == len(ENTRIES) + 5 + int(not stage.protected) + int(stage.proxy)
        assert {group["RetentionInDays"] for group in groups} == {stage.log_days}

    def test_only_the_turns_function_runs_the_loop_that_streams(self, template: Template) -> None:
        wrapped = {name: variables(f).get("AWS_LAMBDA_EXEC_WRAPPER") for name, f in template.functions().items()}
        assert wrapped == {entry.name: WRAPPER if entry is TURNS else None for entry in ENTRIES}

    def test_functions_use_the_default_turn_seconds(self, template: Template) -> None:
        """A test of deadlines holds the default against the function's time."""
        assert not any(Env.TURN_SECONDS in variables(function) for function in template.functions().values())

    def test_functions_have_the_tags_of_the_bill(self, template: Template, stage: Stage) -> None:
        for function in template.functions().values():
            tags = {tag["Key"]: tag["Value"] for tag in function["Tags"]}
            assert tags == {"project": "pantheon", "stage": stage.name}


class TestEnvironment:
    @pytest.mark.parametrize("entry", [entry for entry in RELEASED if entry.role is Role.APP], ids=lambda e: e.name)
    def test_variables_of_a_function_are_its_settings(self, template: Template, stage: Stage, entry: Entry) -> None:
        settings = Settings.model_validate(variables(template.functions()[entry.name]))
        assert (settings.stage, settings.catalog) == (stage.name, DEPLOYED)

    def test_variables_of_our_prefix_are_known(self, template: Template) -> None:
        told = {name for function in template.functions().values() for name in variables(function)}
        addresses = {service.variable for service in INTERFACES}
        assert told - set(Env) - addresses == {"AWS_LAMBDA_EXEC_WRAPPER"}

    def test_database_url_uses_a_token_and_verified_tls(self, template: Template, stage: Stage) -> None:
        for entry in RELEASED:
            told = variables(template.functions()[entry.name])
            urls = [value for name, value in told.items() if name.endswith("_DATABASE_URL")]
            assert len(urls) == (1 if entry.role else 0)
            if entry.role is None:
                continue
            assert re.match(rf"postgresql://{entry.role}@<Database\w+\.Endpoint(\.Address)?>:5432/pantheon\?", urls[0])
            assert "sslmode=verify-full" in urls[0]
            assert f"iam={stage.region}" in urls[0]
            assert ("prepare=off" in urls[0]) is stage.proxy

    def test_only_the_migration_gets_the_owner(self, template: Template) -> None:
        for name, function in template.functions().items():
            told = {"OWNER" in key for key in variables(function) if not key.startswith("AWS_ENDPOINT")}
            assert told == {name == MIGRATE.name}


class TestRelease:
    def test_aliases_move_after_the_migration(self, template: Template) -> None:
        (trigger,) = triggers(template, "Migration")
        aliases = template.all("AWS::Lambda::Alias")
        waiting = {id_ for id_, alias in aliases.items() if trigger in alias.get("DependsOn", [])}
        assert {re.sub(r"Alias\w{8}$", "", id_) for id_ in waiting} == {entry.title for entry in RELEASED}

    def test_a_layer_that_changes_makes_a_new_version_of_each_function_with_it(self, tmp_path: Path) -> None:
        def versions(folder: Path, source: str) -> set[str]:
            assets = Assets.empty(folder / "build")
            (assets.core / "module.py").write_text(source)
            app.build(folder / "out", [DEV], assets).synth()
            made = Template(json.loads((folder / "out" / "pantheon-dev.template.json").read_text()))
            return set(made.resources("AWS::Lambda::Version"))

        changed = versions(tmp_path / "first", "1") - versions(tmp_path / "second", "2")
        assert {id_.partition("Function")[0] for id_ in changed} == {entry.title for entry in ENTRIES}

    def test_the_migration_waits_for_the_database_and_the_way_to_its_secret(self, template: Template) -> None:
        (trigger,) = triggers(template, "Migration").values()
        waits = {template.body["Resources"][id_]["Type"] for id_ in trigger["DependsOn"]}
        assert {"AWS::RDS::DBInstance", "AWS::EC2::VPCEndpoint", "AWS::IAM::Policy"} <= waits

    def test_the_migration_runs_again_for_each_of_its_versions(self, template: Template) -> None:
        (trigger,) = triggers(template, "Migration").values()
        assert text(trigger["Properties"]["HandlerArn"]).startswith("<MigrateFunctionCurrentVersion")

    def test_issuers_keys_are_copied_once_without_delaying_the_release(self, template: Template) -> None:
        (trigger,) = triggers(template, "IssuerKeys").values()
        assert text(trigger["Properties"]["HandlerArn"]).startswith("<JwksFunctionCurrentVersion")
        assert trigger["Properties"]["InvocationType"] == "Event"

    def test_traffic_is_shifted_by_the_stages_setting_and_back_when_an_alarm_rings(
        self, template: Template, stage: Stage
    ) -> None:
        groups = template.resources("AWS::CodeDeploy::DeploymentGroup").values()
        assert len(groups) == len(RELEASED)
        for group in groups:
            assert group["DeploymentConfigName"] == stage.canary
            assert group["AlarmConfiguration"]["Enabled"] is True
            assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        for entry in RELEASED:
            (policy,) = [
                alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
                for id_, alias in template.all("AWS::Lambda::Alias").items()
                if id_.startswith(f"{entry.title}Alias")
            ]
            assert policy["DeploymentGroupName"]["Ref"].startswith(f"Release{entry.title}")

    def test_functions_are_invoked_only_by_an_alias(self, template: Template) -> None:
        uris = [m["Integration"].get("Uri") for m in template.resources("AWS::ApiGateway::Method").values()]
        uris += [a["AuthorizerUri"] for a in template.resources("AWS::ApiGateway::Authorizer").values()]
        targets = list({str(uri): uri for uri in uris if uri}.values())
        targets += [m["FunctionName"] for m in template.resources("AWS::Lambda::EventSourceMapping").values()]
        targets += [t["Arn"] for r in template.resources("AWS::Events::Rule").values() for t in r["Targets"]]
        aliases = template.all("AWS::Lambda::Alias")
        assert len(targets) == len(RELEASED)
        assert all(any(id_ in str(target) for id_ in aliases) for target in targets)


class TestQueue:
    def test_a_message_is_hidden_for_as_long_as_a_worker_can_run(self, template: Template) -> None:
        queues = template.resources("AWS::SQS::Queue")
        (main,) = [queue for queue in queues.values() if "RedrivePolicy" in queue]
        assert main["VisibilityTimeout"] > WORKER.seconds
        assert main["RedrivePolicy"]["maxReceiveCount"] == 5
        assert all(queue["SqsManagedSseEnabled"] is True for queue in queues.values())

    def test_workers_are_limited_by_the_connections_of_the_database(self, template: Template, stage: Stage) -> None:
        mapping = template.one("AWS::Lambda::EventSourceMapping")
        assert mapping["ScalingConfig"]["MaximumConcurrency"] == stage.worker_concurrency
        assert 2 <= stage.worker_concurrency <= stage.connections // 4
        assert (mapping["BatchSize"], mapping["FunctionResponseTypes"]) == (1, ["ReportBatchItemFailures"])

    def test_dead_letters_ring_an_alarm(self, template: Template) -> None:
        alarms = template.resources("AWS::CloudWatch::Alarm").values()
        assert [a["Threshold"] for a in alarms if a.get("MetricName") == "ApproximateNumberOfMessagesVisible"] == [1]


class TestSchedules:
    def test_schedules_match_the_table(self, template: Template) -> None:
        rules = template.resources("AWS::Events::Rule").values()
        assert sorted(rule["ScheduleExpression"] for rule in rules) == sorted(
            entry.schedule for entry in ENTRIES if entry.schedule
        )


class TestAccount:
    def test_invocation_log_stores_no_text(self, account: Template) -> None:
        (setting,) = account.resources("Custom::AWS").values()
        call = text(setting["Create"])
        for kind in ("text", "image", "embedding", "video", "audio"):
            assert f'"{kind}DataDeliveryEnabled":false' in call

    def test_api_gateway_may_write_logs(self, account: Template) -> None:
        """Without this setting, API Gateway refuses a stage with an access log."""
        (setting,) = account.all("AWS::ApiGateway::Account").values()
        role = account.all("AWS::IAM::Role")[setting["Properties"]["CloudWatchRoleArn"]["Fn::GetAtt"][0]]
        statement = role["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
        assert statement["Principal"]["Service"] == "apigateway.amazonaws.com"
        assert "AmazonAPIGatewayPushToCloudWatchLogs" in str(role["Properties"]["ManagedPolicyArns"])
        assert (setting["DeletionPolicy"], role["DeletionPolicy"]) == ("Retain", "Retain")

    def test_bucket_of_the_account_is_private(self, account: Template) -> None:
        bucket = account.one("AWS::S3::Bucket")
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}


def test_production_is_protected() -> None:
    assert (PROD.multi_az, PROD.protected, PROD.proxy, PROD.backup_days >= 30) == (True, True, True, True)
    assert PROD.waf_rate is not None
    assert DEV.proxy is False
    assert "Canary" in PROD.canary

"""Every log group has a retention, and all functions and RDS write to groups of the stack."""

from infra_cdk.stages import Stage
from tests.support.templates.template import Template, text


def test_log_group_has_a_retention(template: Template, account: Template, stage: Stage) -> None:
    for found, days in ((template, stage.log_days), (account, 90)):
        groups = found.resources("AWS::Logs::LogGroup")
        assert groups
        assert {id_: group.get("RetentionInDays") for id_, group in groups.items()} == dict.fromkeys(groups, days)


def test_function_has_its_own_log_group(template: Template, account: Template) -> None:
    """Lambda's own group would be kept forever. The CDK's functions need one, too."""
    for found in (template, account):
        functions = found.resources("AWS::Lambda::Function").values()
        groups = [text(function["LoggingConfig"]["LogGroup"]).strip("<>") for function in functions]
        assert len(set(groups)) == len(groups)
        assert set(groups) <= set(found.resources("AWS::Logs::LogGroup"))


def test_log_groups_of_rds_exist_before_the_instance(template: Template, stage: Stage) -> None:
    named = {group.get("LogGroupName"): id_ for id_, group in template.resources("AWS::Logs::LogGroup").items()}
    ((_, instance),) = template.all("AWS::RDS::DBInstance").items()
    name = instance["Properties"]["DBInstanceIdentifier"]
    for export in instance["Properties"]["EnableCloudwatchLogsExports"]:
        assert named[f"/aws/rds/instance/{name}/{export}"] in instance["DependsOn"]
    proxies = template.all("AWS::RDS::DBProxy").values()
    assert len(proxies) == int(stage.proxy)
    for proxy in proxies:
        assert named[f"/aws/rds/proxy/{proxy['Properties']['DBProxyName']}"] in proxy["DependsOn"]

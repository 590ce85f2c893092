"""What the cost model counts of the stack is what the stack has."""

from bench import cost_model
from infra_cdk import rates
from infra_cdk.stages import PROD, STAGES
from tests.cloudwatch.alarms import alarms_of
from tests.infra.assembly import Assembly


def test_it_counts_what_there_is(assembly: Assembly) -> None:
    template = assembly.templates[PROD.name]
    endpoints = [one["VpcEndpointType"] for one in template.resources("AWS::EC2::VPCEndpoint").values()]
    assert endpoints.count("Interface") == cost_model.ENDPOINTS
    assert len(template.resources("AWS::CloudWatch::Dashboard")) == cost_model.DASHBOARDS
    assert sum(len(list(alarm.metrics())) for alarm in alarms_of(template).values()) == cost_model.ALARM_METRICS
    assert len(template.resources("AWS::KMS::Key")) == 1
    assert not template.resources("AWS::EC2::NatGateway")


def test_every_stages_database_has_its_rate() -> None:
    assert {stage.instance_type for stage in STAGES.values()} <= set(rates.DATABASE_HOUR)

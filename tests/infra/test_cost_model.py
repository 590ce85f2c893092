"""The cost model counts the resources that the templates have."""

import json
from pathlib import Path

import pytest

from bench import cost_model
from bench.assumed import ASSUMED
from bench.cost_model import Month
from bench.footprint import Footprint
from infra_cdk import rates
from infra_cdk.access_log import FIELDS
from infra_cdk.entries import JWKS
from infra_cdk.stages import PROD, STAGES, Stage
from shared.identity.key_set import REFRESH_S
from shared.names import ROUTES
from tests.support.cloudwatch.alarms import alarms_of
from tests.support.templates.assembly import Assembly, synthesised
from tests.support.templates.catalogs import AWAY, with_catalog
from tests.support.templates.template import Template
from tests.support.templates.watched_metrics import read_by


def test_model_counts_the_resources_of_the_template(template: Template, stage: Stage) -> None:
    month = Month(stage, 0, Footprint.kept())
    endpoints = [one["VpcEndpointType"] for one in template.resources("AWS::EC2::VPCEndpoint").values()]
    assert endpoints.count("Interface") == len(month.endpoints())
    assert len(template.resources("AWS::CloudWatch::Dashboard")) == cost_model.DASHBOARDS * stage.dashboards
    assert sum(len(list(alarm.metrics())) for alarm in alarms_of(template).values()) == month.alarm_metrics()
    assert len(template.resources("AWS::KMS::Key")) == cost_model.ALARM_KEYS + int(stage.customer_key)
    assert not template.resources("AWS::EC2::NatGateway")
    acls = [len(one["Rules"]) for one in template.resources("AWS::WAFv2::WebACL").values()]
    assert acls == ([] if stage.waf_rate is None else [cost_model.ACL_RULES])
    snapshots = [one for one in template.functions().values() if "SnapStart" in one]
    assert bool(month.snapshots_usd()) is bool(snapshots)


def test_series_of_a_cheap_stage_are_those_that_alarms_read(template: Template, stage: Stage) -> None:
    read = {
        (one.metric, one.dimensions)
        for one in read_by(Template({"Resources": template.all("AWS::CloudWatch::Alarm")}))
        if stage.metrics == "alarms"
    }
    if read:
        assert len(read) == Month(stage, 0, Footprint.kept()).series()


def test_model_copies_keys_as_often_as_the_schedule(assembly: Assembly) -> None:
    assert JWKS.schedule == f"rate({cost_model.COPY_S // 60} minutes)"
    assert REFRESH_S == cost_model.COPY_S


def test_access_log_line_has_the_assumed_length() -> None:
    """The values have the lengths of AWS's documentation."""
    values = {
        "request_id": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "gateway_id": "JKJaXmPLvHcESHA=",
        "time": "30/Nov/2026:12:34:56 +0000",
        "method": "POST",
        "resource": ROUTES[0].path,
        "web_acl": "WAF_ALLOW",
    }
    line = json.dumps({name: values.get(name, "200") for name in FIELDS})
    assert abs(len(line) - ASSUMED.access_log_bytes) < 60


def test_model_has_the_rate_of_each_stages_database() -> None:
    assert {stage.instance_type for stage in STAGES.values()} <= set(rates.DATABASE_HOUR)


def test_model_counts_the_gateways_of_a_stage_with_egress(tmp_path: Path) -> None:
    stage = with_catalog(AWAY, tmp_path, "nat", PROD)
    template = synthesised(stage, tmp_path)
    endpoints = [one["VpcEndpointType"] for one in template.resources("AWS::EC2::VPCEndpoint").values()]
    assert endpoints.count("Interface") == len(Month(stage, 0, Footprint.kept()).endpoints())
    gateways, addresses = (len(template.resources(f"AWS::EC2::{kind}")) for kind in ("NatGateway", "EIP"))
    hours = 730 * (gateways * rates.NAT_HOUR.usd + addresses * rates.ADDRESS_HOUR.usd)
    assert Month(stage, 0, Footprint.kept()).providers_usd() == pytest.approx(hours)

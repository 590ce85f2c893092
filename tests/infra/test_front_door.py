"""The API has the stage's domain and certificate, and a web ACL if `waf_rate` is set."""

from dataclasses import replace

import pytest

from infra_cdk.stages import DEV, PROD, Stage
from shared.names import API_STAGE
from tests.support.templates.assembly import synthesised
from tests.support.templates.template import Template, text

DOMAIN = "council.example.org"
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/1"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return synthesised(replace(DEV, domain=DOMAIN, certificate_arn=CERTIFICATE), tmp_path_factory.mktemp("domain"))


class TestUrl:
    def test_url_ends_in_the_stage_without_a_domain(self, template: Template, stage: Stage) -> None:
        (api,) = template.resources("AWS::ApiGateway::RestApi")
        url = f"https://<{api}>.execute-api.{stage.region}.<AWS::URLSuffix>/{API_STAGE}"
        assert text(template.body["Outputs"]["Url"]["Value"]) == url
        assert template.one("AWS::ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is False
        assert template.one("AWS::ApiGateway::Stage")["StageName"] == API_STAGE

    def test_domain_maps_to_the_stage_and_disables_the_default_endpoint(self, named: Template) -> None:
        (stage,) = named.resources("AWS::ApiGateway::Stage")
        mapping = named.one("AWS::ApiGateway::BasePathMapping")
        assert (text(mapping["Stage"]), "BasePath" in mapping) == (f"<{stage}>", False)
        assert named.one("AWS::ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is True
        assert text(named.body["Outputs"]["Url"]["Value"]) == f"https://{DOMAIN}"

    def test_domain_has_its_certificate_and_a_current_tls_policy(self, named: Template) -> None:
        made = named.one("AWS::ApiGateway::DomainName")
        assert (made["DomainName"], made["RegionalCertificateArn"]) == (DOMAIN, CERTIFICATE)
        assert made["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
        assert made["SecurityPolicy"] == "TLS_1_2"

    def test_outputs_have_the_target_of_the_domains_record(self, named: Template, template: Template) -> None:
        assert text(named.body["Outputs"]["DomainTarget"]["Value"]).endswith(".RegionalDomainName>")
        assert text(named.body["Outputs"]["DomainZone"]["Value"]).endswith(".RegionalHostedZoneId>")
        assert "DomainTarget" not in template.body["Outputs"]

    @pytest.mark.parametrize("field", ["domain", "certificate_arn", "issuer", "audience"])
    def test_one_field_of_a_pair_is_refused_without_the_other(self, field: str) -> None:
        with pytest.raises(ValueError, match="or neither"):
            Stage(**{**vars(DEV), field: "given"})


class TestWebAcl:
    def test_web_acl_blocks_an_address_over_its_rate(self, template: Template, stage: Stage) -> None:
        acls = list(template.resources("AWS::WAFv2::WebACL").values())
        assert len(acls) == (0 if stage.waf_rate is None else 1)
        for acl in acls:
            (rule,) = acl["Rules"]
            assert rule["Statement"] == {
                "RateBasedStatement": {"AggregateKeyType": "IP", "EvaluationWindowSec": 300, "Limit": stage.waf_rate}
            }
            assert (acl["DefaultAction"], rule["Action"]) == ({"Allow": {}}, {"Block": {}})

    def test_web_acl_keeps_no_sample_of_requests(self, template: Template) -> None:
        for acl in template.resources("AWS::WAFv2::WebACL").values():
            seen = [acl["VisibilityConfig"], *(rule["VisibilityConfig"] for rule in acl["Rules"])]
            assert [one["SampledRequestsEnabled"] for one in seen] == [False, False]

    def test_web_acl_is_associated_with_the_apis_stage(self, template: Template) -> None:
        (api,) = template.resources("AWS::ApiGateway::RestApi")
        (stage,) = template.resources("AWS::ApiGateway::Stage")
        for association in template.resources("AWS::WAFv2::WebACLAssociation").values():
            assert text(association["ResourceArn"]).endswith(f"::/restapis/<{api}>/stages/<{stage}>")
        assert len(template.resources("AWS::WAFv2::WebACLAssociation")) == len(template.resources("AWS::WAFv2::WebACL"))

    def test_production_has_a_web_acl(self) -> None:
        assert PROD.waf_rate == 6000

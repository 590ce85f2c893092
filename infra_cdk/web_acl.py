"""Make the web ACL, which blocks an address that sends too many requests before API Gateway's throttle is exhausted."""

from typing import Final

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

_WINDOW_S: Final = 300


class WebAcl(Construct):
    """One rule for the API's stage: at most `rate` requests of one address in five minutes."""

    def __init__(self, scope: Construct, id: str, *, stage: apigateway.Stage, rate: int) -> None:
        super().__init__(scope, id)
        limit = waf.CfnWebACL.RateBasedStatementProperty(
            limit=rate, aggregate_key_type="IP", evaluation_window_sec=_WINDOW_S
        )
        rule = waf.CfnWebACL.RuleProperty(
            name="rate",
            priority=0,
            statement=waf.CfnWebACL.StatementProperty(rate_based_statement=limit),
            action=waf.CfnWebACL.RuleActionProperty(block={}),
            visibility_config=_counted("rate"),
        )
        acl = waf.CfnWebACL(
            self,
            "Acl",
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            rules=[rule],
            visibility_config=_counted("all"),
        )
        waf.CfnWebACLAssociation(self, "Association", resource_arn=stage.stage_arn, web_acl_arn=acl.attr_arn)


def _counted(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    """Count requests. Keep no samples, because a sample shows headers."""
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )

"""Make the API's domain, which replaces AWS's address and its stage in the path."""

from aws_cdk import CfnOutput
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as certificates
from constructs import Construct


class Domain(Construct):
    """The domain `name`. A record in its zone must point at `target`."""

    def __init__(self, scope: Construct, id: str, *, name: str, certificate_arn: str, stage: apigateway.Stage) -> None:
        super().__init__(scope, id)
        certificate = certificates.Certificate.from_certificate_arn(self, "Certificate", certificate_arn)
        made = apigateway.DomainName(
            self,
            "Name",
            domain_name=name,
            certificate=certificate,
            endpoint_type=apigateway.EndpointType.REGIONAL,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
        )
        made.add_base_path_mapping(stage.rest_api, stage=stage)
        self.target = made.domain_name_alias_domain_name
        self.zone_id = made.domain_name_alias_hosted_zone_id

    def tell(self, scope: Construct) -> None:
        """Add the target of the domain's record to the stack's outputs."""
        CfnOutput(scope, "DomainTarget", value=self.target, description="The target of the domain's record")
        CfnOutput(scope, "DomainZone", value=self.zone_id, description="The hosted zone for an alias in Route 53")

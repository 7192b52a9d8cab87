"""Whether the CustomResourceDefinition is the one that this version was made for. Pure."""

from fulfillment_api.crd import custom_resource_definition
from fulfillment_api.names import GROUP, PLURAL, VERSION
from fulfillment_cli.doctor.objects import CustomResourceDefinition
from fulfillment_runtime.findings import Check, Finding, Verdict

NAME = f"{PLURAL}.{GROUP}"
_APPLY = "helm upgrade, or `fulfillment crd | kubectl apply -f -`"


def judge_definition(found: CustomResourceDefinition | None) -> Finding:
    """Say whether it is there, serves our version, and has our schema."""
    if found is None:
        return Finding(Verdict.FAILURE, Check.CRD, f"the cluster has no {NAME}: install the chart, or {_APPLY}")
    version = next((each for each in found.spec.versions if each.name == VERSION and each.served), None)
    if version is None:
        served = ", ".join(each.name for each in found.spec.versions if each.served) or "none"
        return Finding(Verdict.FAILURE, Check.CRD, f"{NAME} does not serve {VERSION}, but {served}: {_APPLY}")
    (ours,) = custom_resource_definition()["spec"]["versions"]
    if version.schema != ours["schema"] or version.selectable_fields != ours["selectableFields"]:
        return Finding(
            Verdict.WARNING, Check.CRD, f"{NAME} is not as this version has it, but older or newer: {_APPLY}"
        )
    return Finding(Verdict.OK, Check.CRD, f"{NAME} serves {VERSION}, as this version has it")

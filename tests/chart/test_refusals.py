"""A wrong value is refused by a message that names it."""

from pathlib import Path
from typing import Any

import pytest

from chart_rendering import CHART, VALUES, HelmError, render, run_helm
from fulfillment_local.programs import ChartPrograms


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"webhok": {}}, ["webhok"]),
        ({"webhook": {"replica": 2}}, ["webhook", "replica"]),
        ({"stripe": {"apikey": "sk_live_1"}}, ["stripe", "apikey"]),
        ({"monitoring": {"serviceMonitor": {"enable": True}}}, ["monitoring", "serviceMonitor", "enable"]),
        ({"webhook": {"replicas": "two"}}, ["webhook", "replicas", "integer"]),
        ({"webhook": {"replicas": -1}}, ["webhook", "replicas", "0"]),
        ({"webhook": {"resources": 5}}, ["webhook", "resources", "object"]),
        ({"webhook": {"service": {"port": 70000}}}, ["webhook", "service", "port", "65"]),
        ({"webhook": {"service": {"type": "ExternalName"}}}, ["webhook", "service", "type", "LoadBalancer"]),
        ({"webhook": {"extraEnv": [{"value": "x"}]}}, ["webhook", "extraEnv", "name"]),
        ({"operator": {"terminationGracePeriodSeconds": 5}}, ["operator", "terminationGracePeriodSeconds", "26"]),
        ({"stripe": {"timeout": "20"}}, ["stripe", "timeout", "ms|s|m|h"]),
        ({"stripe": {"timeout": 20}}, ["stripe", "timeout", "string"]),
        ({"stripe": {"existingSecret": ""}}, ["stripe", "existingSecret", "1"]),
        ({"stripe": {"livemode": "yes"}}, ["stripe", "livemode", "boolean"]),
        ({"stripe": {"accounts": ["shop"]}}, ["stripe", "accounts", "0", "acct_"]),
        ({"stripe": {"extraWebhookSecrets": [{"name": "a"}]}}, ["stripe", "extraWebhookSecrets", "0", "key"]),
        ({"backend": {"name": "Job"}}, ["backend", "name", "a-z"]),
        ({"backend": {"routes": [{"when": {}}]}}, ["backend", "routes", "0", "backend"]),
        ({"backend": {"routes": [{"backend": "log", "when": {"link": "x"}}]}}, ["routes", "0", "when", "link"]),
        ({"backend": {"http": {"url": "orders.example"}}}, ["backend", "http", "url", "https?://"]),
        ({"mail": {"smtp": {"tls": True}}}, ["mail", "smtp", "tls", "starttls"]),
        ({"log": {"level": "loud"}}, ["log", "level", "warning"]),
        ({"image": {"digest": "latest"}}, ["image", "digest", "sha256"]),
        ({"image": {"pullPolicy": "Sometimes"}}, ["image", "pullPolicy", "IfNotPresent"]),
        ({"imagePullSecrets": ["pull"]}, ["imagePullSecrets", "0", "object"]),
        (
            {"monitoring": {"serviceMonitor": {"labels": {"release": 1}}}},
            ["serviceMonitor", "labels", "release", "string"],
        ),
        ({"networkPolicy": {"apiServerPorts": []}}, ["networkPolicy", "apiServerPorts", "1"]),
    ],
    ids=str,
)
def test_the_schema_names_what_is_wrong(helm: Path, values: dict[str, Any], named: list[str]) -> None:
    """The message of either Helm holds the path of the value, and what it may be."""
    with pytest.raises(HelmError) as refused:
        render(helm, values)

    message = str(refused.value)
    assert "values don't meet the specifications of the schema" in message
    assert [each for each in named if each not in message] == []


SECRET = "sk_live_that_must_not_be_repeated"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"stripe": {"apiKey": SECRET}},
            (
                "stripe.apiKey: secrets never stand in values, where every release keeps them. Put it into a Secret "
                "under the key of stripe.apiKeyKey, and name that Secret in stripe.existingSecret:\n"
                "  kubectl create secret generic stripe --namespace shop --from-literal=api-key=sk_… "
                "--from-literal=webhook-secrets=whsec_…"
            ),
        ),
        ({"stripe": {"webhookSecret": SECRET}}, "stripe.webhookSecret: secrets never stand in values"),
        ({"stripe": {"webhookSecrets": [SECRET]}}, "stripe.webhookSecrets: secrets never stand in values"),
        ({"backend": {"http": {"secret": SECRET}}}, "name that in backend.http.existingSecret"),
        ({"mail": {"smtp": {"password": SECRET}}}, "name that in mail.smtp.existingSecret"),
        ({"mail": {"smtp": {"username": "shop"}}}, "name that in mail.smtp.existingSecret"),
        (
            {"webhook": {"extraEnv": [{"name": "STRIPE_WEBHOOK_SECRETS", "value": SECRET}]}},
            "webhook.extraEnv: STRIPE_WEBHOOK_SECRETS is a secret, which never stands in values",
        ),
        (
            {"operator": {"extraEnv": [{"name": "STRIPE_API_KEY", "value": SECRET}]}},
            "operator.extraEnv: STRIPE_API_KEY is a secret, which never stands in values",
        ),
        (
            {"recovery": {"extraEnv": [{"name": "STRIPE_API_KEY", "value": SECRET}]}},
            "recovery.extraEnv: STRIPE_API_KEY is a secret, which never stands in values",
        ),
        ({"backend": {"name": "http"}}, "backend.http.url is not set: the http backend posts orders to it"),
        (
            {"backend": {"routes": [{"backend": "http"}]}},
            "backend.http.url is not set: the http backend posts orders to it",
        ),
        ({"backend": {"name": "job"}}, "backend.job.template is empty: the job backend makes Jobs of it"),
        (
            {"backend": {"name": "none"}},
            "backend.name is none, and backend.routes is empty: no order could go anywhere",
        ),
        (
            {"webhook": {"callback": {"enabled": True}}},
            "backend.http.existingSecret is empty: callbacks are signed with the secret in it",
        ),
        ({"mail": {"smtp": {"host": "mail.example"}}}, "mail.from is not set: mails need a sender"),
        ({"mail": {"receipts": True}}, "mail.smtp.host is not set: mail.receipts mails receipts by it"),
        ({"webhook": {"ingress": {"enabled": True}}}, "webhook.ingress.hosts is empty: name the hosts"),
        ({"webhook": {"httpRoute": {"enabled": True}}}, "webhook.httpRoute.parentRefs is empty: name the Gateway"),
        (
            {"webhook": {"autoscaling": {"minReplicas": 7}}},
            "webhook.autoscaling.minReplicas is greater than webhook.autoscaling.maxReplicas",
        ),
    ],
    ids=lambda each: None if isinstance(each, str) else str(each).replace(SECRET, "…"),
)
def test_the_chart_says_what_to_do(helm: Path, values: dict[str, Any], message: str) -> None:
    """What a schema could not say so that a person knows what to do, the chart says; and repeats no secret."""
    with pytest.raises(HelmError) as refused:
        render(helm, values)

    assert message in str(refused.value)
    assert SECRET not in str(refused.value)


def test_an_old_kubernetes_is_refused(helm: Path) -> None:
    """The message names the version that is needed."""
    with pytest.raises(HelmError, match=r"chart requires kubeVersion: >=1\.31\.0-0 which is incompatible.* v1\.30\.4"):
        run_helm(helm, "template", str(CHART), "--kube-version=1.30.4")


def test_versions_of_cloud_providers_are_taken(programs: ChartPrograms) -> None:
    """Some clusters tell a version that semantic versioning takes for one before the release."""
    for version in ("1.31.0-gke.100", "1.31.4-eks-5ca49cb", "1.37.2+k3s1"):
        assert render(programs.helm, VALUES["nothing"], f"--kube-version={version}")

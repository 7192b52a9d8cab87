"""A wrong value is refused by a message that names it."""

from pathlib import Path
from typing import Any

import pytest

from fulfillment_local.programs import ChartPrograms
from support.chart_rendering import CHART, VALUES, HelmError, render, run_helm


def job(**pod: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": pod}}}


def budget(**numbers: Any) -> dict[str, Any]:
    return {"podDisruptionBudget": numbers}


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
        (
            {"backend": {"routes": [{"backend": "log", "when": {"paymentLink": "https://buy.stripe.com/1"}}]}},
            ["plink_"],
        ),
        ({"backend": {"routes": [{"backend": "log", "when": {"mode": "setup"}}]}}, ["when", "mode", "subscription"]),
        ({"backend": {"routes": [{"backend": "log", "when": {"livemode": "yes"}}]}}, ["livemode", "boolean"]),
        ({"backend": {"routes": [{"backend": "log", "when": {"price": ""}}]}}, ["when", "price", "1"]),
        ({"backend": {"routes": [{"backend": "log", "when": {"metadata": {"a": 1}}}]}}, ["metadata", "a", "string"]),
        ({"backend": {"routes": [{"backend": "log", "when": {"metadata": {"a": "x" * 501}}}]}}, ["metadata", "500"]),
        ({"backend": {"deadline": "-1h"}}, ["backend", "deadline", "ms|s|m|h"]),
        ({"backend": {"job": {"template": {"containers": []}}}}, ["job", "template", "containers"]),
        ({"backend": {"job": {"template": {"spec": {}}}}}, ["job", "template", "spec"]),
        ({"backend": {"job": {"template": job(containers=[])}}}, ["job", "template", "spec", "containers", "1"]),
        ({"backend": {"job": {"template": job(containers=[{}])}}}, ["job", "template", "containers", "0", "name"]),
        ({"backend": {"job": {"template": {"metadata": {"name": "a"}}}}}, ["job", "template", "metadata", "name"]),
        ({"recovery": {"enabled": "yes"}}, ["recovery", "enabled", "boolean"]),
        ({"recovery": {"schedule": "hourly"}}, ["recovery", "schedule", "@"]),
        ({"recovery": {"schedule": "17 * * *"}}, ["recovery", "schedule", "@"]),
        ({"recovery": {"lookBack": "3d"}}, ["recovery", "lookBack", "ms|s|m|h"]),
        ({"recovery": {"lookBack": 72}}, ["recovery", "lookBack", "string"]),
        ({"recovery": {"backoffLimit": -1}}, ["recovery", "backoffLimit", "0"]),
        ({"retention": "45d"}, ["retention", "ms|s|m|h"]),
        ({"retention": 45}, ["retention", "string"]),
        ({"stripe": {"paymentLinks": ["https://buy.stripe.com/1"]}}, ["stripe", "paymentLinks", "0", "plink_"]),
        ({"stripe": {"metadata": {"app": "a b"}}}, ["stripe", "metadata", "app"]),
        ({"stripe": {"allowedSources": {"addresses": ["hooks.stripe.com"]}}}, ["allowedSources", "addresses", "0"]),
        ({"stripe": {"metadata": {"app": 1}}}, ["stripe", "metadata", "app", "string"]),
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
        (
            {"backend": {"name": "ship"}},
            "backend.name is ship, which this image does not have: it has log, http, job, manual, none",
        ),
        (
            {"backend": {"routes": [{"backend": "log"}, {"backend": "ship"}]}},
            "backend.routes[1].backend is ship, which this image does not have",
        ),
        *(
            ({"webhook": budget(**numbers)}, f"webhook.podDisruptionBudget.{said}")
            for numbers, said in (
                ({"maxUnavailable": 0}, "maxUnavailable is 0: no node with one of these pods could ever be drained"),
                ({"maxUnavailable": "0%"}, "maxUnavailable is 0%: no node"),
                ({"minAvailable": 2}, "minAvailable is 2, and webhook.replicas is 2: no node"),
                ({"minAvailable": "100%"}, "minAvailable is 100%, and webhook.replicas is 2: no node"),
                ({"minAvailable": "51%"}, "minAvailable is 51%, and webhook.replicas is 2: no node"),
            )
        ),
        (
            {"webhook": {"autoscaling": {"enabled": True}, **budget(minAvailable=2)}},
            "webhook.podDisruptionBudget.minAvailable is 2, and webhook.autoscaling.minReplicas is 2: no node",
        ),
        (
            {"operator": budget(enabled=True, minAvailable=1)},
            "operator.podDisruptionBudget.minAvailable is 1, and operator.replicas is 1: no node",
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
        *(
            (
                {"retention": short},
                (
                    "retention must be at least 744h (31 days), or 0s to keep every order: Stripe can send an event "
                    "again for 30 days, and one about a deleted order would fulfill it twice"
                ),
            )
            for short in ("743h59m59s", "720h", "1s", "1ms")
        ),
        *(
            (
                {"recovery": {"lookBack": span}},
                "recovery.lookBack must be at least 1s, and at most 720h (30 days): Stripe lists no older events",
            )
            for span in ("720h1s", "43201m", "999ms", "0s")
        ),
        *(
            (values, f"{name} must be more than 0s")
            for name, values in (
                ("stripe.timeout", {"stripe": {"timeout": "0s"}}),
                ("backend.retryMax", {"backend": {"retryMax": "0s"}}),
                ("backend.http.timeout", {"backend": {"http": {"timeout": "0ms"}}}),
                ("mail.smtp.timeout", {"mail": {"smtp": {"timeout": "0s"}}}),
                ("webhook.tolerance", {"webhook": {"tolerance": "0h0m"}}),
                ("webhook.deadline", {"webhook": {"deadline": "0s"}}),
                ("operator.recheckInterval", {"operator": {"recheckInterval": "0.0s"}}),
                ("operator.reversalInterval", {"operator": {"reversalInterval": "0s"}}),
            )
        ),
        ({"webhook": {"deadline": "10s"}}, "webhook.deadline must be more than 0s and less than 10s"),
        (
            {"webhook": {"tolerance": "541s"}},
            "webhook.tolerance must be at most 9m: with a clock that is ten minutes slow",
        ),
        ({"webhook": {"drain": "5m1s"}}, "webhook.drain must be at most 5m"),
        (
            {"webhook": {"drain": "22s"}},
            (
                "webhook.terminationGracePeriodSeconds must be more than webhook.drain and webhook.deadline together: "
                "a pod would be killed with events in its hands"
            ),
        ),
        ({"mail": {"smtp": {"host": "mail.example"}}}, "mail.from is not set: mails need a sender"),
        ({"mail": {"receipts": True}}, "mail.smtp.host is not set: mail.receipts mails receipts by it"),
        ({"page": {"drain": "5m1s"}}, "page.drain must be at most 5m"),
        (
            {"page": {"drain": "21s"}},
            "page.terminationGracePeriodSeconds must be more than page.drain and the 9 seconds",
        ),
        ({"page": {"ingress": {"enabled": True}}}, "page.ingress.hosts is empty: name the hosts"),
        ({"page": {"httpRoute": {"enabled": True}}}, "page.httpRoute.parentRefs is empty: name the Gateway"),
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


@pytest.mark.parametrize(
    "values",
    [
        {"retention": "0s"},
        {"retention": "744h"},
        {"retention": "743h60m"},
        {"recovery": {"lookBack": "720h"}},
        {"recovery": {"lookBack": "1s"}},
        {"recovery": {"schedule": "@hourly"}},
        {"recovery": {"schedule": "*/5  9-17 * * MON-FRI"}},
        {"webhook": {"deadline": "9999ms", "drain": "20s"}},
        {"backend": {"deadline": "0s"}},
        {"backend": {"name": "ship"}, "image": {"tag": "ours"}},
        {"backend": {"name": "ship"}, "image": {"repository": "shop/fulfillment"}},
        {"webhook": budget(minAvailable="50%")},
        {"webhook": {"replicas": None, **budget(minAvailable=5)}},
        {"operator": budget(minAvailable=1)},
    ],
    ids=str,
)
def test_what_is_just_right_is_taken(helm: Path, values: dict[str, Any]) -> None:
    """The bounds themselves belong to what is allowed."""
    assert render(helm, values)


def test_an_old_kubernetes_is_refused(helm: Path) -> None:
    """The message names the version that is needed."""
    with pytest.raises(HelmError, match=r"chart requires kubeVersion: >=1\.31\.0-0 which is incompatible.* v1\.30\.4"):
        run_helm(helm, "template", str(CHART), "--kube-version=1.30.4")


def test_versions_of_cloud_providers_are_taken(programs: ChartPrograms) -> None:
    """Some clusters tell a version that semantic versioning takes for one before the release."""
    for version in ("1.31.0-gke.100", "1.31.4-eks-5ca49cb", "1.37.2+k3s1"):
        assert render(programs.helm, VALUES["nothing"], f"--kube-version={version}")

"""Makes of a ServiceMonitor or a PodMonitor what Prometheus scrapes, as the Prometheus operator does.

But for the way: the pods are reached by `kubectl proxy` and the API server, so that a Prometheus outside of the cluster
reaches them in any cluster.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct, field


class Endpoint(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How a port is scraped. What is not listed here is refused, so that nothing the chart says is passed over."""

    port: str
    path: str
    honor_labels: bool
    interval: str | None = None
    scrape_timeout: str | None = None
    relabelings: Sequence[dict[str, Any]] = ()
    metric_relabelings: Sequence[dict[str, Any]] = ()


class Selector(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    match_labels: dict[str, str]


class Namespaces(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    match_names: list[str]


class MonitorSpec(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    selector: Selector
    namespace_selector: Namespaces
    endpoints: list[Endpoint] = field(default_factory=list)
    pod_metrics_endpoints: list[Endpoint] = field(default_factory=list)


class Metadata(Struct, frozen=True):
    name: str
    namespace: str


class Monitor(Struct, frozen=True):
    """A ServiceMonitor or a PodMonitor."""

    kind: Literal["ServiceMonitor", "PodMonitor"]
    metadata: Metadata
    spec: MonitorSpec


ScrapeConfig = dict[str, Any]


def scrape_configs(monitor: Monitor, api_server: str) -> list[ScrapeConfig]:
    """Write Prometheus' configuration for a monitor.

    Args:
        monitor: the monitor.
        api_server: the URL of `kubectl proxy`.
    """
    endpoints = monitor.spec.endpoints or monitor.spec.pod_metrics_endpoints
    return [_scrape_config(monitor, number, endpoint, api_server) for number, endpoint in enumerate(endpoints)]


def _scrape_config(monitor: Monitor, number: int, endpoint: Endpoint, api_server: str) -> ScrapeConfig:
    of_pods = monitor.kind == "PodMonitor"
    found_by = "pod" if of_pods else "service"
    port = "pod_container_port_name" if of_pods else "endpointslice_port_name"
    config = {
        "job_name": f"{monitor.kind}/{monitor.metadata.namespace}/{monitor.metadata.name}/{number}",
        "honor_labels": endpoint.honor_labels,
        "scrape_interval": endpoint.interval,
        "scrape_timeout": endpoint.scrape_timeout,
        "kubernetes_sd_configs": [
            {
                "role": "pod" if of_pods else "endpointslice",
                "api_server": api_server,
                "namespaces": {"names": monitor.spec.namespace_selector.match_names},
            }
        ],
        "relabel_configs": [
            *(_keep(f"{found_by}_label_{_safe(k)}", v) for k, v in monitor.spec.selector.match_labels.items()),
            _keep(port, endpoint.port),
            {"action": "drop", "source_labels": ["__meta_kubernetes_pod_phase"], "regex": "(Failed|Succeeded)"},
            _label("instance", "__address__"),
            _label("namespace", "__meta_kubernetes_namespace"),
            _label("pod", "__meta_kubernetes_pod_name"),
            _label("container", "__meta_kubernetes_pod_container_name"),
            *([] if of_pods else [_label("service", "__meta_kubernetes_service_name")]),
            *([] if of_pods else [_label("job", "__meta_kubernetes_service_name")]),
            *([{"target_label": "job", "replacement": _job(monitor)}] if of_pods else []),
            {"target_label": "endpoint", "replacement": endpoint.port},
            *endpoint.relabelings,
            *_by_way_of(api_server, endpoint.path),
        ],
        "metric_relabel_configs": [*endpoint.metric_relabelings],
    }
    return {key: value for key, value in config.items() if value is not None}


def _by_way_of(api_server: str, path: str) -> list[dict[str, Any]]:
    return [
        {
            "source_labels": ["__meta_kubernetes_namespace", "__meta_kubernetes_pod_name", "__address__"],
            "regex": r"(.+);(.+);.+:(\d+)",
            "target_label": "__metrics_path__",
            "replacement": f"/api/v1/namespaces/$1/pods/$2:$3/proxy{path}",
        },
        {"target_label": "__address__", "replacement": urlsplit(api_server).netloc},
    ]


def _keep(label: str, value: str) -> dict[str, Any]:
    return {"action": "keep", "source_labels": [f"__meta_kubernetes_{label}"], "regex": re.escape(value)}


def _label(target: str, source: str) -> dict[str, Any]:
    return {"source_labels": [source], "target_label": target}


def _job(monitor: Monitor) -> str:
    return f"{monitor.metadata.namespace}/{monitor.metadata.name}"


def _safe(label: str) -> str:
    return re.sub("[^a-zA-Z0-9_]", "_", label)

"""The programs that the world on one machine runs: where each comes from, and which others will do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fulfillment_local.go_modules import GoModule


@dataclass(frozen=True, slots=True)
class Program:
    """A program, and how it is had."""

    name: str
    module: GoModule
    package: str
    """Its import path."""
    build_time: str
    """On 2 cores, for the person who waits."""
    ask_version: Sequence[str] = ()
    """The arguments by which it tells its version."""
    oldest: tuple[int, ...] = ()
    """The oldest that will do, if there is one on the machine. Empty: only the pinned one will do."""


_TELLS_KUBERNETES = "k8s.io/component-base/version"


def _kubernetes(folder: str, version: str) -> GoModule:
    major, minor, _ = version.split(".")
    told = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    linked = tuple(f"{_TELLS_KUBERNETES}.{name}={value}" for name, value in told.items())
    return GoModule(folder, version, linked)


KUBERNETES = _kubernetes("kubernetes", "1.37.2")
# Selectable fields of custom resources are on by default from Kubernetes 1.31.
KUBE_APISERVER = Program(
    "kube-apiserver",
    KUBERNETES,
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "about 4 minutes on 2 cores",
    ("--version",),
    (1, 31),
)
# The oldest 3.5 whose watch progress the API server trusts (k8s.io/apiserver, storage/feature).
ETCD = Program("etcd", KUBERNETES, "go.etcd.io/etcd/server/v3", "under a minute", ("--version",), (3, 5, 13))
KUBECTL = Program(
    "kubectl",
    KUBERNETES,
    "k8s.io/kubernetes/cmd/kubectl",
    "about a minute",
    ("version", "--client"),
    KUBE_APISERVER.oldest,
)
OLDER_KUBERNETES: Mapping[str, tuple[Program, Program]] = {
    minor: (
        Program("kube-apiserver", module, KUBE_APISERVER.package, KUBE_APISERVER.build_time),
        Program("kubectl", module, KUBECTL.package, KUBECTL.build_time),
    )
    for minor, module in {
        "1.31": _kubernetes("kubernetes-1.31", "1.31.14"),
        "1.34": _kubernetes("kubernetes-1.34", "1.34.4"),
    }.items()
}
"""What `make test-kubernetes` tries the product on beside today's: the oldest that it supports, and one between."""

STRIPE_MOCK = Program(
    "stripe-mock", GoModule("stripe-mock", "0.203.0"), "github.com/stripe/stripe-mock", "under a minute"
)

HELM = Program(
    "helm",
    GoModule("helm", "4.3.1", linked=("helm.sh/helm/v4/internal/version.version=v4.3.1",)),
    "helm.sh/helm/v4/cmd/helm",
    "about 2 minutes on 2 cores",
    ("version", "--short"),
    (4,),
)
_TELLS_HELM_3 = "helm.sh/helm/v3"
OLDEST_HELM = Program(
    "helm",
    GoModule(
        "helm-3.14",
        "3.14.4",
        linked=(
            f"{_TELLS_HELM_3}/internal/version.version=v3.14.4",
            f"{_TELLS_HELM_3}/pkg/chartutil.k8sVersionMajor=1",
            f"{_TELLS_HELM_3}/pkg/chartutil.k8sVersionMinor=29",
        ),
    ),
    "helm.sh/helm/v3/cmd/helm",
    "about a minute",
)
KUBECONFORM = Program(
    "kubeconform",
    GoModule("kubeconform", "0.8.0", linked=("main.version=v0.8.0",)),
    "github.com/yannh/kubeconform/cmd/kubeconform",
    "a few seconds",
    ("-v",),
    (0, 6),
)
REGISTRY = Program(
    "registry",
    GoModule("registry", "3.1.2"),
    "github.com/distribution/distribution/v3/cmd/registry",
    "under a minute",
)
HELM_UNITTEST = Program(
    "helm-unittest",
    GoModule("helm-unittest", "1.1.2"),
    "github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
    "under a minute",
)
HELM_DOCS = Program(
    "helm-docs",
    GoModule("helm-docs", "1.14.2", linked=("main.version=1.14.2",)),
    "github.com/norwoodj/helm-docs/cmd/helm-docs",
    "a few seconds",
)

# Discovery of targets in Kubernetes, in files and by HTTP; in every cloud as well would triple the time to build.
_PROMETHEUS = GoModule(
    "prometheus",
    "3.16.0",
    linked=("github.com/prometheus/common/version.Version=3.16.0",),
    tags=("remove_all_sd", "enable_kubernetes_sd"),
)
# Prometheus 3 has other bounds of a range than Prometheus 2, and the alerts are tried with one of them.
PROMETHEUS = Program(
    "prometheus",
    _PROMETHEUS,
    "github.com/prometheus/prometheus/cmd/prometheus",
    "about 2 minutes on 2 cores",
    ("--version",),
    (3,),
)
PROMTOOL = Program(
    "promtool",
    _PROMETHEUS,
    "github.com/prometheus/prometheus/cmd/promtool",
    "a few seconds",
    PROMETHEUS.ask_version,
    PROMETHEUS.oldest,
)

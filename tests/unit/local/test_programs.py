import errno
import fcntl
import hashlib
import io
import json
import os
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from fulfillment_local import versions
from fulfillment_local.go_modules import MODULES, GoModule, build_from_module
from fulfillment_local.programs import (
    Programs,
    find_chart_programs,
    find_helm,
    find_older_kubernetes,
    find_programs,
    find_prometheus,
    find_registry,
    find_stripe_mock,
    main,
)
from fulfillment_runtime.fatal_errors import UnavailableError

NAMES = ("etcd", "kube-apiserver", "kubectl")
NEW_ENOUGH = {
    "etcd": "etcd Version: 3.5.13",
    "kube-apiserver": "Kubernetes v1.31.0",
    "kubectl": "Client Version: v1.31.0",
}
NO_INDEX = "http://127.0.0.1:1/"  # nothing listens there


@dataclass
class Machine:
    """A machine that has only what a test puts there."""

    home: Path
    environ: dict[str, str]
    said: list[str] = field(default_factory=list)
    built: list[str] = field(default_factory=list)

    @property
    def cache(self) -> Path:
        return self.home / ".cache/checkout-fulfillment/kubernetes-1.37.2"

    def install(self, name: str, says: str, variable: str = "PATH") -> Path:
        """Put a program into the folder that a variable names."""
        program = Path(self.environ[variable]) / name
        program.write_text(f"#!/bin/sh\necho '{says}'\n")
        program.chmod(0o755)
        return program

    def find(self, index_url: str = NO_INDEX) -> Programs:
        return find_programs(self.environ, index_url=index_url, build=self.build, say=self.said.append)

    def build(self, module: GoModule, package: str, target: Path, environ: Mapping[str, str]) -> None:
        assert environ == self.environ
        assert f"\t{package}\n" in tools(module)
        self.built.append(package)
        target.write_text("built")

    def content(self) -> dict[str, str]:
        """Return what the cache has: program → content."""
        return {each.name: each.read_text() for each in self.cache.iterdir() if each.name != "lock"}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    environ = {"HOME": str(tmp_path)}
    for variable in ("PATH", "KUBEBUILDER_ASSETS"):
        folder = tmp_path / variable
        folder.mkdir()
        environ[variable] = str(folder)
    return Machine(tmp_path, environ)


@dataclass
class Site:
    """A web site with an index of archives and the archives."""

    url: str
    files: dict[str, bytes]

    @property
    def index_url(self) -> str:
        return f"{self.url}/index.yaml"

    def publish(self, *versions: str, programs: tuple[str, ...] = NAMES, sha512: str | None = None) -> None:
        """Publish an archive for each version, for every platform; `sha512` is a hash other than the right one."""
        releases = {}
        for version in versions:
            content = archive(version, programs)
            self.files[f"/{version}.tar.gz"] = content
            entry = {
                "hash": sha512 or hashlib.sha512(content).hexdigest(),
                "selfLink": f"{self.url}/{version}.tar.gz",
            }
            releases[version] = {
                f"envtest-{version}-{system}-{architecture}.tar.gz": entry
                for system in ("linux", "darwin")
                for architecture in ("amd64", "arm64", "ppc64le", "s390x")
            }
        self.files["/index.yaml"] = json.dumps({"releases": releases}).encode()


@pytest.fixture
def site() -> Iterator[Site]:
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Site(f"http://127.0.0.1:{server.server_port}", files)
        server.shutdown()
        thread.join()


def archive(version: str, programs: tuple[str, ...]) -> bytes:
    """Make an archive as it is published: the programs in folders of no meaning, and a link that points outside."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as content:
        link = tarfile.TarInfo("controller-tools/envtest/etcd")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        content.addfile(link)
        for name in programs:
            data = f"{name} {version}".encode()
            member = tarfile.TarInfo(f"../controller-tools/envtest/{name}")
            member.size = len(data)
            content.addfile(member, io.BytesIO(data))
    return file.getvalue()


def go_mod(module: str) -> str:
    return (MODULES / module / "go.mod").read_text(encoding="utf-8")


def tools(module: GoModule) -> str:
    """Return the lines that name a module's programs, each as `go mod edit` indents it."""
    lines = re.findall(r"^tool (?:\(\n(.*?)\)|(.*?)\n)", f"{go_mod(module.name)}\n", re.DOTALL | re.MULTILINE)
    return "".join(several or f"\t{one}\n" for several, one in lines)


def publish_index_only(site: Site) -> None:
    site.publish("v1.37.2")
    del site.files["/v1.37.2.tar.gz"]


def test_programs_of_the_machine_are_used(machine: Machine) -> None:
    """Programs in KUBEBUILDER_ASSETS come first, then those in PATH; nothing is downloaded or built."""
    etcd = machine.install("etcd", NEW_ENOUGH["etcd"], "KUBEBUILDER_ASSETS")
    for name, says in NEW_ENOUGH.items():
        machine.install(name, says)

    assert machine.find() == Programs(
        etcd=etcd, kube_apiserver=machine.home / "PATH/kube-apiserver", kubectl=machine.home / "PATH/kubectl"
    )
    assert (machine.said, machine.built) == ([], [])


@pytest.mark.parametrize(
    ("name", "says", "complaint"),
    [
        ("kube-apiserver", "Kubernetes v1.30.14", "is 1.30.14, and 1.31 or newer is needed"),
        ("kubectl", "Client Version: v1.9.11-dispatcher", "is 1.9.11, and 1.31 or newer is needed"),
        ("etcd", "etcd Version: 3.5.12", "is 3.5.12, and 3.5.13 or newer is needed"),
        ("etcd", "what?", "does not tell its version, and 3.5.13 or newer is needed"),
    ],
)
def test_a_program_that_is_too_old_is_passed_over(machine: Machine, name: str, says: str, complaint: str) -> None:
    """A program in PATH that is too old, or is something else, is named and not used."""
    for each, new_enough in NEW_ENOUGH.items():
        machine.install(each, new_enough)
    found = machine.install(name, says)

    programs = machine.find()

    assert machine.said[0] == f"{name}: {found} (PATH) {complaint}: passed over"
    assert {"etcd": programs.etcd, "kube-apiserver": programs.kube_apiserver, "kubectl": programs.kubectl}[
        name
    ] == machine.cache / name


def test_a_program_that_cannot_run_is_passed_over(machine: Machine) -> None:
    """A program for another platform is not used."""
    machine.install("etcd", "").write_bytes(b"\x7fELF of another machine")

    assert machine.find().etcd == machine.cache / "etcd"


def test_missing_programs_are_downloaded_once(machine: Machine, site: Site) -> None:
    """The published archive fills the cache with executable programs; the next time they are just there."""
    site.publish("v1.37.2")

    first = machine.find(site.index_url)
    said = list(machine.said)
    second = machine.find(NO_INDEX)

    assert first == second == Programs(*(machine.cache / name for name in NAMES))
    assert machine.content() == {name: f"{name} v1.37.2" for name in NAMES}
    assert all(os.access(machine.cache / name, os.X_OK) for name in NAMES)
    assert machine.said == said
    assert said == [
        f"kube-apiserver, etcd, kubectl: downloading {site.url}/v1.37.2.tar.gz (about a minute, once)",
    ]
    assert machine.built == []


@pytest.mark.parametrize(
    ("published", "taken"),
    [
        (("v1.36.9", "v1.37.0", "v1.37.2", "v1.37.10", "v1.38.0"), "v1.37.2"),
        (("v1.36.9", "v1.37.0", "v1.37.10", "v1.37.9", "v1.37.11-rc.0", "v1.38.0"), "v1.37.10"),
    ],
    ids=["the pinned one", "the newest of its minor version"],
)
def test_which_version_is_downloaded(machine: Machine, site: Site, published: tuple[str, ...], taken: str) -> None:
    """The pinned version is taken if it is published, else the newest of its minor version; never another."""
    site.publish(*published)

    machine.find(site.index_url)

    assert machine.content()["etcd"] == f"etcd {taken}"


@pytest.mark.parametrize(
    ("published", "reason"),
    [
        (lambda site: site.publish("v1.37.2", sha512="0" * 128), "its SHA-512 is not the published one"),
        (lambda site: site.publish("v1.37.2", programs=("etcd", "kubectl")), "the archive lacks kube-apiserver"),
        (lambda site: site.publish("v1.36.0", "v1.38.0"), r"has no Kubernetes 1\.37 for \w+-\w+"),
        (lambda site: site.files.update({"/index.yaml": b"releases: [1]"}), "cannot be read"),
        (lambda site: site.files.update({"/index.yaml": b"\tno: yaml"}), "cannot be read"),
        (publish_index_only, "Not Found"),
        (lambda site: site.files.clear(), "Not Found"),
    ],
    ids=["another hash", "a program lacks", "no such version", "another form", "not YAML", "no archive", "no index"],
)
def test_what_cannot_be_downloaded_is_built(
    machine: Machine, site: Site, published: Callable[[Site], None], reason: str
) -> None:
    """An archive that is not what was published is refused, whole; the reason is told, and all is built."""
    published(site)

    machine.find(site.index_url)

    assert machine.content() == dict.fromkeys(NAMES, "built")
    (told,) = [line for line in machine.said if "not downloaded" in line]
    assert re.search(reason, told)


def test_without_a_network_missing_programs_are_built(machine: Machine) -> None:
    """Where the index cannot be reached, each program is built, and each step is told in one line."""
    machine.install("kubectl", NEW_ENOUGH["kubectl"])

    programs = machine.find(NO_INDEX)

    assert programs.kube_apiserver == machine.cache / "kube-apiserver"
    assert machine.built == ["k8s.io/kubernetes/cmd/kube-apiserver", "go.etcd.io/etcd/server/v3"]
    refused = f"[Errno {errno.ECONNREFUSED}] Connection refused"
    assert machine.said == [
        f"kube-apiserver, etcd: not downloaded: {NO_INDEX} cannot be read ({refused})",
        "kube-apiserver: building from source (about 4 minutes on 2 cores, once)",
        "etcd: building from source (under a minute, once)",
    ]


def test_a_build_that_fails_leaves_nothing_half_made(machine: Machine) -> None:
    """What was built before a failure is kept, and what failed is not; the next time only that is built."""

    def fail_at_etcd(module: GoModule, package: str, target: Path, environ: Mapping[str, str]) -> None:
        machine.build(module, package, target, environ)
        if target.name == "etcd":
            raise UnavailableError("no more space")

    with pytest.raises(UnavailableError, match="no more space"):
        find_programs(machine.environ, index_url=NO_INDEX, build=fail_at_etcd, say=machine.said.append)
    assert machine.content() == {"kube-apiserver": "built"}

    machine.built.clear()
    machine.find()
    assert machine.built == ["go.etcd.io/etcd/server/v3", "k8s.io/kubernetes/cmd/kubectl"]


def test_what_a_killed_process_left_is_cleared(machine: Machine) -> None:
    """A half-made program of a process that was killed never becomes a program."""
    left = machine.cache / "partial" / "helm"
    left.parent.mkdir(parents=True)
    left.write_text("half")

    machine.find()

    assert machine.content() == dict.fromkeys(NAMES, "built")


def test_two_processes_at_once_build_once(machine: Machine) -> None:
    """A process that comes second waits, says so, and uses what the first one made."""
    machine.cache.mkdir(parents=True)
    waiting = threading.Event()
    found = []

    def say(line: str) -> None:
        machine.said.append(line)
        waiting.set()

    second = threading.Thread(
        target=lambda: found.append(
            find_programs(machine.environ, index_url=NO_INDEX, build=machine.build, say=say),
        )
    )
    with (machine.cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second.start()
        assert waiting.wait(timeout=60)
        for name in NAMES:
            (machine.cache / name).write_text("by the first")
    second.join()

    assert found == [Programs(*(machine.cache / name for name in NAMES))]
    assert machine.built == []
    assert machine.said == [
        "kube-apiserver, etcd, kubectl: another process is getting them; waiting for it (a few minutes at most)"
    ]


def test_the_cache_is_where_xdg_says(machine: Machine, tmp_path: Path) -> None:
    """XDG_CACHE_HOME moves the cache."""
    machine.environ["XDG_CACHE_HOME"] = str(tmp_path / "elsewhere")

    assert machine.find().etcd == tmp_path / "elsewhere/checkout-fulfillment/kubernetes-1.37.2/etcd"


def test_stripe_mock_is_built_once(machine: Machine) -> None:
    """Stripe's mock is built into the cache; one in PATH, which may be of any version, is not used."""
    machine.install("stripe-mock", "stripe-mock 0.1.0")

    first = find_stripe_mock(machine.environ, build=machine.build, say=machine.said.append)
    second = find_stripe_mock(machine.environ, build=machine.build, say=machine.said.append)

    assert first == second == machine.home / ".cache/checkout-fulfillment/stripe-mock-0.203.0/stripe-mock"
    assert machine.built == ["github.com/stripe/stripe-mock"]


def test_an_older_kubernetes_has_a_folder_of_its_own(machine: Machine, site: Site) -> None:
    """Whatever the machine has: the API server and the kubectl of its archive, for KUBEBUILDER_ASSETS."""
    for name in NAMES:
        machine.install(name, NEW_ENOUGH[name])
    site.publish("v1.31.0", "v1.34.1", "v1.37.2")

    folder = find_older_kubernetes("1.34", machine.environ, index_url=site.index_url, say=machine.said.append)

    assert folder == machine.home / ".cache/checkout-fulfillment/kubernetes-1.34-1.34.4"
    assert {each.name: each.read_text() for each in folder.iterdir() if each.name != "lock"} == {
        name: f"{name} v1.34.1" for name in ("kube-apiserver", "kubectl")
    }
    assert machine.built == []


def test_helm_of_the_machine_is_used_when_it_is_helm_4(machine: Machine) -> None:
    """Helm 4 in PATH is used; Helm 3 is passed over, and Helm 4 built."""
    installed = machine.install("helm", "v4.0.1+g12500dd")
    assert find_helm(machine.environ, build=machine.build, say=machine.said.append) == installed

    machine.install("helm", "v3.20.0+gb2e4314")
    found = find_helm(machine.environ, build=machine.build, say=machine.said.append)

    assert found == machine.home / ".cache/checkout-fulfillment/helm-4.3.1/helm"
    assert machine.built == ["helm.sh/helm/v4/cmd/helm"]
    assert machine.said == [
        f"helm: {installed} (PATH) is 3.20.0, and 4 or newer is needed: passed over",
        "helm: building from source (about 2 minutes on 2 cores, once)",
    ]


def test_prometheus_of_the_machine_is_used_when_it_is_prometheus_3(machine: Machine) -> None:
    """Prometheus 3 in PATH is used; the promtool of Prometheus 2 beside it is not, so that one is built."""
    installed = machine.install("prometheus", "prometheus, version 3.5.0 (branch: HEAD, revision: 8be3a95)")
    machine.install("promtool", "promtool, version 2.53.3+ds1 (branch: debian/sid, revision: 2.53.3)")

    found = find_prometheus(machine.environ, build=machine.build, say=machine.said.append)

    assert found.prometheus == installed
    assert found.promtool == machine.home / ".cache/checkout-fulfillment/prometheus-3.16.0/promtool"


def test_the_oldest_helm_is_always_the_pinned_one(machine: Machine) -> None:
    """What tries the chart with Helm 3.14 uses exactly that, whatever Helm is in PATH."""
    installed = machine.install("helm", "v4.3.1")

    found = find_chart_programs(machine.environ, build=machine.build, say=machine.said.append)

    assert found.helm == installed
    assert found.oldest_helm == machine.home / ".cache/checkout-fulfillment/helm-3.14-3.14.4/helm"


def test_without_go_it_says_what_to_install(machine: Machine) -> None:
    """Where a program cannot be had in any way, one line says what to do."""
    with pytest.raises(UnavailableError) as failure:
        find_programs(machine.environ, index_url=NO_INDEX, say=machine.said.append)

    assert failure.value.message == (
        "kube-apiserver is not on this machine, and there is no Go to build it: install Go 1.26 or newer "
        "(https://go.dev/dl), or put kube-apiserver into PATH"
    )


def test_what_go_says_of_a_failure_is_told(machine: Machine, tmp_path: Path) -> None:
    """The end of what Go says stands in the error."""
    go = machine.install("go", "")
    go.write_text("#!/bin/sh\nfor line in 1 2 3 4 5 6; do echo line $line >&2; done\nexit 2\n")

    with pytest.raises(UnavailableError) as failure:
        build_from_module(GoModule("kubernetes", "1"), "example.org/program", tmp_path / "program", machine.environ)

    message, *lines = failure.value.message.splitlines()
    assert re.fullmatch(r"program cannot be built from .*/local/modules/kubernetes/go\.mod:", message)
    assert lines == ["line 2", "line 3", "line 4", "line 5", "line 6"]


def test_how_go_is_called(machine: Machine, tmp_path: Path) -> None:
    """Go builds in the module's folder, statically, and with the flags by which its cache is shared."""
    go = machine.install("go", "")
    go.write_text(f'#!/bin/sh\nprintf "%s\\n" "$PWD" "$CGO_ENABLED" "$GOWORK" "$@" > {tmp_path}/called\n')
    module = GoModule(
        "prometheus", "1", linked=("example.org/version.Version=1", "main.other=2"), tags=("few", "small")
    )

    build_from_module(module, "example.org/program", tmp_path / "program", machine.environ)

    assert (tmp_path / "called").read_text().splitlines() == [
        str(MODULES / "prometheus"),
        "0",
        "off",
        "build",
        "-trimpath",
        "-ldflags",
        "-s -w -X example.org/version.Version=1 -X main.other=2",
        "-tags",
        "few,small",
        "-o",
        str(tmp_path / "program"),
        "example.org/program",
    ]


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (versions.KUBE_APISERVER, "k8s.io/kubernetes v{version} // indirect"),
        (versions.KUBE_APISERVER, "k8s.io/apiserver => k8s.io/apiserver v0.37.2"),
        (versions.OLDER_KUBERNETES["1.31"][0], "k8s.io/kubernetes v{version} // indirect"),
        (versions.OLDER_KUBERNETES["1.31"][0], "k8s.io/apiserver => k8s.io/apiserver v0.31.14"),
        (versions.OLDER_KUBERNETES["1.34"][1], "k8s.io/kubernetes v{version} // indirect"),
        (versions.OLDER_KUBERNETES["1.34"][1], "k8s.io/kubectl => k8s.io/kubectl v0.34.4"),
        (versions.STRIPE_MOCK, "github.com/stripe/stripe-mock v{version} // indirect"),
        (versions.HELM, "helm.sh/helm/v4 v{version} // indirect"),
        (versions.OLDEST_HELM, "helm.sh/helm/v3 v{version} // indirect"),
        (versions.KUBECONFORM, "github.com/yannh/kubeconform v{version} // indirect"),
        (versions.HELM_UNITTEST, "github.com/helm-unittest/helm-unittest v{version} // indirect"),
        (versions.HELM_DOCS, "github.com/norwoodj/helm-docs v{version} // indirect"),
        # The modules of Prometheus 3.16.0 are v0.316.0.
        (versions.PROMETHEUS, "github.com/prometheus/prometheus v0.316.0 // indirect"),
    ],
)
def test_the_versions_are_those_of_go_mod(program: versions.Program, line: str) -> None:
    """The versions that name the cache, the archive and the programs themselves are those that are built."""
    assert f"\t{line.format(version=program.module.version)}\n" in go_mod(program.module.name)


def test_every_module_is_used(machine: Machine) -> None:
    """What is built is what the modules name as tools, so `go mod tidy` keeps what it takes, and no more."""
    machine.find()
    for find in (find_stripe_mock, find_chart_programs, find_prometheus, find_registry):
        find(machine.environ, build=machine.build, say=machine.said.append)
    for version in versions.OLDER_KUBERNETES:
        find_older_kubernetes(version, machine.environ, index_url=NO_INDEX, build=machine.build)

    modules = [GoModule(each.name, "any") for each in MODULES.iterdir()]
    assert sorted(machine.built) == sorted("".join(map(tools, modules)).split())


def test_the_command_prints_where_they_are(machine: Machine) -> None:
    """`python -m fulfillment_local.programs` prints each program's path on a line of its own."""
    installed = [machine.install(name, NEW_ENOUGH[name]) for name in NAMES]
    mock = find_stripe_mock(machine.environ, build=machine.build, say=machine.said.append)

    result = CliRunner().invoke(main, env=machine.environ)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.split() == [*map(str, installed), str(mock)]


def test_the_command_prints_where_the_charts_programs_are(machine: Machine) -> None:
    """`python -m fulfillment_local.programs --chart` does the same for what tries the chart."""
    find_chart_programs(machine.environ, build=machine.build, say=machine.said.append)
    find_prometheus(machine.environ, build=machine.build, say=machine.said.append)
    find_registry(machine.environ, build=machine.build, say=machine.said.append)

    result = CliRunner().invoke(main, ["--chart"], env=machine.environ)

    assert (result.exit_code, result.stderr) == (0, "")
    names = ["helm", "helm", "kubeconform", "helm-unittest", "helm-docs", "prometheus", "promtool", "registry"]
    assert [Path(each).name for each in result.stdout.split()] == names


def test_the_command_prints_the_folder_of_an_older_kubernetes(machine: Machine) -> None:
    """`python -m fulfillment_local.programs --kubernetes 1.31` prints it alone, for KUBEBUILDER_ASSETS."""
    folder = find_older_kubernetes("1.31", machine.environ, index_url=NO_INDEX, build=machine.build)

    result = CliRunner().invoke(main, ["--kubernetes", "1.31"], env=machine.environ)

    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{folder}\n", "")

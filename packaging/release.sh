#!/bin/sh
# Builds the image and pushes it, then packages the chart so that it pulls that image, and pushes the chart beside it.
#
#   REGISTRY=ghcr.io/acme packaging/release.sh
#
# The image is REGISTRY/checkout-fulfillment, and the chart oci://REGISTRY/charts/checkout-fulfillment, both of the version
# in the Dockerfile. It needs Docker and Helm, both logged in (`docker login`, `helm registry login`), and a clean working
# tree: the image's label names the commit. PLATFORMS=linux/amd64,linux/arm64 builds for several, by `docker buildx`.
# IMAGE_OPTIONS are options of the build: --build-arg PYTHON_IMAGE=docker.io/library/python@sha256:… pins the base image.
# A version is of one commit: what the registry has of another one is not replaced, since nodes keep what they pulled.
# HELM_PUSH_FLAGS is for a registry that has no certificate: --plain-http.
set -eu
cd "$(dirname "$0")/.."
chart=charts/checkout-fulfillment
version=$(sed -n 's/^ARG VERSION=//p' Dockerfile)

missing=
need() {
  missing="$missing
  - $1"
}
[ -n "${REGISTRY:-}" ] || need "REGISTRY: where to push, such as REGISTRY=ghcr.io/acme"
command -v docker >/dev/null 2>&1 || need "docker, or podman under its name: https://docs.docker.com/get-docker/"
command -v helm >/dev/null 2>&1 || need "helm 3.14 or newer: https://helm.sh/docs/intro/install/"
if ! revision=$(git rev-parse HEAD 2>/dev/null); then
  need "a clone: the image's label names the commit"
elif [ -n "$(git status --porcelain 2>/dev/null)" ]; then
  need "a clean working tree: what is not committed would be in the release, and its label would name another commit"
fi
grep -q "^version: $version$" "$chart/Chart.yaml" || need "one version: the Dockerfile says $version, and $chart/Chart.yaml another"
if [ -n "$missing" ]; then
  echo "make release cannot begin. It needs:$missing" >&2
  exit 1
fi

charts=oci://$REGISTRY/charts
published=$(helm show chart "$charts/checkout-fulfillment" --version "$version" ${HELM_PUSH_FLAGS:-} 2>/dev/null) || true
if [ -n "$published" ] && ! echo "$published" | grep -qF "$revision"; then
  echo "make release stops: $charts has version $version of another commit already. Give this one a version of its own, in
  the Dockerfile (ARG VERSION) and in $chart/Chart.yaml (version and appVersion), and commit it." >&2
  exit 1
fi

image=$REGISTRY/checkout-fulfillment:$version
if [ -n "${PLATFORMS:-}" ]; then
  docker buildx build --platform "$PLATFORMS" ${IMAGE_OPTIONS:-} --build-arg "REVISION=$revision" --tag "$image" --push .
else
  docker build ${IMAGE_OPTIONS:-} --build-arg "REVISION=$revision" --tag "$image" .
  docker push "$image"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$chart" "$work/chart"
sed "s|^  registry: \"\"$|  registry: \"$REGISTRY\"|" "$chart/values.yaml" > "$work/chart/values.yaml"
sed "/^annotations:\$/a\\
\\  org.opencontainers.image.revision: \"$revision\"" "$chart/Chart.yaml" > "$work/chart/Chart.yaml"
helm package "$work/chart" --destination "$work"
helm push ${HELM_PUSH_FLAGS:-} "$work/checkout-fulfillment-$version.tgz" "$charts"
cat <<END

Published: helm install checkout-fulfillment $charts/checkout-fulfillment --version $version --namespace shop --create-namespace
END

#!/bin/sh
# Builds the product's image and that of the stand-ins, and loads both into the cluster of the current context.
#
#   packaging/images.sh [TAG]       TAG: as both charts name it, unless told otherwise
#
# It needs kubectl, Docker, and the tool that made the cluster (kind, k3d, minikube, Docker Desktop, Rancher Desktop).
# E2E_CONTEXT names a further context whose cluster is for trials. E2E_IMAGE is a command that builds an image and loads
# it in Docker's place, called as `$E2E_IMAGE . NAME:TAG [build options]`.
set -eu
cd "$(dirname "$0")/.."
tag=${1:-$(sed -n 's/^ARG VERSION=//p' Dockerfile)}

missing=
need() {
  missing="$missing
  - $1"
}
have() { command -v "$1" >/dev/null 2>&1; }

loader=
loads() {
  loader=$1
  have "$loader" || need "$loader, which made the cluster of $context, and loads images into it"
}

context=
if have kubectl; then
  context=$(kubectl config current-context 2>/dev/null) || true
  [ -n "$context" ] || need "a cluster: start one (kind create cluster), or name its kubeconfig file in KUBECONFIG"
else
  need "kubectl: https://kubernetes.io/docs/tasks/tools/"
fi
case $context in
  '') ;;
  kind-?* | k3d-?*) [ -n "${E2E_IMAGE:-}" ] || loads "${context%%-*}" ;;
  minikube) [ -n "${E2E_IMAGE:-}" ] || loads minikube ;;
  docker-desktop | rancher-desktop) ;; # the cluster's images are the engine's own
  "${E2E_CONTEXT:-}")
    [ -n "${E2E_IMAGE:-}" ] || need "E2E_IMAGE: nobody knows how images are loaded into the cluster of $context; set it to
    a command that is called as \`\$E2E_IMAGE . NAME:TAG [build options]\`"
    ;;
  *)
    need "a cluster for trials: people may live by that of the current context, $context. Use one of kind, k3d or minikube,
    or, if it is for trials, say E2E_CONTEXT=$context"
    ;;
esac
if [ -n "${E2E_IMAGE:-}" ]; then
  have "${E2E_IMAGE%% *}" || need "${E2E_IMAGE%% *}, which E2E_IMAGE names"
elif ! have docker; then
  # Not podman: it names what it builds localhost/NAME, and a kubelet looks for docker.io/library/NAME.
  need "docker: https://docs.docker.com/get-docker/; or set E2E_IMAGE, see $0"
elif ! docker info >/dev/null 2>&1; then
  need "Docker at work: \`docker info\` fails"
fi
if [ -n "$missing" ]; then
  echo "make images cannot begin. It needs:$missing" >&2
  exit 1
fi

run() {
  echo "$*"
  "$@"
}

load() { # load NAME:TAG [build options]
  image=$1
  shift
  if [ -n "${E2E_IMAGE:-}" ]; then
    run $E2E_IMAGE . "$image" "$@" # a command with its arguments
    return
  fi
  run docker build --tag "$image" "$@" .
  case $loader in
    kind) run kind load docker-image "$image" --name "${context#kind-}" ;;
    k3d) run k3d image import "$image" --cluster "${context#k3d-}" ;;
    minikube) run minikube image load "$image" ;;
  esac
}

load "checkout-fulfillment:$tag"
load "checkout-fulfillment-world:$tag" --target world --build-arg "PRODUCT_IMAGE=checkout-fulfillment:$tag"

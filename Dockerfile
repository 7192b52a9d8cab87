# One image for every subcommand: `fulfillment service`, `fulfillment operator`, ….
# Pin the base by digest where your builds can: --build-arg PYTHON_IMAGE=docker.io/library/python@sha256:…
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim
# What the stand-ins are added to: the stage below, or an image that is built already.
ARG PRODUCT_IMAGE=product

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
# The environment has no pip: nothing is installed at run time.
RUN ["python", "-m", "venv", "--without-pip", "/opt/fulfillment"]
COPY requirements.lock requirements-build.lock ./
RUN ["python", "-m", "pip", "--python", "/opt/fulfillment/bin/python", "install", "--no-cache-dir", "--no-compile", \
     "--require-hashes", "--no-deps", "--requirement", "requirements.lock"]
RUN ["python", "-m", "venv", "/opt/build"]
RUN ["/opt/build/bin/python", "-m", "pip", "install", "--no-cache-dir", "--require-hashes", "--no-deps", "--requirement", "requirements-build.lock"]
COPY pyproject.toml README.md LICENSE ./
COPY api api
COPY runtime runtime
COPY service service
COPY operator operator
COPY page page
COPY cli cli
RUN ["/opt/build/bin/python", "-m", "pip", "wheel", "--no-cache-dir", "--no-build-isolation", "--no-deps", "--no-index", \
     "--wheel-dir", "dist", "."]
RUN ["python", "-m", "pip", "--python", "/opt/fulfillment/bin/python", "install", "--no-cache-dir", "--no-compile", "--no-deps", \
     "--no-index", "--find-links", "dist", "checkout-fulfillment"]
# The root file system is read-only, so the bytecode is made now; it is never checked against sources that cannot change.
# All of it (-f: pip has imported some), by one process of a known hash seed: else the image is another one each time.
RUN ["env", "PYTHONHASHSEED=0", "/opt/fulfillment/bin/python", "-m", "compileall", "-f", "-q", "--invalidation-mode", "unchecked-hash", "/opt/fulfillment/lib"]

FROM ${PYTHON_IMAGE} AS product
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=https://github.com/checkout-fulfillment/checkout-fulfillment
LABEL org.opencontainers.image.title="checkout-fulfillment" \
      org.opencontainers.image.description="Fulfills paid Stripe Checkout Sessions, the Kubernetes way" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/fulfillment/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/fulfillment /opt/fulfillment
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 4242 4244 8081
ENTRYPOINT ["fulfillment"]

# For trying only: the stand-ins for Stripe, the mail server and the shop's endpoint, beside the product (`--target world`).
FROM ${PYTHON_IMAGE} AS build-world
WORKDIR /build
COPY requirements-build.lock ./
RUN ["python", "-m", "venv", "/opt/build"]
RUN ["/opt/build/bin/python", "-m", "pip", "install", "--no-cache-dir", "--require-hashes", "--no-deps", "--requirement", "requirements-build.lock"]
COPY local local
RUN ["/opt/build/bin/python", "-m", "pip", "wheel", "--no-cache-dir", "--no-build-isolation", "--no-deps", "--no-index", \
     "--wheel-dir", "dist", "./local"]

FROM ${PRODUCT_IMAGE} AS world
LABEL org.opencontainers.image.title="checkout-fulfillment-world"
USER 0:0
COPY requirements-local.lock /build/
RUN ["/usr/local/bin/python", "-m", "pip", "--python", "/opt/fulfillment/bin/python", "install", "--no-cache-dir", \
     "--require-hashes", "--no-deps", "--requirement", "/build/requirements-local.lock"]
COPY --from=build-world /build/dist /build/dist
RUN ["/usr/local/bin/python", "-m", "pip", "--python", "/opt/fulfillment/bin/python", "install", "--no-cache-dir", "--no-deps", \
     "--no-index", "--find-links", "/build/dist", "checkout-fulfillment-local"]
USER 65532:65532

FROM product

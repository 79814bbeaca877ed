# The image of innominatus. See docs/how-to/run-in-containers.md.
#
#   docker build -t innominatus:local .                            the platform; git is in it
#   docker build -t innominatus:local --target with-terraform .    and terraform
#   docker build -t innominatus:local --target with-kubectl .      and kubectl
#   docker build -t innominatus:local --target full .              and both
#
# terraform comes from its vendor's releases (releases.hashicorp.com), kubectl from the Kubernetes project's (dl.k8s.io).
# containers/fetch_tool.py checks each download against the SHA-256 that is published beside it, and against
# --build-arg TERRAFORM_SHA256=... or KUBECTL_SHA256=... where you give what you have checked yourself.

ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
# The version of the Makefile. UV_DEFAULT_INDEX and PIP_INDEX_URL name a package index of your own.
ARG UV_VERSION=0.13.9
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
RUN python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore "uv==${UV_VERSION}"
ENV UV_PROJECT_ENVIRONMENT=/app \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src
# What others wrote changes less often than what we write: a layer of its own.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project
COPY README.md LICENSE ./
COPY api ./api
COPY cli ./cli
COPY engine ./engine
COPY mcp_server ./mcp_server
COPY migrations ./migrations
COPY providers ./providers
RUN uv sync --frozen --no-dev --no-editable

FROM ${PYTHON_IMAGE} AS tools
COPY containers/fetch_tool.py /fetch_tool.py

FROM tools AS terraform
ARG TERRAFORM_VERSION=1.11.4
ARG TERRAFORM_SHA256=
ARG TARGETARCH
RUN python /fetch_tool.py terraform "${TERRAFORM_VERSION}" --arch "${TARGETARCH}" --sha256 "${TERRAFORM_SHA256}" --to /terraform

FROM tools AS kubectl
ARG KUBECTL_VERSION=1.34.1
ARG KUBECTL_SHA256=
ARG TARGETARCH
RUN python /fetch_tool.py kubectl "${KUBECTL_VERSION}" --arch "${TARGETARCH}" --sha256 "${KUBECTL_SHA256}" --to /kubectl

FROM ${PYTHON_IMAGE} AS runtime
# The root file system is read-only when it runs: whatever is compiled is compiled here, the standard library too.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/* \
    && python -m compileall -q "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && groupadd --gid 10001 innominatus \
    && useradd --uid 10001 --gid 10001 --home-dir /data/home --no-create-home --shell /usr/sbin/nologin innominatus \
    && install -d -o 10001 -g 10001 -m 0700 /data /data/home
COPY --from=build /app /app
COPY --from=build /src/providers/builtin /app/providers/builtin
# local-team is left out: it would run database servers inside a worker's container.
ENV PATH=/app/bin:$PATH \
    HOME=/data/home \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    INNOMINATUS_DATA_DIR=/data \
    INNOMINATUS_HOST=0.0.0.0 \
    INNOMINATUS_PROVIDERS=/app/providers/builtin
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="innominatus" \
      org.opencontainers.image.description="MCP-first platform orchestrator: Score specs in, real resources out, durably and in order." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /data
USER 10001:10001
VOLUME ["/data"]
EXPOSE 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, http.client as h; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('INNOMINATUS_PORT', 8081)), timeout=4); c.request('GET', '/health'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["innominatus"]
CMD ["serve"]

FROM runtime AS with-terraform
COPY --from=terraform /terraform /usr/local/bin/terraform

FROM runtime AS with-kubectl
COPY --from=kubectl /kubectl /usr/local/bin/kubectl

FROM with-terraform AS full
COPY --from=kubectl /kubectl /usr/local/bin/kubectl

# The last stage is what is built unless a target is named.
FROM runtime AS innominatus

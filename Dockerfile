# Orthanc with this plugin and its viewer, on Debian 13:
#
#   docker build -t orthanc-cbmir .
#   docker run -p 8042:8042 -p 4242:4242 -e ORTHANC_USER=me -e ORTHANC_PASSWORD=secret \
#       -v images:/var/lib/orthanc/db -v index:/var/lib/orthanc-cbmir orthanc-cbmir
#
# scripts/container is what runs in it, and tells of the settings. The steps are those of scripts/run, by the same
# scripts; scripts/test --fresh trixie tests them without a container.

FROM debian:13-slim AS viewer
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates nodejs npm
WORKDIR /opt/orthanc-cbmir/ohif-extension
COPY ohif-extension/package.json ohif-extension/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY ohif-extension ./
RUN npm run build && npm run assemble

FROM debian:13-slim
WORKDIR /opt/orthanc-cbmir
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates
COPY pyproject.toml ./
COPY scripts/setup scripts/
COPY scripts/deploy scripts/deploy
RUN scripts/setup --container && rm -rf /var/lib/apt/lists/* /root/.cache
COPY orthanc.json LICENSE ./
COPY plugin plugin
COPY scripts/container scripts/watch.py scripts/
COPY --from=viewer /opt/orthanc-cbmir/ohif-extension/viewer ohif-extension/viewer
# Compiled now: the user below may not write here.
RUN python3 -m compileall -q plugin scripts \
    && install -d -o orthanc -g orthanc -m 700 /var/lib/orthanc/db /var/lib/orthanc-cbmir

USER orthanc
VOLUME ["/var/lib/orthanc/db", "/var/lib/orthanc-cbmir"]
EXPOSE 8042 4242
HEALTHCHECK --interval=30s --timeout=35s --start-period=60s CMD ["scripts/container", "healthy"]
ENTRYPOINT ["scripts/container"]

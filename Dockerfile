# syntax=docker/dockerfile:1
# One stripped binary on a base without a shell, for amd64 and arm64:
#   docker buildx build --platform linux/amd64,linux/arm64 -t tapemill:0.1.0 .

# Each platform builds for itself (TARGETARCH is its own), so nothing is cross-compiled.
FROM docker.io/library/rust:1.95.0-slim-bookworm AS build
ARG TARGETARCH
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends autoconf automake gcc libc6-dev libtool make nasm \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Dependencies stay in the caches from one build to the next.
RUN --mount=type=cache,id=tapemill-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=tapemill-target-$TARGETARCH,target=/src/target,sharing=locked \
    cargo build --release --features isal --locked --package tapemill \
    && install -D --strip target/release/tapemill /out/usr/local/bin/tapemill \
    && install -D --mode=644 LICENSE /out/usr/share/doc/tapemill/LICENSE \
    && install -d /out-data

# Has glibc, certificates and a user that is not root, and nothing else.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="tapemill" \
      org.opencontainers.image.source="https://github.com/tapemill/tapemill" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /out/ /
# A volume that is mounted here for the first time takes its owner from this folder.
COPY --from=build --chown=65532:65532 /out-data/ /data/
USER 65532:65532
WORKDIR /data
EXPOSE 9464
ENTRYPOINT ["/usr/local/bin/tapemill"]
CMD ["--help"]

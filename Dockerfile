# syntax=docker/dockerfile:1
# `mimi` in a small image. docs/administration.md says how it is run.

FROM rust:1.95-slim-bookworm AS build
# SQLite and the cryptography library are compiled from C.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package mimi-conformance --bin mimi \
    && cp target/release/mimi /usr/local/bin/mimi

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/mimi --create-home --shell /usr/sbin/nologin mimi
COPY --from=build /usr/local/bin/mimi /usr/local/bin/mimi
USER mimi
ENV MIMI_DATA_DIR=/var/lib/mimi MIMI_LISTEN=0.0.0.0:8448 MIMI_LOG_FORMAT=json
VOLUME /var/lib/mimi
EXPOSE 8448
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/mimi"]
CMD ["serve"]

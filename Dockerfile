# firehose in a container: the program, the libraries that it is linked with, and nothing else; no shell.
#
#   docker build -t firehose .
#   docker run --rm --network host --security-opt seccomp=tuning/seccomp.json --ulimit nofile=1048576 \
#       --ulimit memlock=-1 firehose
#
# io_uring: the broker does nothing without it, and Docker's own seccomp profile forbids it since version 25. tuning/seccomp.json is
# one that allows what the broker and its tools call. On the host kernel.io_uring_disabled has to be 0 (or 1, with the container's
# group in kernel.io_uring_group).
#
# Its configuration serves only the loopback addresses, which in a container of its own network is nobody, and HTTP for the
# check of health. One of your own wants `listener 9883 127.0.0.1` with `protocol http_api` too, or --no-healthcheck:
#
#   docker run ... -p 1883:1883 -v "$PWD/firehose.conf:/etc/firehose/firehose.conf:ro" \
#       firehose serve -c /etc/firehose/firehose.conf

# With persistence true the store is in /var/lib/firehose, where the broker works: a volume, or it goes with the container.
#
#   docker run ... -v firehose:/var/lib/firehose firehose serve -c /etc/firehose/firehose.conf
#
# A folder of the host in its place has to belong to the user below (chown 10883:10883). tuning/compose.yml has all of that.

FROM rust:1.95-bookworm AS build
WORKDIR /build
# The crates first, so that they are built again only when they change.
COPY Cargo.toml Cargo.lock build.rs ./
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --release --locked --bin firehose \
    && rm -r src target/release/firehose target/release/deps/*firehose* target/release/.fingerprint/firehose-*
COPY src src
COPY packaging packaging
COPY LICENSE LICENSE
# What `firehose --version` says of the commit: --build-arg REVISION=$(git describe --always).
ARG REVISION=
RUN FIREHOSE_REVISION="$REVISION" cargo build --release --locked --bin firehose \
    && packaging/image-root target/release/firehose /image

FROM scratch
COPY --from=build /image/ /
WORKDIR /var/lib/firehose
VOLUME /var/lib/firehose
# Nobody's number, so that no file on the host belongs to the broker by accident.
USER 10883:10883
EXPOSE 1883
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=5m CMD ["/usr/bin/firehose", "health"]
ENTRYPOINT ["/usr/bin/firehose"]
CMD ["serve", "-c", "/etc/firehose/firehose.conf"]

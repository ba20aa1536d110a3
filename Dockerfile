# firehose in a container.
#
#   docker build -t firehose .
#   docker run --rm --network host --security-opt seccomp=firehose-seccomp.json --ulimit nofile=1048576 \
#       --ulimit memlock=-1 firehose
#
# io_uring: the broker does nothing without it, and Docker's own seccomp profile forbids it since version 25. What has to be
# allowed is io_uring_setup, io_uring_enter and io_uring_register; tuning/README.md makes a profile of Docker's and these
# three. On the host kernel.io_uring_disabled has to be 0 (or 1, with the container's group in kernel.io_uring_group).
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
# A folder of the host in its place has to belong to the user below (chown 10883:10883).

FROM rust:1.95-bookworm AS build
WORKDIR /build
# The crates first, so that they are built again only when they change.
COPY Cargo.toml Cargo.lock build.rs ./
COPY bench bench
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --release --locked --bin firehose \
    && rm -r src target/release/firehose target/release/deps/*firehose* target/release/.fingerprint/firehose-*
COPY src src
RUN cargo build --release --locked --bin firehose

FROM debian:bookworm-slim
COPY LICENSE /usr/share/doc/firehose/LICENSE
COPY --from=build /build/target/release/firehose /usr/local/bin/firehose
RUN install -d -o 10883 -g 10883 -m 0750 /var/lib/firehose \
    && install -d /etc/firehose \
    && printf 'listener 9883 127.0.0.1\nprotocol http_api\n' > /etc/firehose/firehose.conf
WORKDIR /var/lib/firehose
VOLUME /var/lib/firehose
# Nobody's number, so that no file on the host belongs to the broker by accident.
USER 10883:10883
EXPOSE 1883
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=5m CMD ["firehose", "health"]
ENTRYPOINT ["firehose"]
CMD ["serve", "-c", "/etc/firehose/firehose.conf"]

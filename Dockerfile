# The broker as one static binary in an image that holds nothing else.
#
#   docker build -t stampede .
#   docker build --build-arg BASE_BUILD=... --build-arg BASE_RUN=... -t stampede .
#
# BASE_BUILD needs Go as go.mod asks for it. BASE_RUN may be empty (scratch) or any distroless-like image: no shell is needed.
ARG BASE_BUILD=golang:1.26
ARG BASE_RUN=scratch

FROM ${BASE_BUILD} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/stampede ./cmd/stampede \
 && mkdir -p /out/data /out/tmp /out/etc \
 && echo 'stampede:x:65532:65532:stampede:/data:/sbin/nologin' > /out/etc/passwd \
 && echo 'stampede:x:65532:' > /out/etc/group

FROM ${BASE_RUN}
COPY --from=build /out/etc/passwd /out/etc/group /etc/
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /out/tmp /tmp
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/stampede /usr/local/bin/stampede

# The listeners for clients are open beyond the container, so the node asks for a decision: set STAMPEDE_AUTH (docs/configuration.md).
# The admin listener stays on the container's loopback, where the health check finds it.
ENV STAMPEDE_DATA_DIR=/data \
    STAMPEDE_HTTP_ADDR=0.0.0.0:8080 \
    STAMPEDE_STOMP_ADDR=0.0.0.0:61613

USER 65532:65532
VOLUME /data
EXPOSE 8080 61613 9091
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/stampede", "status", "--health"]
ENTRYPOINT ["/usr/local/bin/stampede"]
CMD ["serve"]

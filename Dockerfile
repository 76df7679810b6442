# syntax=docker/dockerfile:1
# docker build -t mongoward .
# docker run --read-only -v ./config:/etc/mongoward:ro -v audit:/var/lib/mongoward -p 27017:27017 mongoward

FROM debian:12-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends \
	autoconf automake autoconf-archive gcc libc6-dev make pkg-config \
	libbson-dev libevent-dev libfyaml-dev libgsasl-dev libmongoc-dev libsodium-dev libssl-dev \
	libutf8proc-dev
WORKDIR /src
COPY . .
RUN ./autogen.sh && ./configure --prefix=/usr --sysconfdir=/etc && make -j"$(nproc)" \
	&& make install-strip DESTDIR=/stage
# The program and the libraries that it loads, and nothing else: no shell, no package manager.
RUN ldd /stage/usr/bin/mongoward | awk '/=> \//{print $3} /ld-linux/{print $1}' \
	| xargs -I{} cp --parents --dereference {} /stage \
	&& mkdir -p /stage/etc/ssl/certs /stage/var/lib/mongoward /stage/tmp \
	&& echo 'mongoward:x:65532:65532::/var/lib/mongoward:/nonexistent' > /stage/etc/passwd \
	&& echo 'mongoward:x:65532:' > /stage/etc/group \
	&& chown 65532:65532 /stage/var/lib/mongoward
RUN apt-get install --yes --no-install-recommends ca-certificates \
	&& cp --dereference /etc/ssl/certs/ca-certificates.crt /stage/etc/ssl/certs/ \
	&& rm -rf /stage/usr/share/man /stage/usr/lib/systemd

FROM scratch
COPY --from=build /stage/ /
USER 65532:65532
WORKDIR /var/lib/mongoward
VOLUME /var/lib/mongoward
EXPOSE 27017 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s \
	CMD ["/usr/bin/mongoward", "status", "--config", "/etc/mongoward/mongoward.yaml"]
ENTRYPOINT ["/usr/bin/mongoward"]
CMD ["serve", "--config", "/etc/mongoward/mongoward.yaml"]

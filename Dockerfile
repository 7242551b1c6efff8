# oncebox with all it needs inside: gateway, worker, native build and base images.
# Sandboxes need namespaces, mounts and cgroups, so the container has to run privileged (docker-compose.dev.yml).
FROM node:20-bookworm-slim

WORKDIR /opt/oncebox

# First what changes rarely, so that an edit of the source keeps these layers.
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates debian-archive-keyring buildah gcc libarchive-dev libc6-dev libseccomp-dev make mmdebstrap \
      redis-server skopeo util-linux zstd \
 && rm -rf /var/lib/apt/lists/*
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund

COPY . .
RUN npm run setup

ENV ONCEBOX_HOST=0.0.0.0
EXPOSE 8080
# Not through npm: it would stand between the signals of `docker stop` and the drain.
CMD ["sh", "-c", "node scripts/setup.mjs && exec node --enable-source-maps build/up.mjs"]

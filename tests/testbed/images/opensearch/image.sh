# OpenSearch as in the public image: folders, user, settings by environment; but without plugins.
# shellcheck shell=bash disable=SC2154,SC2034
reference=docker.io/opensearchproject/opensearch:$OPENSEARCH_VERSION

inputs() {
  built opensearch "$OPENSEARCH_VERSION"
  package bash busybox-static ca-certificates libc6
}

context() {
  local root=$1/rootfs server=$1/server
  cp -r "$CACHE/opensearch/$OPENSEARCH_VERSION/opensearch" "$server"
  mkdir -p "$server"/{data,logs}
  install -m 755 "$images/opensearch/entrypoint.sh" "$server/opensearch-docker-entrypoint.sh"
  cp "$images/opensearch/log4j2.properties" "$server/config/"
  printf 'cluster.name: docker-cluster\nnetwork.host: 0.0.0.0\n' >"$server/config/opensearch.yml"
  # Only then does it take settings from the environment.
  sed -i 's/^OPENSEARCH_DISTRIBUTION_TYPE=.*/OPENSEARCH_DISTRIBUTION_TYPE=docker/' "$server/bin/opensearch-env"
  # Its first start would write a keystore, and a read-only root filesystem forbids that.
  OPENSEARCH_JAVA_HOME=$server/jdk "$server/bin/opensearch-keystore" create
  skeleton "$root" opensearch:1000:/usr/share/opensearch
  cp -L /bin/bash "$root/bin/"
  busybox_into "$root"
  locale_into "$root"
  certificates_into "$root"
  mapfile -t programs < <(find "$server/jdk" -type f \( -name '*.so' -o -path '*/bin/*' \))
  LD_LIBRARY_PATH=$server/jdk/lib:$server/jdk/lib/server libraries "$root" /bin/bash "${programs[@]}"
}

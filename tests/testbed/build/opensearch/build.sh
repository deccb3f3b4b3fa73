#!/usr/bin/env bash
# Fetches OpenSearch from Maven Central and makes servers of it that only need to be started:
#   $CACHE/opensearch/$OPENSEARCH_VERSION/opensearch    all modules, with a Java runtime in jdk/
#   $CACHE/opensearch/$OPENSEARCH_2_VERSION/opensearch  with the security plugin and its demo
#       certificates (config/root-ca.pem verifies localhost and 127.0.0.1) and users (admin has
#       the password OPENSEARCH_2_ADMIN_PASSWORD); jdk/ is a link to the system's Java.
# Both run as they are as any user but root: `bin/opensearch` with OPENSEARCH_JAVA_HOME and
# JAVA_HOME unset. Whoever starts one copies config/ (OPENSEARCH_PATH_CONF) and names path.data
# and path.logs, so that this folder stays as it was built.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cache.sh"
. "$here/java.sh"
integ=org.opensearch.distribution.integ-test-zip:opensearch

# fetch COORDINATES FOLDER: unpacks a zip of Maven Central.
fetch() {
  mvn -q -B dependency:copy -Dartifact="$1" -DoutputDirectory="$PWD/zip" -Dmdep.overWriteReleases=true
  unzip -q zip/*.zip -d "$2"
  rm -r zip
}

# server VERSION OUT: the unpacked server without what only Windows needs.
server() {
  fetch "$integ:$1:zip" unpacked
  mv unpacked/opensearch-* "$2"
  rm -f "$2"/bin/*.bat "$2"/bin/*.exe
  # There is a Java in jdk/ in the end.
  sed -i 's/^OPENSEARCH_BUNDLED_JDK=.*/OPENSEARCH_BUNDLED_JDK=true/' "$2/bin/opensearch-env"
}

build() {
  server "$OPENSEARCH_VERSION" "$1"
  java_runtime "$(java_home 21 99 jlink)" "$1/jdk"
  chmod -R a+rX "$1"
}

build_2() {
  server "$OPENSEARCH_2_VERSION" "$1"
  # It asks for Java's security manager, which 24 took away.
  ln -s "$(java_home 11 23 java)" "$1/jdk"
  mvn -q -B dependency:copy -Dartifact="org.opensearch.plugin:opensearch-security:$OPENSEARCH_2_SECURITY_VERSION:zip" \
    -DoutputDirectory="$PWD/zip" -Dmdep.overWriteReleases=true
  unset JAVA_HOME OPENSEARCH_JAVA_HOME
  "$1/bin/opensearch-plugin" install -b "file://$(echo "$PWD"/zip/*.zip)"
  OPENSEARCH_INITIAL_ADMIN_PASSWORD=$OPENSEARCH_2_ADMIN_PASSWORD \
    bash "$1/plugins/opensearch-security/tools/install_demo_configuration.sh" -y -i -s
  chmod -R a+rX "$1"
}

cached opensearch "$OPENSEARCH_VERSION" build "$here"/{build.sh,java.sh}
cached opensearch "$OPENSEARCH_2_VERSION" build_2 "$here/build.sh"

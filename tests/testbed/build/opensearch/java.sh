# Sourced by build.sh: finds a Java on this machine, and cuts out of it the runtime that OpenSearch needs.
# shellcheck shell=bash

# java_home LEAST MOST TOOL: prints the home of an installed Java of such a version that has bin/TOOL.
java_home() {
  local home version
  for home in ${JAVA_HOME:+"$JAVA_HOME"} /usr/lib/jvm/*/; do
    version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$home/release" 2>/dev/null || true)
    if [ "${version:-0}" -ge "$1" ] && [ "${version:-0}" -le "$2" ] && [ -x "$home/bin/$3" ]; then
      realpath "$home"
      return
    fi
  done
  echo "no Java of version $1 to $2 with bin/$3 below /usr/lib/jvm or in JAVA_HOME" >&2
  return 1
}

# java_runtime JDK OUT: a runtime of the modules that the server uses.
# Two are missed only late: without jdk.net it dies at its start, without jdk.localedata
# every creation of an index fails.
java_runtime() {
  local modules=java.se,jdk.attach,jdk.charsets,jdk.crypto.ec,jdk.httpserver,jdk.incubator.vector,jdk.jcmd
  modules+=,jdk.localedata,jdk.management,jdk.naming.dns,jdk.net,jdk.nio.mapmode,jdk.security.auth,jdk.unsupported,jdk.zipfs
  "$1/bin/jlink" --add-modules "$modules" --strip-debug --no-header-files --no-man-pages --output "$2"
  # Windows, fonts and sound: they alone would need libraries that a server lacks.
  (cd "$2/lib" && rm -f libawt_xawt.so libfontmanager.so libfreetype.so libjawt.so libjsound.so liblcms.so \
    libmlib_image.so libsplashscreen.so)
}

#!/bin/bash
# The public image's way to be started: `opensearch`, or options for it, or any other command.
# Settings come from dotted environment names; bin/opensearch-env reads them.
# The security plugin is not in this image, and the server refuses settings that it does not know.
set -e
unknown=()
for name in $(env | sed -n 's/^\(plugins\.security\.[^=]*\)=.*/\1/p'); do
  unknown+=(-u "$name")
done
case ${1:-} in
  '' | -*) set -- opensearch "$@" ;;
esac
exec env "${unknown[@]}" "$@"

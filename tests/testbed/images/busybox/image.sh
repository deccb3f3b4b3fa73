# A shell and small tools, to look around with.
# shellcheck shell=bash disable=SC2154,SC2034
reference=docker.io/library/busybox:1

inputs() { package busybox-static; }

context() {
  skeleton "$1/rootfs" nobody:65534:/
  busybox_into "$1/rootfs"
}

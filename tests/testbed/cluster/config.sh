# Sourced by up.sh: the configuration files of the node's daemons.
# shellcheck shell=bash disable=SC2154

# restrict_oom_score_adj: without it no sandbox starts where the score may not be lowered.
containerd_config() {
  cat <<C
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$PAUSE_IMAGE"
restrict_oom_score_adj = true
disable_apparmor = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$DIR/etc/cni"
C
}

cni_config() {
  cat <<C
{ "cniVersion": "1.0.0", "name": "pods", "plugins": [
  { "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
    "ipam": { "type": "host-local", "ranges": [[{ "subnet": "${POD_CIDR%/*}/24" }]], "routes": [{ "dst": "0.0.0.0/0" }] } },
  { "type": "portmap", "capabilities": { "portMappings": true } } ] }
C
}

# Nothing is evicted and no image is collected: the machine's disk and memory are not this cluster's.
kubelet_config() {
  cat <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
enforceNodeAllocatable: []
evictionHard: { imagefs.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%" }
imageGCHighThresholdPercent: 100
oomScoreAdj: 0
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
volumePluginDir: /var/lib/kubelet/volumeplugins
address: $NODE_IP
healthzBindAddress: 127.0.0.1
authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: $DIR/pki/ca.crt } }
authorization: { mode: Webhook }
tlsCertFile: $DIR/pki/kubelet-server.crt
tlsPrivateKeyFile: $DIR/pki/kubelet-server.key
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: $DIR/etc/resolv.conf
nodeStatusReportFrequency: 5m
nodeStatusUpdateFrequency: 10s
C
}

# It may not change the machine's connection tracking.
proxy_config() {
  cat <<C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $POD_CIDR
hostnameOverride: $NAME
bindAddress: 127.0.0.1
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
clientConnection: { kubeconfig: $DIR/etc/proxy.kubeconfig }
conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s }
oomScoreAdj: 0
C
}

# Volumes for claims of the default class, made in advance: there is no program that makes them on
# demand. Like a disk, one takes the group of the pod that uses it, and is used for one claim only.
volumes() {
  cat <<C
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: standard, annotations: { storageclass.kubernetes.io/is-default-class: "true" } }
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
C
  local number
  for number in $(seq 1 "$1"); do
    cat <<C
---
apiVersion: v1
kind: PersistentVolume
metadata: { name: volume-$number }
spec:
  capacity: { storage: 100Gi }
  accessModes: [ReadWriteOnce]
  storageClassName: standard
  local: { path: /var/lib/volumes/$number }
  nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: kubernetes.io/hostname, operator: In, values: [$NAME] }] }] } }
C
  done
}

# Sourced by up.sh and apiserver-up.sh: starts etcd, the API server and the controllers.
# The first argument of each is `daemon` or `inside_daemon`.
# shellcheck shell=bash disable=SC2154

# start_etcd HOW PORT PEER_PORT. It does not wait for the disk: the data does not outlive the cluster.
start_etcd() {
  "$1" etcd etcd --data-dir "$DIR/etcd" --unsafe-no-fsync --initial-cluster "default=http://127.0.0.1:$3" \
    --listen-client-urls "http://127.0.0.1:$2" --advertise-client-urls "http://127.0.0.1:$2" \
    --listen-peer-urls "http://127.0.0.1:$3" --initial-advertise-peer-urls "http://127.0.0.1:$3"
}

# start_apiserver HOW ETCD_PORT PORT OPTION…
start_apiserver() {
  local how=$1 etcd=$2 port=$3
  shift 3
  "$how" kube-apiserver kube-apiserver --etcd-servers="http://127.0.0.1:$etcd" --secure-port="$port" \
    --tls-cert-file="$DIR/pki/apiserver.crt" --tls-private-key-file="$DIR/pki/apiserver.key" --client-ca-file="$DIR/pki/ca.crt" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$DIR/pki/tokens.pub" --service-account-signing-key-file="$DIR/pki/tokens.key" \
    --service-cluster-ip-range="$SERVICE_CIDR" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --profiling=false --shutdown-delay-duration=0s "$@"
}

# start_lone_apiserver ETCD_PORT: that of a cluster without nodes, on $API_PORT.
# Endpoints must not be loopback addresses; nobody asks for this one.
start_lone_apiserver() {
  start_apiserver daemon "$1" "$API_PORT" --bind-address=127.0.0.1 --advertise-address="$NODE_IP" \
    --endpoint-reconciler-type=none --cert-dir="$DIR/pki"
  wait_for "answer of the API server" api /readyz
}

# start_controllers HOW OPTION…. With the usual limit the first ServiceAccount comes seconds late.
start_controllers() {
  local how=$1
  shift
  "$how" kube-controller-manager kube-controller-manager --kubeconfig="$DIR/etc/controllers.kubeconfig" --leader-elect=false \
    --use-service-account-credentials=true --service-account-private-key-file="$DIR/pki/tokens.key" \
    --root-ca-file="$DIR/pki/ca.crt" --kube-api-qps=300 --kube-api-burst=600 --bind-address=127.0.0.1 "$@"
}

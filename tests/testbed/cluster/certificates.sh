# Sourced by up.sh and apiserver-up.sh, after place.sh: certificates and kubeconfigs, made anew for each cluster.
# shellcheck shell=bash disable=SC2154

new_authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 365 \
    -subj "/CN=$NAME-ca" -addext basicConstraints=critical,CA:TRUE \
    -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
}

# certificate FILE SUBJECT USAGE [NAMES]
certificate() {
  openssl req -x509 -CA ca.crt -CAkey ca.key -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \
    -keyout "$1.key" -out "$1.crt" -subj "$2" -addext basicConstraints=critical,CA:FALSE \
    -addext keyUsage=critical,digitalSignature -addext "extendedKeyUsage=$3" ${4:+-addext "subjectAltName=$4"} 2>/dev/null
}

# Service accounts' tokens are signed with this.
token_key() {
  openssl ecparam -name prime256v1 -genkey -noout -out tokens.key
  openssl ec -in tokens.key -pubout -out tokens.pub 2>/dev/null
}

# kubeconfig CERTIFICATE SERVER FILE
kubeconfig() {
  (umask 077 && cat >"$3") <<K
apiVersion: v1
kind: Config
current-context: $NAME
contexts: [{ name: $NAME, context: { cluster: $NAME, user: $1 } }]
clusters: [{ name: $NAME, cluster: { server: "$2", certificate-authority-data: $(base64 -w0 ca.crt) } }]
users: [{ name: $1, user: { client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key") } }]
K
}

# What every API server needs: its own certificate, and one for the administrator and the controllers.
api_certificates() {
  local names=IP:127.0.0.1,IP:$NODE_IP,IP:$API_IP,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default
  new_authority
  token_key
  certificate apiserver /CN=kube-apiserver serverAuth "$names,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  certificate admin /O=system:masters/CN=admin clientAuth
  certificate controllers /CN=system:kube-controller-manager clientAuth
}

# And what a node needs beside that.
node_certificates() {
  certificate kubelet-server "/O=system:nodes/CN=system:node:$NAME" serverAuth "IP:$NODE_IP,DNS:$NAME"
  certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
  certificate scheduler /CN=system:kube-scheduler clientAuth
  certificate proxy /CN=system:kube-proxy clientAuth
  certificate node "/O=system:nodes/CN=system:node:$NAME" clientAuth
}

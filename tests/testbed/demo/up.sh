#!/usr/bin/env bash
# The demo: a cluster, the agent's image, `kubectl apply -f manifests/bootstrap.yaml`, and a look at
# what it did. With Docker and kind on the machine the cluster is kind's, with the public images;
# else it is the test bed's own, with images built from packages and modules.
# Usage: up.sh   (safe to repeat: what is up stays up)
# Environment: TESTBED_STATE, target/demo of this checkout when unset
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
cd "$root"
export TESTBED_STATE=${TESTBED_STATE:-$root/target/demo} TESTBED_NAME=demo
. "$here/place.sh"
started=$SECONDS

announce() {
  local where="a one-node Kubernetes of its own, in namespaces of this machine" grafana="a stand-in, see tests/testbed/grafana-contract"
  if [ "$flavour" = kind ]; then
    where="kind, with the public images" grafana="the public image"
  fi
  cat <<END
This brings up a Kubernetes cluster ($where),
builds the agent's image, applies manifests/bootstrap.yaml and follows the installation.
From nothing it takes up to 45 minutes on 2 cores, because servers that have no package are built
once a machine; when that has been done, under 4. Grafana is $grafana.

END
}

# Follows the pods of the Job, one after the other, until the Job has ended or cannot be seen.
follow() {
  local job=$1 pod seen="" misses=0
  until ended "$job"; do
    if kubectl -n "$NAMESPACE" get job "$job" >/dev/null 2>&1; then misses=0; else misses=$((misses + 1)); fi
    [ "$misses" -lt 30 ] || { echo "The Job $job cannot be seen any more." >&2; return; }
    pod=$(kubectl -n "$NAMESPACE" get pods -l "batch.kubernetes.io/job-name=$job" --sort-by=.metadata.creationTimestamp \
      -o 'jsonpath={.items[-1:].metadata.name}' 2>/dev/null || true)
    # Fails while the pod's container is not there yet, and is asked again.
    if [ -n "$pod" ] && [ "$pod" != "$seen" ] && kubectl -n "$NAMESPACE" logs -f "$pod" 2>/dev/null; then
      seen=$pod
    fi
    kubectl -n "$NAMESPACE" wait --for=condition=complete "job/$job" --timeout=1s >/dev/null 2>&1 || sleep 0.3
  done
}

ended() {
  kubectl -n "$NAMESPACE" get job "$1" -o 'jsonpath={.status.conditions[*].type}' 2>/dev/null | grep -qE 'Complete|Failed'
}

succeeded() {
  kubectl -n "$NAMESPACE" get job "$1" -o 'jsonpath={.status.conditions[*].type}' | grep -q Complete
}

record() { kubectl -n "$NAMESPACE" get configmap firstlight-lens -o 'jsonpath={.data.record\.json}'; }

announce
"$here/../install.sh"
cargo build --quiet --package testbed
images/build.sh
"$here/cluster.sh"
kubectl apply -f manifests/bootstrap.yaml
job=$(kubectl create --dry-run=client -f manifests/bootstrap.yaml -o json | jq -rs '[.[] | if .kind == "List" then .items[] else . end] | map(select(.kind == "Job"))[0].metadata.name')
echo
follow "$job"
echo
if ! succeeded "$job"; then
  kubectl -n "$NAMESPACE" get pods
  echo "The installation failed; the last line of its log says why."
  echo "KUBECONFIG=$KUBECONFIG"
  exit 1
fi
jaeger=$(forward "$JAEGER_PORT" jaeger 16686)
grafana=$(forward "$GRAFANA_PORT" grafana 3000)
prometheus=$(forward "$PROMETHEUS_PORT" prometheus 9090)
opensearch=$(forward "$OPENSEARCH_PORT" opensearch 9200)
trace=$(record | jq -r .traceId)
echo "The trace of this run, as Jaeger returns it:"
echo
cargo run --quiet --package testbed -- trace --jaeger "http://127.0.0.1:$jaeger" "$trace"
password=$(kubectl -n "$NAMESPACE" get secret grafana-admin -o 'jsonpath={.data.password}' | base64 -d)
cat <<END

Up after $((SECONDS - started)) s. $(record | jq -r .sentence)

  Jaeger      http://127.0.0.1:$jaeger/trace/$trace
  Grafana     http://127.0.0.1:$grafana   (admin / $password)
  Prometheus  http://127.0.0.1:$prometheus
  OpenSearch  http://127.0.0.1:$opensearch

KUBECONFIG=$KUBECONFIG

Try next:
  kubectl apply -f manifests/bootstrap.yaml                               # the same Job: nothing to do
  kubectl -n $NAMESPACE create job again --from=cronjob/firstlight          # a second run changes nothing
  curl -X DELETE http://127.0.0.1:$opensearch/lens-logs-000001            # drop an index …
  kubectl -n $NAMESPACE create job repair --from=cronjob/firstlight         # … and a run brings it back
  kubectl -n $NAMESPACE logs -f job/repair
Stop with: make demo-down
END

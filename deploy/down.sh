#!/bin/sh
# One command down: sh deploy/down.sh [OVERLAY]   (default: deploy/kind)
# Nothing new starts, running trials are stopped (their exit handlers heal), what is left of faults
# and targets is removed, then the namespace. Argo, Chaos Mesh and the rest stay.
set -eu
overlay=${1:-"$(dirname "$0")/kind"}
namespace=seatrial
kubectl -n $namespace delete cronworkflows.argoproj.io --all --ignore-not-found --timeout=60s
there=$(kubectl -n $namespace get workflows.argoproj.io -o name)
for workflow in $there; do
    # One may end, or be collected, in this very moment.
    kubectl -n $namespace patch "$workflow" --type merge -p '{"spec":{"shutdown":"Stop"}}' \
        || echo "$workflow could not be stopped: it is deleted"
done
# Exit handlers have ten minutes; then owner references do their work.
if [ -n "$there" ]; then
    kubectl -n $namespace wait workflows.argoproj.io --all --timeout=600s \
        --for=jsonpath='{.status.finishedAt}' \
        || echo "some workflows did not end: their objects are deleted"
fi
kubectl -n $namespace delete workflows.argoproj.io --all --ignore-not-found --timeout=120s
for kind in $(kubectl api-resources --api-group=chaos-mesh.org --namespaced -o name); do
    kubectl -n $namespace delete "$kind" -l seatrial/run --ignore-not-found --timeout=120s \
        || echo "hint: a fault that cannot recover keeps its finalizer: kubectl -n $namespace get $kind"
done
kubectl delete -k "$overlay" --ignore-not-found --timeout=300s

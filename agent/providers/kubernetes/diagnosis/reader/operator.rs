//! The operator that is to act on a custom resource.

use std::sync::Mutex;

use futures::future::join_all;

use super::super::controller::{Controller, Operator};
use super::super::walk;
use super::{Reader, read};
use crate::providers::kubernetes::kind::{DEPLOYMENT, LEASE, SUBJECT_ACCESS_REVIEW, Target};
use crate::providers::kubernetes::live::Live;

impl Reader<'_> {
    /// The operator that serves the object's kind, if the bundle names one.
    pub(super) async fn operator(
        &self,
        target: &Target,
        controllers: &[Controller],
    ) -> Option<Operator> {
        let resource = target.kind.resource();
        let mut serving = controllers.iter();
        let controller = serving.find(|it| it.definitions.contains(&resource))?;
        let there = Reader {
            client: self.client,
            namespace: &controller.namespace,
            unread: Mutex::default(),
        };
        let labels: Vec<String> = controller
            .selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let labels = labels.join(",");
        let (deployments, leases) = tokio::join!(
            there.list(DEPLOYMENT, &labels, ""),
            there.list(LEASE, "", "")
        );
        let deployments = deployments?;
        let (below, denied) = tokio::join!(
            there.unready(&deployments),
            there.denied(&deployments, target)
        );
        Some(Operator {
            name: controller.name.clone(),
            namespace: controller.namespace.clone(),
            watched: self.namespace.to_owned(),
            deployments,
            below,
            leases: leases.unwrap_or_default(),
            denied,
        })
    }

    /// Why the first Deployment that lacks pods does.
    async fn unready(&self, deployments: &[Live]) -> Option<String> {
        let deployment = deployments.iter().find(|it| walk::lacks(it))?;
        let target = Target::new(DEPLOYMENT, self.namespace, deployment.name());
        let scene = read(self.client, &target, deployment, &[]).await;
        let cause = super::super::cause(&scene);
        let counts = || {
            format!(
                "{} of {} pods ready",
                deployment.count("/status/readyReplicas"),
                deployment.count("/spec/replicas")
            )
        };
        Some(format!("{target}: {}", cause.unwrap_or_else(counts)))
    }

    /// What the operator's service account may not do with the object's kind.
    async fn denied(&self, deployments: &[Live], target: &Target) -> Vec<String> {
        let Some(first) = deployments.first() else {
            return Vec::new();
        };
        let account = match first.text("/spec/template/spec/serviceAccountName") {
            "" => "default",
            account => account,
        };
        let rights = [("list", ""), ("watch", ""), ("patch", "status")];
        let asked = rights.map(|(verb, part)| self.may(account, verb, part, target));
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// The right in words if the account does not have it.
    async fn may(&self, account: &str, verb: &str, part: &str, target: &Target) -> Option<String> {
        let namespace = self.namespace;
        let review = serde_json::json!({
            "apiVersion": SUBJECT_ACCESS_REVIEW.api_version(),
            "kind": SUBJECT_ACCESS_REVIEW.name,
            "spec": {
                "user": format!("system:serviceaccount:{namespace}:{account}"),
                "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}"),
                           "system:authenticated"],
                "resourceAttributes": {
                    "verb": verb, "group": target.kind.group, "resource": target.kind.plural,
                    "subresource": part, "namespace": target.namespace,
                },
            },
        });
        // Who may not ask does without.
        let answer = self.client.review(SUBJECT_ACCESS_REVIEW, &review).await;
        let answer = answer.ok()?;
        let may = answer.at("/status/allowed")?.as_bool()?;
        let part = if part.is_empty() {
            String::new()
        } else {
            format!("/{part}")
        };
        (!may).then(|| format!("{verb} {}{part}", target.kind.resource()))
    }
}

//! cert-manager, which keeps to the convention: a condition `Ready` of each generation.

use super::{Rule, custom};

pub(super) fn rule(kind: &str) -> Option<Rule> {
    let kinds = [
        "Certificate",
        "CertificateRequest",
        "ClusterIssuer",
        "Issuer",
    ];
    kinds.contains(&kind).then_some(Rule::Alone(custom::any))
}

//! Reads keys of Secrets for the other providers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::kind::{SECRET, Target};
use super::live::Live;
use super::{Client, Error};
use crate::engine::Failure as _;
use crate::secret::{ReadSecret, SecretError, SecretRef, Secrets, Sensitive};

impl Secrets for Client {
    fn read<'a>(&'a self, reference: &'a SecretRef) -> ReadSecret<'a> {
        Box::pin(async move {
            let target = Target::new(SECRET, self.namespace(), &reference.secret);
            let found = self.get(&target).await;
            let found = found.map_err(|source: Error| SecretError::Unreadable {
                reference: reference.clone(),
                class: source.class(),
                source: source.into(),
            })?;
            let secret = found.ok_or_else(|| SecretError::Missing(reference.clone()))?;
            value(&secret, reference)
        })
    }

    fn mask(&self, said: &str) -> String {
        Client::mask(self, said)
    }
}

fn value(secret: &Live, reference: &SecretRef) -> Result<Sensitive, SecretError> {
    let data = secret.at("/data").and_then(Value::as_object);
    let encoded = data
        .and_then(|data| data.get(&reference.key))
        .and_then(Value::as_str)
        .ok_or_else(|| SecretError::MissingKey(reference.clone()))?;
    let bytes = STANDARD.decode(encoded).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Sensitive::new)
        .ok_or_else(|| SecretError::NotText(reference.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_there_missing_or_not_text() {
        let secret = Live::new(json!({ "data": { "user": "bGVucw==", "key": "/w==" } }));
        let read = |key: &str| {
            let reference = SecretRef {
                secret: "login".to_owned(),
                key: key.to_owned(),
            };
            value(&secret, &reference)
        };
        assert_eq!(read("user").expect("a value").expose(), "lens");
        let error = read("nope").expect_err("no such key");
        assert_eq!(error.to_string(), "Secret login has no key nope");
        assert!(matches!(read("key"), Err(SecretError::NotText(_))));
    }
}

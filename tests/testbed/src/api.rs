//! An API server, asked by its administrator behind the back of what is tested.

use crate::address::Cluster;
use crate::{Attempt, Error, eventually};
use http::Method;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use std::time::Duration;

/// The content type of a patch that is merged.
pub const MERGE_PATCH: &str = "application/merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// How long a kind that was defined takes to be served on a busy machine.
const SERVED: Duration = Duration::from_mins(1);

/// The administrator of a cluster, at work in one namespace. Objects are named by their paths.
#[derive(Clone)]
pub struct Api {
    client: kube::Client,
    namespace: String,
}

impl Api {
    /// The administrator of this cluster; the namespace need not be there yet.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub async fn of(cluster: &Cluster, namespace: &str) -> Result<Self, Error> {
        // Fails only where a provider is set already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            client: client(cluster).await?,
            namespace: namespace.to_owned(),
        })
    }

    /// Where the objects without another namespace are.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Sends one request.
    ///
    /// # Errors
    /// What the API server answered instead, or that it did not.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, kube::Error> {
        self.client
            .request(request(method, path, content_type, body)?)
            .await
    }

    /// What the API server answers that is no object.
    ///
    /// # Errors
    /// As [`Api::ask`].
    pub async fn text(&self, path: &str) -> Result<String, kube::Error> {
        self.client
            .request_text(request(Method::GET, path, "", None)?)
            .await
    }

    /// Makes an object in a folder.
    ///
    /// # Errors
    /// [`Error::Api`] with the answer, as of all that follow.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.send(Method::POST, path, "application/json", Some(body))
            .await
    }

    /// An object, or all of a folder.
    ///
    /// # Errors
    /// [`Error::Api`] with the answer.
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.send(Method::GET, path, "application/json", None).await
    }

    /// Merges fields into an object.
    ///
    /// # Errors
    /// [`Error::Api`] with the answer.
    pub async fn patch(&self, path: &str, fields: &Value) -> Result<Value, Error> {
        self.send(Method::PATCH, path, MERGE_PATCH, Some(fields))
            .await
    }

    /// Deletes an object without grace.
    ///
    /// # Errors
    /// [`Error::Api`] with the answer.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        let now = json!({ "gracePeriodSeconds": 0 });
        self.send(Method::DELETE, path, "application/json", Some(&now))
            .await?;
        Ok(())
    }

    /// Sends one request and names it in the error.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let verb = method.to_string();
        let answer = self.ask(method, path, content_type, body).await;
        answer.map_err(|source| Error::Api {
            verb,
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Applies the definition of a kind and waits until discovery, by which clients go, lists all
    /// of its versions.
    ///
    /// # Errors
    /// [`Error::Api`] when the definition is refused, [`Error::Late`] when it is not served.
    pub async fn define(&self, definition: &Value) -> Result<(), Error> {
        let name = definition["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=tests&force=true"
        );
        self.send(Method::PATCH, &path, APPLY_PATCH, Some(definition))
            .await?;
        let spec = &definition["spec"];
        let group = spec["group"].as_str().unwrap_or_default();
        let plural = &spec["names"]["plural"];
        for version in spec["versions"].as_array().into_iter().flatten() {
            let version = version["name"].as_str().unwrap_or_default();
            self.served(&format!("/apis/{group}/{version}"), plural)
                .await?;
        }
        Ok(())
    }

    async fn served(&self, version: &str, plural: &Value) -> Result<(), Error> {
        let what = format!("{plural} in {version}");
        eventually(&what, SERVED, async || match self.get(version).await {
            Ok(kinds) => {
                let mut listed = kinds["resources"].as_array().into_iter().flatten();
                if listed.any(|kind| kind["name"] == *plural) {
                    Attempt::Done(())
                } else {
                    Attempt::NotYet(kinds.to_string())
                }
            }
            Err(error) => Attempt::not_yet(&error),
        })
        .await
    }
}

async fn client(cluster: &Cluster) -> Result<kube::Client, Error> {
    let path = &cluster.kubeconfig;
    let unusable = |source| Error::Kubeconfig {
        path: path.clone(),
        source,
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| unusable(error.into()))?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let config = config.map_err(|error| unusable(error.into()))?;
    kube::Client::try_from(config).map_err(|error| unusable(error.into()))
}

fn request(
    method: Method,
    path: &str,
    content_type: &str,
    body: Option<&Value>,
) -> Result<http::Request<Vec<u8>>, kube::Error> {
    let body = body.map(|body| body.to_string().into_bytes());
    http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .body(body.unwrap_or_default())
        .map_err(kube::Error::HttpError)
}

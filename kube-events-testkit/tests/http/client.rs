//! A small client that shows what really comes over the wire.

use futures::StreamExt;
use kube_events_testkit::ApiServer;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than anything takes, so that a hanging test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    pub(crate) fn new(url: String) -> Self {
        // The second test of a process finds the provider installed.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http, url }
    }

    pub(crate) fn of(server: &ApiServer) -> Self {
        Self::new(server.url())
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &str,
    ) -> reqwest::Result<Response> {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = request.header("content-type", content_type).body(body.to_owned());
        tokio::time::timeout(PATIENCE, request.send()).await.expect("an answer in time")
    }

    pub(crate) async fn raw(&self, path: &str) -> (u16, String) {
        let response = self.send(Method::GET, path, "", "").await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let (code, text) = self.raw(path).await;
        (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        self.typed(method, path, "application/json", body).await
    }

    pub(crate) async fn typed(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> (u16, Value) {
        let response = self.send(method, path, content_type, &body.to_string()).await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(Method::POST, path, body).await
    }

    pub(crate) async fn merge(&self, path: &str, body: &Value) -> (u16, Value) {
        self.typed(Method::PATCH, path, "application/merge-patch+json", body).await
    }

    /// The whole lines of a watch, as text, until it ends.
    pub(crate) async fn lines(&self, path: &str) -> Vec<String> {
        let (code, text) = self.raw(path).await;
        assert_eq!(code, 200, "{text}");
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) async fn watch(&self, path: &str) -> Lines {
        let response = self.send(Method::GET, path, "", "").await.unwrap();
        assert_eq!(response.status(), 200);
        Lines { body: Box::pin(response.bytes_stream()), rest: Vec::new() }
    }
}

type Body = std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>;

/// A running watch.
pub(crate) struct Lines {
    body: Body,
    pub(crate) rest: Vec<u8>,
}

impl Lines {
    /// The next line; `None` at an orderly end, an error where the connection broke.
    pub(crate) async fn next(&mut self) -> Option<Result<Value, String>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).map_err(|error| error.to_string()));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.body.next()).await;
            match chunk.expect("a line in time")? {
                Ok(bytes) => self.rest.extend_from_slice(&bytes),
                Err(error) => return Some(Err(error.to_string())),
            }
        }
    }

    pub(crate) async fn told(&mut self) -> (String, Value) {
        let mut line = self.next().await.expect("a line").expect("JSON");
        (line["type"].as_str().unwrap().to_owned(), line["object"].take())
    }
}

pub(crate) fn event(name: &str) -> Value {
    json!({
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web"},
        "reason": "Started",
        "message": "Started container web",
        "source": {"component": "kubelet", "host": "n1"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:01Z",
        "count": 1,
        "type": "Normal",
    })
}

pub(crate) fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

//! Volumes of pods as folders.

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::{ConfigMap, Pod, ProjectedVolumeSource, Secret, ServiceAccount, Volume},
};
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use super::Host;

type Files = BTreeMap<String, Vec<u8>>;

/// A volume's folder on the node.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) name: String,
    pub(super) path: PathBuf,
    files: Option<Files>,
    writes: u32,
}

// === impl Folder ===

impl Folder {
    /// Makes the folder of a volume in `dir`, and fills it.
    pub(super) async fn make(host: &Host, pod: &Pod, volume: &Volume, dir: &Path) -> Result<Self> {
        let path = match &volume.host_path {
            Some(source) => PathBuf::from(&source.path),
            None => dir.join(&volume.name),
        };
        fs::create_dir_all(&path)?;
        if volume.empty_dir.is_some() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        }
        let mut folder = Self { name: volume.name.clone(), path, files: None, writes: 0 };
        if let Some(files) = files(host, pod, volume).await? {
            folder.write(files)?;
        }
        Ok(folder)
    }

    /// Writes what has changed in the `ConfigMap` or Secret, as the kubelet does after a while.
    pub(super) async fn refresh(&mut self, host: &Host, pod: &Pod, volume: &Volume) -> Result<()> {
        // Tokens live longer than tests.
        if volume.config_map.is_none() && volume.secret.is_none() {
            return Ok(());
        }
        match files(host, pod, volume).await? {
            Some(files) if self.files.as_ref() != Some(&files) => self.write(files),
            _ => Ok(()),
        }
    }

    /// All files change at once, by turning the link `..data`:
    /// <https://pkg.go.dev/k8s.io/kubernetes/pkg/volume/util#AtomicWriter>.
    fn write(&mut self, files: Files) -> Result<()> {
        self.writes += 1;
        let version = format!("..{}", self.writes);
        fs::create_dir(self.path.join(&version))?;
        for (name, bytes) in &files {
            fs::write(self.path.join(&version).join(name), bytes)?;
        }
        let (next, data) = (self.path.join("..data_tmp"), self.path.join("..data"));
        symlink(&version, &next)?;
        fs::rename(&next, &data)?;
        for name in files.keys() {
            let link = self.path.join(name);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(name), link)?;
            }
        }
        self.files = Some(files);
        Ok(())
    }
}

/// What has to be in the folder; `None` if that is the pod's own affair.
async fn files(host: &Host, pod: &Pod, volume: &Volume) -> Result<Option<Files>> {
    let namespace = pod.namespace().unwrap_or_default();
    if let Some(source) = &volume.config_map {
        return config_map(host, &namespace, &source.name).await.map(Some);
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().context("a Secret without a name")?;
        let secret = Api::<Secret>::namespaced(host.client.clone(), &namespace).get(name).await?;
        let data = secret.data.unwrap_or_default();
        return Ok(Some(data.into_iter().map(|(key, value)| (key, value.0)).collect()));
    }
    if let Some(projected) = &volume.projected {
        return self::projected(host, pod, projected).await.map(Some);
    }
    if volume.empty_dir.is_some() || volume.host_path.is_some() {
        return Ok(None);
    }
    bail!("volume {}: this kind is not known here", volume.name)
}

async fn config_map(host: &Host, namespace: &str, name: &str) -> Result<Files> {
    let map = Api::<ConfigMap>::namespaced(host.client.clone(), namespace).get(name).await?;
    let data = map.data.unwrap_or_default();
    Ok(data.into_iter().map(|(key, value)| (key, value.into_bytes())).collect())
}

/// The service account's token, the authority's certificate and the namespace: what
/// `/var/run/secrets/kubernetes.io/serviceaccount` holds.
async fn projected(host: &Host, pod: &Pod, volume: &ProjectedVolumeSource) -> Result<Files> {
    let namespace = pod.namespace().unwrap_or_default();
    let mut files = Files::new();
    for source in volume.sources.iter().flatten() {
        if let Some(token) = &source.service_account_token {
            files.insert(token.path.clone(), self::token(host, pod).await?.into_bytes());
        }
        if let Some(map) = &source.config_map {
            files.extend(config_map(host, &namespace, &map.name).await?);
        }
        for item in source.downward_api.iter().flat_map(|source| source.items.iter().flatten()) {
            let field = item.field_ref.as_ref().map(|field| field.field_path.as_str());
            anyhow::ensure!(field == Some("metadata.namespace"), "{field:?} is not known here");
            files.insert(item.path.clone(), namespace.clone().into_bytes());
        }
    }
    Ok(files)
}

async fn token(host: &Host, pod: &Pod) -> Result<String> {
    let namespace = pod.namespace().unwrap_or_default();
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
    let request: TokenRequest = serde_json::from_value(json!({"metadata": {}, "spec": {
        "audiences": [],
        "boundObjectRef": {
            "apiVersion": "v1", "kind": "Pod", "name": pod.name_any(), "uid": pod.uid(),
        },
    }}))?;
    let accounts = Api::<ServiceAccount>::namespaced(host.client.clone(), &namespace);
    let account = account.unwrap_or("default");
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    answer.status.and_then(|status| status.token).context("no token")
}

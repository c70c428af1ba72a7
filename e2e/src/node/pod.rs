//! One pod: a network namespace, a root, a process.

use anyhow::{Context as _, Result, bail};
use k8s_openapi::{
    api::core::v1::{Container, EnvVar, Pod, PodSpec, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{Host, run, volume::Folder};
use crate::Process;

/// The user of our images.
const USER: i64 = 65532;

const PROBE: Duration = Duration::from_secs(1);

/// What runs of a pod.
#[derive(Debug)]
pub(super) struct Sandbox {
    address: Ipv4Addr,
    dir: PathBuf,
    folders: Vec<Folder>,
    /// The container that is one of our programs, if there is one.
    program: Option<Running>,
    told: Option<Value>,
}

#[derive(Debug)]
struct Running {
    container: Container,
    process: Process,
    restarts: u32,
}

// === impl Sandbox ===

impl Sandbox {
    /// Makes the pod's network and volumes and starts its program.
    pub(super) async fn start(
        host: &Host,
        pod: &Pod,
        address: Ipv4Addr,
        hosts: &str,
    ) -> Result<Self> {
        let spec = pod.spec.as_ref().context("no spec")?;
        let dir = host.dir.join(pod.uid().context("no uid")?);
        let volumes = dir.join("volumes");
        fs::create_dir_all(&volumes)?;
        let mut folders = Vec::new();
        for volume in spec.volumes.iter().flatten() {
            folders.push(Folder::make(host, pod, volume, &volumes).await?);
        }
        let mut sandbox = Self { address, dir, folders, program: None, told: None };
        sandbox.write_hosts(hosts)?;
        sandbox.connect()?;
        let ours = spec.containers.iter().find_map(|container| {
            let image = container.image.as_deref().unwrap_or_default();
            Some((container.clone(), (host.programs)(image)?))
        });
        if let Some((container, program)) = ours {
            let process = sandbox.run(host, pod, &container, &program)?;
            sandbox.program = Some(Running { container, process, restarts: 0 });
        }
        Ok(sandbox)
    }

    /// One look: files that have changed, a program that has ended, whether it is ready.
    pub(super) async fn keep(&mut self, host: &Host, pod: &Pod) -> Result<()> {
        let spec = pod.spec.as_ref().context("no spec")?;
        for folder in &mut self.folders {
            let volume = spec.volumes.iter().flatten().find(|volume| volume.name == folder.name);
            folder.refresh(host, pod, volume.context("a volume has gone")?).await?;
        }
        if let Some(running) = &self.program
            && running.process.ended()?
        {
            let image = running.container.image.as_deref().unwrap_or_default();
            let program = (host.programs)(image).context("the program has gone")?;
            let process = self.run(host, pod, &running.container, &program)?;
            let (container, restarts) = (running.container.clone(), running.restarts + 1);
            self.program = Some(Running { container, process, restarts });
        }
        self.tell(host, pod, spec).await
    }

    /// Asks the program to end; whether it has.
    pub(super) fn ends(&self) -> Result<bool> {
        let Some(running) = &self.program else { return Ok(true) };
        if running.process.ended()? {
            return Ok(true);
        }
        running.process.terminate()?;
        Ok(false)
    }

    /// In place: the file is mounted.
    pub(super) fn write_hosts(&self, hosts: &str) -> Result<()> {
        fs::write(self.dir.join("hosts"), hosts).context("hosts")
    }

    /// A link from the bridge to a network namespace that is named after the address.
    fn connect(&self) -> Result<()> {
        let address = self.address;
        let [.., third, last] = address.octets();
        let link = format!("pod{third}-{last}");
        run(&[
            &format!("ip netns add {address}"),
            &format!("ip link add {link} type veth peer name eth0 netns {address}"),
            &format!("ip link set {link} master pods up"),
            &format!("ip -n {address} link set lo up"),
            &format!("ip -n {address} addr add {address}/16 dev eth0"),
            &format!("ip -n {address} link set eth0 up"),
        ])
    }

    /// The process, in the pod's network and root, as the container's user and with its environment.
    fn run(
        &self,
        host: &Host,
        pod: &Pod,
        container: &Container,
        program: &Path,
    ) -> Result<Process> {
        let script = self.dir.join("run");
        fs::write(&script, self.script(host, pod, container, program)?)?;
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.address))
            .args(["unshare", "--mount", "sh", "-e"])
            .arg(script);
        Process::spawn(&pod.name_any(), command, &host.dir)
    }

    fn script(
        &self,
        host: &Host,
        pod: &Pod,
        container: &Container,
        program: &Path,
    ) -> Result<String> {
        let root = self.dir.join("root");
        fs::create_dir_all(&root)?;
        let root = root.display();
        let mut script = format!("mount --bind {root} {root}\ncd {root}\n");
        let mut mount = |source: &Path, target: &str, is_file: bool| {
            let target = target.trim_start_matches('/');
            let source = source.display();
            let make = if is_file { "touch" } else { "mkdir -p" };
            writeln!(script, "mkdir -p $(dirname ./{target}); {make} {target}")?;
            writeln!(script, "mount --bind {source} {target}")
        };
        // The programs under test are linked to the system's libraries; those of an image are not.
        for folder in ["/usr", "/lib", "/lib64", "/etc/ssl", "/dev"] {
            if Path::new(folder).is_dir() {
                mount(Path::new(folder), folder, false)?;
            }
        }
        mount(program, "/program", true)?;
        mount(&self.dir.join("hosts"), "/etc/hosts", true)?;
        for volume_mount in container.volume_mounts.iter().flatten() {
            let folder = self.folders.iter().find(|folder| folder.name == volume_mount.name);
            let folder = folder.with_context(|| format!("no volume {}", volume_mount.name))?;
            mount(&folder.path, &volume_mount.mount_path, false)?;
        }
        let context = container.security_context.as_ref();
        if context.and_then(|context| context.read_only_root_filesystem) == Some(true) {
            writeln!(script, "mount -o remount,bind,ro {root}")?;
        }
        let user = context.and_then(|context| context.run_as_user).unwrap_or(USER);
        write!(script, "exec chroot --userspec={user}:{user} {root} /usr/bin/env -i")?;
        let environment = self.environment(host, pod, container)?;
        for (name, value) in &environment {
            write!(script, " {name}={}", quoted(value))?;
        }
        write!(script, " /program")?;
        for argument in container.args.iter().flatten() {
            // As a kubelet does.
            let argument = environment.iter().fold(argument.clone(), |argument, (name, value)| {
                argument.replace(&format!("$({name})"), value)
            });
            write!(script, " {}", quoted(&argument))?;
        }
        script.push('\n');
        Ok(script)
    }

    fn environment(
        &self,
        host: &Host,
        pod: &Pod,
        container: &Container,
    ) -> Result<Vec<(String, String)>> {
        let (address, port) = host.api_server;
        let mut environment = vec![
            ("KUBERNETES_SERVICE_HOST".to_owned(), address.to_string()),
            ("KUBERNETES_SERVICE_PORT".to_owned(), port.to_string()),
        ];
        for variable in container.env.iter().flatten() {
            environment.push((variable.name.clone(), self.value(pod, variable)?));
        }
        Ok(environment)
    }

    fn value(&self, pod: &Pod, variable: &EnvVar) -> Result<String> {
        if let Some(value) = &variable.value {
            return Ok(value.clone());
        }
        let source = variable.value_from.as_ref();
        let field = source.and_then(|source| source.field_ref.as_ref());
        match field.map(|field| field.field_path.as_str()) {
            None => Ok(String::new()),
            Some("metadata.name") => Ok(pod.name_any()),
            Some("metadata.namespace") => Ok(pod.namespace().unwrap_or_default()),
            Some("status.podIP") => Ok(self.address.to_string()),
            Some(other) => bail!("the field {other} is not known here"),
        }
    }

    /// Writes the pod's status when it has changed.
    async fn tell(&mut self, host: &Host, pod: &Pod, spec: &PodSpec) -> Result<()> {
        let ready = match &self.program {
            None => true,
            Some(running) => self.answers(&running.container).await,
        };
        let restarts = self.program.as_ref().map_or(0, |running| running.restarts);
        let status = self.status(spec, ready, restarts);
        if self.told.as_ref() == Some(&status) {
            return Ok(());
        }
        let namespace = pod.namespace().unwrap_or_default();
        let api = Api::<Pod>::namespaced(host.client.clone(), &namespace);
        let patch = Patch::Merge(json!({ "status": status }));
        api.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await?;
        self.told = Some(status);
        Ok(())
    }

    fn status(&self, spec: &PodSpec, ready: bool, restarts: u32) -> Value {
        let word = if ready { "True" } else { "False" };
        let since = "2026-01-01T00:00:00Z";
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "lastTransitionTime": since});
        let containers = spec.containers.iter().map(|container| {
            json!({
                "name": container.name, "image": container.image, "imageID": "",
                "ready": ready, "started": true, "restartCount": restarts,
                "state": {"running": {"startedAt": since}},
            })
        });
        json!({
            "phase": "Running",
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "hostIP": super::Node::ADDRESS,
            "conditions": [
                condition("Ready", word),
                condition("ContainersReady", word),
                condition("Initialized", "True"),
                condition("PodScheduled", "True"),
            ],
            "containerStatuses": containers.collect::<Vec<_>>(),
        })
    }

    async fn answers(&self, container: &Container) -> bool {
        let Some(url) = container.readiness_probe.as_ref().and_then(|it| self.url(container, it))
        else {
            return true;
        };
        let http = reqwest::Client::builder().no_proxy().timeout(PROBE).build();
        let Ok(http) = http else { return false };
        http.get(url).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    fn url(&self, container: &Container, probe: &Probe) -> Option<String> {
        let get = probe.http_get.as_ref()?;
        let port = match &get.port {
            IntOrString::Int(port) => *port,
            IntOrString::String(name) => {
                let mut ports = container.ports.iter().flatten();
                ports.find(|port| port.name.as_ref() == Some(name))?.container_port
            }
        };
        let path = get.path.as_deref().unwrap_or_default();
        Some(format!("http://{}:{port}{path}", self.address))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Its links go with it. The test may have ended, and the namespace with it.
        run(&[&format!("ip netns del {}", self.address)]).ok();
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

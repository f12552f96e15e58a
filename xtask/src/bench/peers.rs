//! The proxies that are compared: where they are, how they are configured and started.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use super::{
    proc::Server,
    workload::{Request, Workload},
};
use crate::{
    run::{self, Scratch},
    ui::Outcome,
};

const FIRST_PORT: u16 = 21_000;
const PORTS: u16 = 2000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    Floor,
    BareMio,
    BareTokio,
    Nginx,
    NginxTuned,
    Haproxy,
    Squid,
    Envoy,
    Byway,
}

pub(crate) const ALL: &[Peer] = &[
    Peer::Floor,
    Peer::BareMio,
    Peer::BareTokio,
    Peer::Nginx,
    Peer::NginxTuned,
    Peer::Haproxy,
    Peer::Squid,
    Peer::Envoy,
    Peer::Byway,
];

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::BareMio => "bare-mio",
            Self::BareTokio => "bare-tokio",
            Self::Nginx => "nginx",
            Self::NginxTuned => "nginx-tuned",
            Self::Haproxy => "haproxy",
            Self::Squid => "squid",
            Self::Envoy => "envoy",
            Self::Byway => "byway",
        }
    }

    /// The cargo package that builds it, for what is our own.
    pub(crate) fn package(self) -> Option<&'static str> {
        match self {
            Self::Floor | Self::BareMio | Self::BareTokio => Some("byway-bench"),
            Self::Byway => Some("byway"),
            Self::Nginx | Self::NginxTuned | Self::Haproxy | Self::Squid | Self::Envoy => None,
        }
    }

    pub(crate) fn binary(self) -> Option<PathBuf> {
        let own = || Some(run::target().join("release").join(self.name())).filter(|f| f.is_file());
        match self {
            Self::Floor | Self::BareMio | Self::BareTokio | Self::Byway => own(),
            Self::Nginx | Self::NginxTuned => run::which("nginx"),
            Self::Haproxy => run::which("haproxy"),
            Self::Squid => run::which("squid"),
            Self::Envoy => {
                let ours = run::target().join("bench/venv/bin/envoy");
                if ours.is_file() { Some(ours) } else { run::which("envoy") }
            }
        }
    }

    /// Its own words about its version.
    pub(crate) fn version(self) -> Option<String> {
        let flag = match self {
            Self::Floor | Self::BareMio | Self::BareTokio | Self::NginxTuned => return None,
            Self::Nginx | Self::Haproxy | Self::Squid => "-v",
            Self::Envoy | Self::Byway => "--version",
        };
        let mut command = Command::new(self.binary()?);
        let output = run::output(command.arg(flag), Duration::from_secs(10)).ok()?;
        let all = output.all();
        all.lines().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
    }

    /// What stands before the origin's own path.
    pub(crate) fn prefix(self, request: Request) -> &'static str {
        if self == Self::Byway && request != Request::Tunnel { "/to/origin" } else { "" }
    }

    /// A tunnel needs a CONNECT, but for the relay that parses nothing.
    pub(crate) fn is_direct(self) -> bool {
        self == Self::Floor
    }

    fn template(self) -> Option<&'static str> {
        match self {
            Self::Floor | Self::BareMio | Self::BareTokio => None,
            Self::Nginx | Self::NginxTuned => Some("nginx.tmpl"),
            Self::Haproxy => Some("haproxy.tmpl"),
            Self::Squid => Some("squid.tmpl"),
            Self::Envoy => Some("envoy.tmpl"),
            Self::Byway => Some("byway.tmpl"),
        }
    }

    /// Envoy goes by the ending to know the language.
    fn config_name(self) -> String {
        let ending = match self {
            Self::Envoy => "yaml",
            Self::Byway => "toml",
            Self::Floor | Self::BareMio | Self::BareTokio => "none",
            Self::Nginx | Self::NginxTuned | Self::Haproxy | Self::Squid => "conf",
        };
        format!("{}.{ending}", self.name())
    }

    fn args(self, config: &str, site: &Site, port: u16, workload: &Workload) -> Vec<String> {
        let workers = workload.workers.to_string();
        let origin = format!("127.0.0.1:{}", site.origin_port(workload));
        let listen = format!("127.0.0.1:{port}");
        let mut args: Vec<&str> = match self {
            Self::Floor | Self::BareMio | Self::BareTokio => {
                vec!["--listen", &listen, "--origin", &origin, "--workers", &workers]
            }
            Self::Nginx | Self::NginxTuned => vec!["-c", config],
            Self::Haproxy => vec!["-db", "-f", config],
            Self::Squid => vec!["-N", "-f", config],
            Self::Envoy => {
                let quiet = ["--disable-hot-restart", "-l", "error"];
                [["-c", config, "--concurrency", &workers].as_slice(), &quiet].concat()
            }
            Self::Byway => vec!["serve", "--config", config],
        };
        if workload.tls && self.template().is_none() {
            args.push("--tls");
        }
        args.into_iter().map(str::to_owned).collect()
    }

    /// Starts it for this workload, on a port of its own.
    pub(crate) fn start(self, workload: &Workload, site: &Site) -> Outcome<Running> {
        let name = self.name();
        let binary = self.binary().ok_or_else(|| format!("{name} is not installed"))?;
        let port = free_port()?;
        let config = site.path().join("conf").join(self.config_name());
        if let Some(template) = self.template() {
            let text = read_template(template)?;
            let text = self.fill(&text, site, port, workload)?;
            write(&config, text.as_bytes())?;
        }
        let config = config.to_string_lossy().into_owned();
        let trust = site.path().join("conf/cert.pem");
        // Only byway verifies the origin; it takes its roots from where OpenSSL would.
        let trust = format!("SSL_CERT_FILE={}", trust.display());
        let mut args = vec![String::from("env"), trust, binary.to_string_lossy().into_owned()];
        args.extend(self.args(&config, site, port, workload));
        let cores = cores(workload.workers);
        let server = Server::start(name, &args, &cores, port, site.path())?;
        Ok(Running { peer: self, port, server })
    }

    fn fill(self, text: &str, site: &Site, port: u16, workload: &Workload) -> Outcome<String> {
        let tls = workload.tls;
        let tunnel = workload.request == Request::Tunnel;
        let when = |yes: bool, text: &str| if yes { text.to_owned() } else { String::new() };
        let buffers = "proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;";
        let values = [
            ("@L@", port.to_string()),
            ("@A@", free_port()?.to_string()),
            ("@N@", workload.workers.to_string()),
            ("@UP@", site.origin_port(workload).to_string()),
            ("@DIR@", site.path().display().to_string()),
            ("@CA@", site.path().join("conf/cert.pem").display().to_string()),
            ("@NAME@", self.name().to_owned()),
            ("@SCHEME@", String::from(if tls { "https" } else { "http" })),
            ("@ORIGINHOST@", String::from("127.0.0.1")),
            ("@SSL@", when(tls, "ssl sni str(upstream.test)")),
            ("@BUFFERS@", when(self == Self::NginxTuned, buffers)),
            ("@TLS@", when(tls, ENVOY_TLS)),
            ("@UPGRADE@", when(tunnel, "upgrade_configs: [ { upgrade_type: CONNECT } ]")),
            ("@ROUTE@", when(tunnel, ENVOY_CONNECT)),
        ];
        let filled =
            values.iter().fold(text.to_owned(), |text, (key, value)| text.replace(key, value));
        match filled.split('@').nth(1) {
            Some(rest) if rest.chars().all(|c| c.is_ascii_uppercase()) => {
                Err(format!("the template of {} has an unknown key @{rest}@", self.name()))
            }
            _ => Ok(filled),
        }
    }
}

/// Envoy offers TLS 1.2 at most unless told otherwise; the origin speaks 1.3 only.
const ENVOY_TLS: &str = "transport_socket: { name: envoy.transport_sockets.tls, typed_config: \
    { \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, \
    sni: upstream.test, common_tls_context: { tls_params: { tls_minimum_protocol_version: TLSv1_3, \
    tls_maximum_protocol_version: TLSv1_3 } } } }";
const ENVOY_CONNECT: &str = "{ match: { connect_matcher: {} }, route: { cluster: c, timeout: 0s, \
    upgrade_configs: [ { upgrade_type: CONNECT, connect_config: {} } ] } },";

/// A started proxy.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) peer: Peer,
    pub(crate) port: u16,
    pub(crate) server: Server,
}

/// The origin with its files, and the scratch folder of the run.
#[derive(Debug)]
pub(crate) struct Site {
    // Before the folder: the server stops, then its files go.
    origin: Option<Server>,
    plain: u16,
    tls: u16,
    folder: Scratch,
    keep: bool,
}

impl Site {
    /// Makes the certificate and the files.
    pub(crate) fn new(keep: bool) -> Outcome<Self> {
        let folder = Scratch::new("bench")?;
        for name in ["conf", "run", "www"] {
            let path = folder.path().join(name);
            fs::create_dir_all(&path)
                .map_err(|e| format!("cannot create {}: {e}", path.display()))?;
        }
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        // Servers started by root change to users of their own and write their logs here.
        let mut open = Command::new("chmod");
        open.args(["a+rwx", &path("run"), &path("")]);
        run::require(&mut open, Duration::from_secs(5))?;
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
        openssl.args(["-keyout", &path("conf/key.pem"), "-out", &path("conf/cert.pem")]);
        openssl.args(["-subj", "/CN=upstream.test"]);
        openssl.args(["-addext", "subjectAltName=DNS:upstream.test,IP:127.0.0.1"]);
        // Not an authority: strict verifiers refuse one as a server's certificate.
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        run::require(&mut openssl, Duration::from_secs(30))?;
        for (path, length) in [super::workload::SMALL, super::workload::LARGE] {
            write(&folder.path().join("www").join(path.trim_start_matches('/')), &content(length))?;
        }
        Ok(Self { origin: None, plain: free_port()?, tls: free_port()?, folder, keep })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn plain_port(&self) -> u16 {
        self.plain
    }

    pub(crate) fn origin_port(&self, workload: &Workload) -> u16 {
        if workload.tls { self.tls } else { self.plain }
    }

    /// Starts the origin on the cores of this workload, after ending the one before.
    pub(crate) fn start_origin(&mut self, workload: &Workload) -> Outcome<()> {
        self.origin = None;
        let text = read_template("up-nginx.tmpl")?
            .replace("@DIR@", &self.path().display().to_string())
            .replace("@N@", &workload.workers.to_string())
            .replace("@UPPLAIN@", &self.plain.to_string())
            .replace("@UPTLS@", &self.tls.to_string());
        let config = self.path().join("conf/origin.conf");
        write(&config, text.as_bytes())?;
        let nginx = run::which("nginx").ok_or("the origin needs nginx, which is not installed")?;
        let args = [nginx.to_string_lossy().into_owned(), String::from("-c")];
        let args = [args.as_slice(), &[config.to_string_lossy().into_owned()]].concat();
        let cores = cores(workload.workers);
        self.origin = Some(Server::start("origin", &args, &cores, self.plain, self.path())?);
        Ok(())
    }

    pub(crate) fn origin_alive(&mut self) -> Outcome<()> {
        self.origin.as_mut().map_or(Ok(()), Server::alive)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.origin = None;
        if self.keep {
            let kept = run::target().join("bench/last");
            drop(fs::remove_dir_all(&kept));
            let mut copy = Command::new("cp");
            copy.arg("-r").arg(self.path()).arg(&kept);
            drop(run::output(&mut copy, Duration::from_secs(10)));
        }
    }
}

/// Bytes that compress badly and show every shift: a fixed pseudo-random text.
pub(crate) fn content(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        b'a' + u8::try_from(state % 26).unwrap_or(0)
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// One worker: everything on the last core, as interrupts often stay on the first. More: on as many.
pub(crate) fn cores(workers: usize) -> String {
    let last = count_cores().saturating_sub(1);
    if workers == 1 { last.to_string() } else { format!("0-{}", last.min(workers - 1)) }
}

pub(crate) fn count_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A port that nobody listens on, below those that outgoing connections take.
pub(crate) fn free_port() -> Outcome<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..PORTS {
        let port = FIRST_PORT + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(format!("no free port from {FIRST_PORT} to {}", FIRST_PORT + PORTS - 1))
}

fn read_template(name: &str) -> Outcome<String> {
    let file = run::root().join("bench/peers").join(name);
    fs::read_to_string(&file).map_err(|e| format!("cannot read {}: {e}", file.display()))
}

fn write(file: &Path, bytes: &[u8]) -> Outcome<()> {
    fs::write(file, bytes).map_err(|e| format!("cannot write {}: {e}", file.display()))
}

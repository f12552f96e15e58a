//! The programs and client libraries that the tests drive: installed where that is possible, named
//! where it is not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    run,
    ui::{self, Outcome},
};

/// A program and the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("nginx", "nginx-light"),
    ("squid", "squid"),
    ("microsocks", "microsocks"),
    ("curl", "curl"),
    ("wget", "wget"),
    ("git", "git"),
    ("strace", "strace"),
    ("openssl", "openssl"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("npm", "npm"),
];
/// What goes into the virtual environment, and how pip is told so.
const REQUIREMENTS: &[(&str, &[&str])] =
    &[(".ci/python.txt", &[]), (".ci/python-alone.txt", &["--no-deps"])];
const INSTALL_LIMIT: Duration = Duration::from_secs(300);
const CHECK_LIMIT: Duration = Duration::from_secs(60);

/// Where the tests find client libraries; nothing where they could not be installed.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    venv: Option<PathBuf>,
    node: Option<PathBuf>,
}

impl Environment {
    /// What the tests are told.
    pub(crate) fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        let venv = self.venv.clone().map(|venv| ("BYWAY_TEST_VENV", venv));
        let node = self.node.clone().map(|node| ("BYWAY_TEST_NODE", node));
        venv.into_iter().chain(node).collect()
    }

    pub(crate) fn typos(&self) -> Option<PathBuf> {
        let ours = self.venv.as_ref().map(|venv| venv.join("bin/typos"));
        ours.filter(|typos| typos.is_file()).or_else(|| run::which("typos"))
    }
}

/// `strict`: what is missing is an error, and not only said.
pub(crate) fn prepare(strict: bool) -> Outcome<Environment> {
    let report = |why: String| {
        if strict {
            return Err(why);
        }
        ui::warn(why);
        Ok(())
    };
    if let Err(why) = programs() {
        report(why)?;
    }
    let mut environment = Environment::default();
    match venv() {
        Ok(venv) => environment.venv = Some(venv),
        Err(why) => report(format!("what is written in Python is missing: {why}"))?,
    }
    match node() {
        Ok(node) => environment.node = Some(node),
        Err(why) => report(format!("what is written for Node is missing: {why}"))?,
    }
    for (name, value) in environment.variables() {
        ui::say(format_args!("   {name}={}", value.display()));
    }
    Ok(environment)
}

fn programs() -> Outcome<()> {
    let absent = || PROGRAMS.iter().filter(|(program, _)| run::which(program).is_none());
    let mut packages: Vec<&str> = absent().map(|(_, package)| *package).collect();
    // Debian has the module that makes environments in a package of its own.
    let mut has_venv = Command::new("python3");
    has_venv.args(["-c", "import venv, ensurepip"]);
    if !run::output(&mut has_venv, CHECK_LIMIT).is_ok_and(|output| output.ok) {
        packages.push("python3-venv");
    }
    if packages.is_empty() {
        return Ok(());
    }
    run::apt_install(&packages).map_err(|why| {
        let names: Vec<&str> = absent().map(|(program, _)| *program).collect();
        format!("missing: {}; {why}", names.join(", "))
    })?;
    let still: Vec<&str> = absent().map(|(program, _)| *program).collect();
    if still.is_empty() {
        Ok(())
    } else {
        Err(format!("installed, but not found: {}", still.join(", ")))
    }
}

/// A virtual environment with the Python clients, emulators and checkers.
fn venv() -> Outcome<PathBuf> {
    let mut wanted = Vec::new();
    for (file, _) in REQUIREMENTS {
        let text = fs::read(run::root().join(file)).map_err(|e| format!("no {file}: {e}"))?;
        wanted.extend(text);
    }
    let venv = run::target().join("ci/venv");
    let stamp = venv.join("installed.txt");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(venv);
    }
    run::require(Command::new("python3").args(["-m", "venv"]).arg(&venv), INSTALL_LIMIT)?;
    for (file, how) in REQUIREMENTS {
        let mut pip = Command::new(venv.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(*how);
        pip.arg("--requirement").arg(run::root().join(file));
        run::require(&mut pip, INSTALL_LIMIT)?;
    }
    fs::write(&stamp, wanted)
        .map(|()| venv)
        .map_err(|e| format!("cannot write {}: {e}", stamp.display()))
}

/// A folder with the packages for Node in `node_modules`.
fn node() -> Outcome<PathBuf> {
    let wanted = run::root().join(".ci/node/package.json");
    let folder = run::target().join("ci/node");
    let stamp = folder.join("installed.json");
    if same(&wanted, &stamp) {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    copy(&wanted, &folder.join("package.json"))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]);
    run::require(npm.current_dir(&folder), INSTALL_LIMIT)?;
    copy(&wanted, &stamp)?;
    Ok(folder)
}

/// Whether what is wanted is what was installed: the stamp is written last.
fn same(wanted: &Path, stamp: &Path) -> bool {
    fs::read(wanted).ok().is_some_and(|wanted| fs::read(stamp).is_ok_and(|stamp| stamp == wanted))
}

fn copy(from: &Path, to: &Path) -> Outcome<()> {
    fs::copy(from, to)
        .map(drop)
        .map_err(|e| format!("cannot copy {} to {}: {e}", from.display(), to.display()))
}

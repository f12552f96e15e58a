//! `byway init`: a first configuration.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{BufRead, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::cli::{self, InitArgs};

/// Asks, writes, and checks what it wrote.
///
/// # Errors
/// If the file exists or cannot be written, or an answer is not usable.
pub(crate) fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    if args.output.exists() && !args.force {
        bail!("`{}` exists already; `--force` replaces it", args.output.display());
    }
    let providers = if args.provider.is_empty() {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            cli::complain("no terminal to ask on, reading the answers from standard input");
        }
        ask(&mut stdin.lock())?
    } else {
        args.provider.iter().map(|text| split(text)).collect::<anyhow::Result<_>>()?
    };
    let text = write(&providers);
    if let Err(problems) = byway_config::parse(&args.output.display().to_string(), &text, &Bare) {
        bail!("these answers do not make a configuration:\n{}", problems.render(false));
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!args.force);
    let mut file = options
        .open(&args.output)
        .with_context(|| format!("cannot write `{}`", args.output.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    cli::say(&format!("wrote {}", args.output.display()));
    cli::say(&format!("next: byway serve --config {}", args.output.display()));
    for (name, _) in &providers {
        cli::say(&format!("then: curl http://127.0.0.1:7070/to/{name}/"));
    }
    Ok(ExitCode::SUCCESS)
}

/// A first configuration refers to nothing outside itself.
pub(crate) struct Bare;

impl byway_config::Environment for Bare {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

type Provider = (String, String);

fn split(text: &str) -> anyhow::Result<Provider> {
    match text.split_once('=') {
        Some((name, url)) => Ok((name.trim().to_owned(), url.trim().to_owned())),
        None => bail!("`{text}` is not `name=url`, for example `catalog=https://api.example.com`"),
    }
}

fn ask(input: &mut impl BufRead) -> anyhow::Result<Vec<Provider>> {
    let mut providers = Vec::new();
    loop {
        let what = if providers.is_empty() { "Which third party" } else { "Another third party" };
        let name = question(input, &format!("{what} do you call? A short name (empty to end)"))?;
        if name.is_empty() {
            return Ok(providers);
        }
        let url =
            question(input, &format!("Where is {name}? For example https://api.example.com"))?;
        providers.push((name, url));
    }
}

fn question(input: &mut impl BufRead, text: &str) -> anyhow::Result<String> {
    cli::say(text);
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

fn write(providers: &[Provider]) -> String {
    let mut text = String::from(
        "# Byway. Everything that can be set, with its default: docs/config.toml\n\
         # `byway check` finds mistakes; the file is read again when it changes.\n\n\
         [gateway]\nlisten = \"127.0.0.1:7070\"\n\n[admin]\nlisten = \"127.0.0.1:7071\"\n",
    );
    if providers.is_empty() {
        text.push_str("\n# [provider.catalog]\n# url = \"https://api.catalog.example\"\n");
    }
    for (name, url) in providers {
        let url = url.replace('\\', "\\\\").replace('"', "\\\"");
        let _infallible = write!(text, "\n[provider.{name}]\nurl = \"{url}\"\n");
    }
    text
}

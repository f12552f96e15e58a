//! `byway relay deploy aws`: a folder → CloudFormation, and back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use byway_cloud::deploy::Deploy;
use byway_relay::config::Config;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli;

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(subcommand)]
    to: To,
}

#[derive(Debug, Subcommand)]
enum To {
    /// Through CloudFormation alone
    Aws(AwsArgs),
}

#[derive(Debug, Args)]
struct AwsArgs {
    /// The folder that `byway relay new` wrote
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The region [default: the one of byway-path.toml]
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    region: Option<String>,
    /// A profile of the shared AWS configuration
    #[arg(long, value_name = "NAME", env = "AWS_PROFILE")]
    profile: Option<String>,
    /// Another end than AWS, for emulators
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    endpoint_url: Option<String>,
    /// Without a fixed address: cheaper, but shared with strangers and changing
    #[arg(long)]
    changing_address: bool,
    /// A parameter of the template that is not its default; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    parameter: Vec<(String, String)>,
    /// The template [default: the one of the path's platform]
    #[arg(long, value_name = "FILE")]
    template: Option<String>,
    /// Remove everything that was deployed
    #[arg(long)]
    destroy: bool,
    /// The result as JSON, on standard output
    #[arg(long)]
    json: bool,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// How often AWS is asked how far it is; emulators are done at once.
const ASK_EVERY: Duration = Duration::from_secs(3);

pub(super) fn run(args: &DeployArgs) -> anyhow::Result<ExitCode> {
    let To::Aws(args) = &args.to;
    let config = Config::load(&args.dir.join("relay.toml"), None)?;
    let path_file = args.dir.join("byway-path.toml");
    let path = std::fs::read_to_string(&path_file)
        .with_context(|| format!("cannot read {}", path_file.display()))?;
    let region = args.region.clone().or_else(|| region_of(&path));
    let region = region.context("name the region with --region")?;
    let usual =
        if path.contains("api-gateway-v1") { "template-rest.yaml" } else { "template.yaml" };
    let mut parameters: BTreeMap<String, String> = args.parameter.iter().cloned().collect();
    let fixed = if args.changing_address { "false" } else { "true" };
    parameters.entry("FixedAddress".to_owned()).or_insert_with(|| fixed.to_owned());
    if let Some(port) = extra_port(&config)? {
        parameters.entry("ExtraPort".to_owned()).or_insert_with(|| port.to_string());
    }
    let deploy = Deploy {
        dir: args.dir.clone(),
        name: config.id.clone(),
        region,
        profile: args.profile.clone(),
        endpoint: args.endpoint_url.clone(),
        template: args.template.clone().unwrap_or_else(|| usual.to_owned()),
        parameters,
        ask_every: if args.endpoint_url.is_some() { Duration::from_millis(100) } else { ASK_EVERY },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut says = |line: &str| cli::complain(line);
    if args.destroy {
        runtime.block_on(deploy.down(&mut says))?;
        if args.json {
            cli::say(&json!({"relay": config.id, "what": "removed"}).to_string());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let deployed = runtime.block_on(deploy.up(&mut says))?;
    let url = deployed.outputs.get("Url").context("the stack has no output `Url`")?;
    let exit = deployed.outputs.get("ExitAddress").filter(|exit| !exit.is_empty());
    write(&path_file, &reached_at(&path, url, exit))?;
    if args.json {
        let outputs = &deployed.outputs;
        let told = json!({"relay": config.id, "what": deployed.what, "outputs": outputs});
        cli::say(&told.to_string());
    } else {
        let seen = exit.map_or("an address that changes", String::as_str);
        cli::say(&format!(
            "{} is {}: {url}\nproviders see {seen}\n{} has both; next: byway relay ping {}",
            config.id,
            deployed.what,
            path_file.display(),
            config.id
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// A port besides 443 and 80 that the security group has to open.
fn extra_port(config: &Config) -> anyhow::Result<Option<u16>> {
    let mut ports: Vec<u16> = config.allow.iter().map(|entry| entry.port()).collect();
    ports.retain(|port| !matches!(port, 80 | 443));
    ports.sort_unstable();
    ports.dedup();
    match ports.as_slice() {
        [] => Ok(None),
        [port] => Ok(Some(*port)),
        more => bail!(
            "the allow-list has the ports {more:?} besides 80 and 443; the template opens one more \
             at most, and a port that is closed there would look like the provider's fault"
        ),
    }
}

/// The region in a path's URL.
fn region_of(path: &str) -> Option<String> {
    let url = path.lines().find_map(|line| line.strip_prefix("url = \"https://"))?;
    let mut parts = url.split('.').skip_while(|p| !matches!(*p, "lambda-url" | "execute-api"));
    parts.next()?;
    parts.next().map(ToOwned::to_owned)
}

/// The path with what is known now.
fn reached_at(path: &str, url: &str, exit: Option<&String>) -> String {
    let lines = path.lines().map(|line| {
        let is_exit = line.trim_start_matches("# ").starts_with("exit = ");
        match exit {
            _ if line.starts_with("url = ") => format!("url = \"{url}\""),
            Some(exit) if is_exit => format!("exit = \"{exit}\""),
            None if is_exit => "# exit = \"the address that providers see\"".to_owned(),
            _ => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    //! The gateway's section learns where the relay is.

    use super::{reached_at, region_of};

    const PATH: &str = "[path.r]\n# exit = \"the address that providers see\"\n[path.r.relay]\n\
                        url = \"https://REPLACE.lambda-url.ap-northeast-2.on.aws/\"\n";

    #[test]
    fn the_region_stands_in_the_url() {
        assert_eq!(region_of(PATH).as_deref(), Some("ap-northeast-2"));
        assert_eq!(region_of("url = \"https://relay.example.com/\"\n"), None);
    }

    #[test]
    fn url_and_exit_are_put_in_and_taken_out_again() {
        let exit = "203.0.113.7".to_owned();
        let there = reached_at(PATH, "https://a.example/", Some(&exit));
        assert!(there.contains("\nexit = \"203.0.113.7\"\n"), "{there}");
        assert!(there.contains("\nurl = \"https://a.example/\"\n"), "{there}");
        let gone = reached_at(&there, "https://a.example/", None);
        assert!(gone.contains("\n# exit = "), "{gone}");
    }
}

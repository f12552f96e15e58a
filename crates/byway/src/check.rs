//! `byway check`

use std::io::IsTerminal as _;
use std::process::ExitCode;

use crate::cli::{self, CheckArgs, Format};

/// Checks a configuration.
///
/// # Errors
/// None; problems are the result.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let is_json = args.json || args.format == Format::Json;
    match byway_config::load(&args.file) {
        Ok(settings) => {
            // Only the data plane can tell whether certificates and keys can be used.
            if let Err(error) = byway_gateway::Gateway::check(&settings) {
                cli::complain(&format!("{}: {:#}", args.file.display(), anyhow::Error::new(error)));
                return Ok(ExitCode::from(2));
            }
            if is_json {
                cli::say("[]");
            } else {
                let (n_providers, n_paths) = (settings.providers.len(), settings.paths.len());
                let file = args.file.display();
                let s = |n: usize| if n == 1 { "" } else { "s" };
                let (providers, paths) = (s(n_providers), s(n_paths));
                cli::say(&format!(
                    "{file} is fine: {n_providers} provider{providers}, {n_paths} path{paths}"
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            if is_json {
                cli::say(&problems.to_json());
            } else {
                cli::complain(&format!(
                    "{}\n{}",
                    args.file.display(),
                    problems.render(std::io::stderr().is_terminal())
                ));
            }
            Ok(ExitCode::from(if args.file.exists() { 2 } else { 1 }))
        }
    }
}

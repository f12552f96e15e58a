//! The file as a whole: syntax first, then section by section, then what sections say together.

use std::collections::BTreeSet;

use byway_core::settings::Settings;
use toml::Spanned;
use toml::de::DeTable;

use crate::environment::Environment;
use crate::problem::{Found, Problems};
use crate::section::{Reading, Section};
use crate::{gateway, listener, path, provider, signature, tables};

/// A configuration is written by hand; a larger one is some other file.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// Checks a configuration, and notes every key that anybody asked for.
pub(crate) fn parse(
    file_name: &str,
    text: &str,
    environment: &dyn Environment,
    known: &mut BTreeSet<String>,
) -> Result<Settings, Problems> {
    let alone = |span, message: String| {
        Problems::new(file_name, text, vec![Found { span, message, hint: None }])
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(alone(None, "a configuration of more than 1 MiB".to_owned()));
    }
    let root = match DeTable::parse(text) {
        Ok(root) => root,
        Err(err) => return Err(alone(err.span(), err.message().trim().replace('\n', ", "))),
    };
    let mut reading = Reading { text, environment, found: Vec::new(), known };
    let settings = sections(&mut reading, &root);
    if reading.found.is_empty() {
        Ok(settings)
    } else {
        Err(Problems::new(file_name, text, reading.found))
    }
}

fn sections<'t>(reading: &mut Reading<'_>, root: &'t Spanned<DeTable<'t>>) -> Settings {
    let mut root = Section::new("", 0..0, root.get_ref());
    let mut settings = Settings::default();
    settings.n_workers =
        std::thread::available_parallelism().map_or(settings.n_workers, std::num::NonZero::get);
    gateway::read(reading, &mut root, &mut settings);
    listener::read(reading, &mut root, &mut settings);
    tables::read(reading, &mut root, &mut settings);
    path::read(reading, &mut root, &mut settings);
    provider::read(reading, &mut root, &mut settings);
    signature::read(reading, &mut root, &mut settings);
    root.finish(reading);
    settings
}

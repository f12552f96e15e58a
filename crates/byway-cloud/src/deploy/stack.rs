//! One CloudFormation stack: put, watched, removed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::{Capability, Parameter, StackEvent, Tag};

use crate::aws::chain_of;

/// No stack of ours takes longer: a NAT gateway takes a few minutes.
const WITHIN: Duration = Duration::from_secs(30 * 60);

/// A stack by name.
pub(super) struct Stack<'a> {
    pub(super) client: &'a Client,
    pub(super) name: String,
    pub(super) ask_every: Duration,
}

impl Stack<'_> {
    /// Its status; `None` if there is none.
    pub(super) async fn status(&self) -> anyhow::Result<Option<String>> {
        let asked = self.client.describe_stacks().stack_name(&self.name).send().await;
        match asked {
            Ok(found) => {
                let found = found.stacks().first().and_then(|stack| stack.stack_status());
                Ok(found
                    .map(|status| status.as_str().to_owned())
                    .filter(|s| s != "DELETE_COMPLETE"))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => bail!("cannot look at the stack {}: {}", self.name, chain_of(&error)),
        }
    }

    /// Waits until nothing is under way, so that an interrupted run can be taken up.
    pub(super) async fn settle(&self, says: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let is_moving = |status: &Option<String>| {
            status.as_ref().is_some_and(|status| status.ends_with("_IN_PROGRESS"))
        };
        if is_moving(&self.status().await?) {
            says(&format!("{}: something is under way already; waiting for it", self.name));
            self.watch(&[], says).await?;
        }
        // What was never complete cannot be updated, only replaced.
        let broken = ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"];
        if let Some(status) = self.status().await?
            && broken.contains(&status.as_str())
        {
            says(&format!("{}: is {status}, from an earlier failure; removing it", self.name));
            self.remove(says).await?;
        }
        Ok(())
    }

    /// Creates or updates it; what that was.
    pub(super) async fn put(
        &self,
        template: &str,
        parameters: &BTreeMap<String, String>,
        says: &mut dyn FnMut(&str),
    ) -> anyhow::Result<&'static str> {
        let parameters: Vec<Parameter> = parameters
            .iter()
            .map(|(name, value)| {
                Parameter::builder().parameter_key(name).parameter_value(value).build()
            })
            .collect();
        let seen = self.events().await.unwrap_or_default();
        let seen: Vec<String> = seen.iter().filter_map(id_of).collect();
        if self.status().await?.is_none() {
            says(&format!("{}: creating", self.name));
            let tag = Tag::builder().key("byway").value("relay").build();
            self.client
                .create_stack()
                .stack_name(&self.name)
                .template_body(template)
                .set_parameters(Some(parameters))
                .capabilities(Capability::CapabilityIam)
                .tags(tag)
                .send()
                .await
                .map_err(|error| {
                    anyhow::anyhow!("cannot create {}: {}", self.name, told(&error))
                })?;
            self.watch(&seen, says).await?;
            return Ok("created");
        }
        let updated = self
            .client
            .update_stack()
            .stack_name(&self.name)
            .template_body(template)
            .set_parameters(Some(parameters))
            .capabilities(Capability::CapabilityIam)
            .send()
            .await;
        match updated {
            Ok(_) => {
                says(&format!("{}: updating", self.name));
                self.watch(&seen, says).await?;
                Ok("updated")
            }
            Err(error) if told(&error).contains("No updates are to be performed") => {
                says(&format!("{}: nothing has changed", self.name));
                Ok("unchanged")
            }
            Err(error) => bail!("cannot update {}: {}", self.name, told(&error)),
        }
    }

    /// Deletes it, and waits until it is gone.
    pub(super) async fn remove(&self, says: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        if self.status().await?.is_none() {
            says(&format!("{}: is not there", self.name));
            return Ok(());
        }
        says(&format!("{}: removing", self.name));
        let seen: Vec<String> = self.events().await?.iter().filter_map(id_of).collect();
        let asked = self.client.delete_stack().stack_name(&self.name).send().await;
        asked.map_err(|error| anyhow::anyhow!("cannot remove {}: {}", self.name, told(&error)))?;
        self.watch(&seen, says).await
    }

    /// Its outputs.
    pub(super) async fn outputs(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let found = self.client.describe_stacks().stack_name(&self.name).send().await;
        let found = found.map_err(|error| anyhow::anyhow!("{}: {}", self.name, told(&error)))?;
        let stack = found.stacks().first().context("the stack is gone")?;
        let output = |output: &aws_sdk_cloudformation::types::Output| {
            Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
        };
        Ok(stack.outputs().iter().filter_map(output).collect())
    }

    /// Tells what happens until nothing is under way.
    async fn watch(&self, seen: &[String], says: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let mut seen: Vec<String> = seen.to_vec();
        let mut failed = None;
        let mut waited = Duration::ZERO;
        loop {
            let mut events = self.events().await.unwrap_or_default();
            events.reverse();
            for event in events {
                let Some(id) = id_of(&event).filter(|id| !seen.contains(id)) else { continue };
                seen.push(id);
                let (line, is_failure) = line_of(&event);
                says(&format!("{}: {line}", self.name));
                if is_failure {
                    failed.get_or_insert(line);
                }
            }
            match self.status().await? {
                None => return Ok(()),
                Some(status) if status.ends_with("_IN_PROGRESS") => {}
                Some(status) if status.contains("ROLLBACK") || status.ends_with("FAILED") => {
                    let why = failed.unwrap_or_else(|| "AWS gave no reason".to_owned());
                    bail!("{} ended as {status}: {why}", self.name);
                }
                Some(_) => return Ok(()),
            }
            if waited >= WITHIN {
                bail!("{} is still under way after {} min", self.name, WITHIN.as_secs() / 60);
            }
            tokio::time::sleep(self.ask_every).await;
            waited += self.ask_every;
        }
    }

    /// The newest events, newest first.
    async fn events(&self) -> anyhow::Result<Vec<StackEvent>> {
        let asked = self.client.describe_stack_events().stack_name(&self.name).send().await;
        match asked {
            Ok(found) => Ok(found.stack_events().to_vec()),
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            Err(error) => bail!("{}", told(&error)),
        }
    }
}

fn id_of(event: &StackEvent) -> Option<String> {
    event.event_id().map(ToOwned::to_owned)
}

/// `Nat CREATE_FAILED: the quota is used up`, and whether that is the reason for a failure.
fn line_of(event: &StackEvent) -> (String, bool) {
    let name = event.logical_resource_id().unwrap_or("?");
    let status = event.resource_status().map_or("?", |status| status.as_str());
    let reason = event.resource_status_reason().map_or(String::new(), |why| format!(": {why}"));
    // What is cancelled is a consequence.
    let is_failure = status.ends_with("FAILED") && !reason.contains("cancelled");
    (format!("{name} {status}{reason}"), is_failure)
}

fn is_missing(error: &(impl ProvideErrorMetadata + std::error::Error)) -> bool {
    told(error).contains("does not exist")
}

/// What AWS said, without the layers around it.
fn told(error: &(impl ProvideErrorMetadata + std::error::Error)) -> String {
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        (_, Some(message)) => message.to_owned(),
        _ => chain_of(error),
    }
}

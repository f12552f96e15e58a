//! Facts as rows: written from core's, read back for people and machines.

use byway_core::fact::{Fact, Value};
use jiff::Timestamp;
use serde_json::{Map, Value as Json};

/// Which facts.
#[derive(Debug, Clone, Default)]
pub struct FactQuery {
    /// That happened at or after this instant.
    pub since: Option<Timestamp>,
    /// That happened before this instant.
    pub until: Option<Timestamp>,
    /// About this provider.
    pub provider: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// With a greater number than this.
    pub after: Option<i64>,
    /// At most so many, the latest.
    pub n_max: Option<u32>,
}

/// A fact as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFact {
    /// Its number; greater ones were recorded later.
    pub id: i64,
    /// Which instance recorded it.
    pub instance: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Its kind.
    pub kind: String,
    /// The provider that it is about.
    pub provider: Option<String>,
    /// The path that it is about.
    pub path: Option<String>,
    /// What else is known.
    pub fields: Map<String, Json>,
}

impl StoredFact {
    /// One JSON object with everything.
    pub fn to_json(&self) -> Json {
        let mut object = Map::new();
        let mut put = |name: &str, value: Json| object.insert(name.to_owned(), value);
        put("id", self.id.into());
        put("occurred_at", self.occurred_at.to_string().into());
        put("recorded_at", self.recorded_at.to_string().into());
        put("instance", self.instance.as_str().into());
        put("kind", self.kind.as_str().into());
        for (name, value) in [("provider", &self.provider), ("path", &self.path)] {
            if let Some(value) = value {
                put(name, value.as_str().into());
            }
        }
        object.insert("fields".to_owned(), Json::Object(self.fields.clone()));
        Json::Object(object)
    }

    /// A field as text; empty if there is none.
    pub fn text(&self, name: &str) -> String {
        match self.fields.get(name) {
            None | Some(Json::Null) => String::new(),
            Some(Json::String(text)) => text.clone(),
            Some(Json::Array(list)) => {
                let texts: Vec<&str> = list.iter().filter_map(Json::as_str).collect();
                texts.join(",")
            }
            Some(other) => other.to_string(),
        }
    }
}

/// The named values of a fact as JSON text.
pub(crate) fn fields_json(fact: &Fact) -> String {
    let value = |value: &Value| match value {
        Value::Text(text) => Json::String(text.clone()),
        Value::Number(number) => Json::from(*number),
        Value::Time(at) => Json::String(at.to_string()),
        Value::List(list) => Json::Array(list.iter().cloned().map(Json::String).collect()),
    };
    let fields = fact.fields.iter().map(|(name, of)| ((*name).to_owned(), value(of)));
    Json::Object(fields.collect()).to_string()
}

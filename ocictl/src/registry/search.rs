//! Finding repositories by a word.

use super::client::{Client, DOCKER_HUB, DOCKER_SEARCH};
use super::content::{page, words};
use super::token::encode;
use crate::error::Result;

impl Client {
    /// Images whose names hold a word: by the search of Docker's registry where there is one, else out of the catalog.
    ///
    /// # Errors
    /// Says what the registry answered.
    pub fn search(&self, term: &str, limit: usize) -> Result<Vec<Found>> {
        let query = encode(&[("q", term.to_owned()), ("n", limit.to_string())]);
        let path = match self.reference.registry == DOCKER_HUB.0 {
            true => format!("https://{DOCKER_SEARCH}/v1/search?{query}"),
            false => format!("/v1/search?{query}"),
        };
        let answer = self.request("GET", &path, &[("accept", "application/json")], None)?;
        if answer.status == 200 {
            let page = page(answer, "search")?;
            let results = page["results"].as_array().into_iter().flatten();
            return Ok(results.filter_map(Found::of).take(limit).collect());
        }
        let mut found = Vec::new();
        self.pages("/v2/_catalog?n=1000", "catalog", |page| {
            let names = words(page, "repositories").filter(|name| name.contains(term));
            found.extend(names.map(|name| Found { name: name.into(), ..Found::default() }));
            found.len() < limit
        })?;
        found.truncate(limit);
        Ok(found)
    }
}

/// A repository that a search has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its name without the registry.
    pub name: String,
    /// What it says of itself.
    pub description: String,
    /// How many like it.
    pub stars: u64,
    /// Whether the registry vouches for it.
    pub official: bool,
}

impl Found {
    fn of(value: &serde_json::Value) -> Option<Self> {
        Some(Self {
            name: value["name"].as_str()?.to_owned(),
            description: value["description"].as_str().unwrap_or_default().to_owned(),
            stars: value["star_count"].as_u64().unwrap_or(0),
            official: value["is_official"].as_bool().unwrap_or(false),
        })
    }
}

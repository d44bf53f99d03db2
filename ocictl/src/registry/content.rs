//! What a repository holds: manifests, blobs, tags (spec.md, "Pull" and "Content Discovery").

use super::client::Client;
use super::http::{Answer, Origin};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::oci::{MAX_MANIFEST_BYTES, media};

const MAX_PAGE_BYTES: u64 = 1 << 20;
const MAX_PAGES: usize = 1000;

/// A manifest or an index as it came.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What the registry calls it.
    pub content_type: Option<String>,
    /// Of the bytes.
    pub digest: Digest,
}

impl Client {
    /// The digest of what a tag stands for now, without fetching it.
    ///
    /// # Errors
    /// As [`Client::manifest`]; nothing if the registry does not say it.
    pub fn manifest_digest(&self, version: &str) -> Result<Option<Digest>> {
        let answer = self.request(
            "HEAD",
            &self.path(&format!("manifests/{version}")),
            &[("accept", &accepted())],
            None,
        )?;
        match answer.status {
            200 => Ok(answer.header("docker-content-digest").and_then(|digest| Digest::parse(digest).ok())),
            _ => Err(self.refused(answer)),
        }
    }

    /// A manifest or an index, by tag or digest. The digest is compared with the bytes.
    ///
    /// # Errors
    /// Says what the registry answered, or what is wrong with the bytes.
    pub fn manifest(&self, version: &str) -> Result<Fetched> {
        let answer = self.request(
            "GET",
            &self.path(&format!("manifests/{version}")),
            &[("accept", &accepted())],
            None,
        )?;
        if answer.status != 200 {
            return Err(self.refused(answer));
        }
        let content_type = answer
            .header("content-type")
            .map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
        let said = answer
            .header("docker-content-digest")
            .map(Digest::parse)
            .transpose()
            .context(|| "Docker-Content-Digest")?;
        let bytes = answer.bytes(MAX_MANIFEST_BYTES).context(|| "manifest")?;
        for wanted in [Digest::parse(version).ok(), said].into_iter().flatten() {
            wanted.verify(&bytes).context(|| "manifest")?;
        }
        let digest = Digest::parse(version).unwrap_or_else(|_| Digest::of(&bytes));
        Ok(Fetched { bytes, content_type, digest })
    }

    /// A small blob, compared with its digest.
    ///
    /// # Errors
    /// Says what the registry answered, or what is wrong with the bytes.
    pub fn small_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let place = || format!("blob {digest}");
        let answer = self.follow(&self.path(&format!("blobs/{digest}")), &[], true).context(place)?;
        if answer.status != 200 {
            return Err(self.refused(answer).context(place()));
        }
        let bytes = answer.bytes(limit).context(place)?;
        digest.verify(&bytes).context(place)?;
        Ok(bytes)
    }

    /// All tags of the repository.
    ///
    /// # Errors
    /// Says what the registry answered, or that the list has no end.
    pub fn tags(&self) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        self.pages(&self.path("tags/list"), "list of tags", |page| {
            tags.extend(words(page, "tags").map(str::to_owned));
            true
        })?;
        Ok(tags)
    }

    /// Hands the pages of a list to `take`, until there are no more or it says that it has enough.
    pub(super) fn pages(
        &self,
        path: &str,
        what: &str,
        mut take: impl FnMut(&serde_json::Value) -> bool,
    ) -> Result<()> {
        let mut path = path.to_owned();
        for _ in 0..MAX_PAGES {
            let answer = self.request("GET", &path, &[("accept", "application/json")], None)?;
            if answer.status != 200 {
                return Err(self.refused(answer));
            }
            let next = answer.header("link").and_then(next_page);
            let wants_more = take(&page(answer, what)?);
            let Some(next) = next.filter(|_| wants_more) else { return Ok(()) };
            let url = self.origin().join(&next);
            if Origin::of(&url)? != self.origin() {
                return Err(Error::new(format!("the {what} goes on at another host")));
            }
            path = url;
        }
        Err(Error::new(format!("the {what} has more than {MAX_PAGES} pages")))
    }

    /// Whether a blob is there, and how large it is.
    ///
    /// # Errors
    /// Says what the registry answered, if neither yes nor no.
    pub fn has_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        let answer = self.request("HEAD", &self.path(&format!("blobs/{digest}")), &[], None)?;
        match answer.status {
            200 => Ok(answer.header("content-length").and_then(|length| length.parse().ok())),
            300..400 => Ok(Some(0)),
            404 => Ok(None),
            _ => Err(self.refused(answer)),
        }
    }
}

/// A JSON document of a registry.
///
/// # Errors
/// Fails if it is too large, or no JSON.
pub(super) fn page(answer: Answer, what: &str) -> Result<serde_json::Value> {
    let bytes = answer.bytes(MAX_PAGE_BYTES).context(|| what.to_owned())?;
    serde_json::from_slice(&bytes).map_err(|error| Error::new(error.to_string()).context(what))
}

/// The words of a list in such a document.
pub(super) fn words<'a>(page: &'a serde_json::Value, list: &str) -> impl Iterator<Item = &'a str> {
    page[list].as_array().into_iter().flatten().filter_map(|word| word.as_str())
}

fn accepted() -> String {
    [media::MANIFEST, media::INDEX, media::DOCKER_MANIFEST, media::DOCKER_INDEX].join(", ")
}

/// `<…>; rel="next"`
fn next_page(link: &str) -> Option<String> {
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| target.to_owned())
}

//! Bringing content to a registry (spec.md, "Push").

use super::client::Client;
use super::http::{Answer, Ask, Origin, Sent};
use super::pace::Paced;
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use std::io::Read;

impl Client {
    /// Lets a repository have a blob that another repository of the same registry has; `false` if the registry will not.
    ///
    /// # Errors
    /// Says what the registry answered.
    pub fn mount_blob(&self, digest: &Digest, from: &str) -> Result<bool> {
        let path = self.path(&format!(
            "blobs/uploads/?mount={}&from={}",
            digest.as_str().replace(':', "%3A"),
            from.replace('/', "%2F")
        ));
        let answer = self.request("POST", &path, &[], Some(&[]))?;
        match answer.status {
            201 => Ok(true),
            202 => {
                // It has begun an upload instead, which nobody will go on with.
                if let Ok(location) = self.upload_location(&answer) {
                    let _best_effort = self.request("DELETE", &location, &[], None);
                }
                Ok(false)
            }
            _ => Err(self.refused(answer)),
        }
    }

    /// Uploads bytes whose digest is known.
    ///
    /// # Errors
    /// Says what the registry answered.
    pub fn upload_bytes(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        let location = self.begin_upload()?;
        self.finish_upload(&location, &digest, bytes)?;
        Ok(digest)
    }

    /// Uploads what `stream` yields; its digest is asked for when it has ended.
    ///
    /// # Errors
    /// Says what the registry answered.
    pub fn upload_stream<R: Read>(
        &self,
        stream: R,
        digest: impl FnOnce(R) -> Result<Digest>,
    ) -> Result<Digest> {
        let mut stream = stream;
        let location = self.begin_upload()?;
        let headers = [("content-type", "application/octet-stream")];
        let ask = Ask {
            method: "PATCH",
            url: &location,
            headers: &headers,
            body: Sent::Stream(&mut Paced::new(&mut stream, self.pace)),
            small: false,
        };
        let answer = self.send(ask).context(|| "upload")?;
        if !matches!(answer.status, 202 | 204) {
            return Err(self.refused(answer).context("upload"));
        }
        let location = self.upload_location(&answer)?;
        let digest = digest(stream)?;
        self.finish_upload(&location, &digest, &[])?;
        Ok(digest)
    }

    /// Puts a manifest under a tag or its digest.
    ///
    /// # Errors
    /// Says what the registry answered.
    pub fn put_manifest(&self, version: &str, media_type: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(&format!("manifests/{version}"));
        let answer = self.request("PUT", &path, &[("content-type", media_type)], Some(bytes))?;
        match answer.status {
            200..300 => Ok(()),
            _ => Err(self.refused(answer).context("manifest")),
        }
    }

    fn begin_upload(&self) -> Result<String> {
        let answer = self.request("POST", &self.path("blobs/uploads/"), &[], Some(&[]))?;
        match answer.status {
            202 => self.upload_location(&answer),
            _ => Err(self.refused(answer).context("upload")),
        }
    }

    fn finish_upload(&self, location: &str, digest: &Digest, rest: &[u8]) -> Result<()> {
        let url = format!(
            "{location}{}digest={}",
            if location.contains('?') { '&' } else { '?' },
            digest.as_str().replace(':', "%3A")
        );
        let answer =
            self.request("PUT", &url, &[("content-type", "application/octet-stream")], Some(rest))?;
        match answer.status {
            201 | 204 => Ok(()),
            _ => Err(self.refused(answer).context("upload")),
        }
    }

    /// Where an upload goes on: at the registry and nowhere else.
    fn upload_location(&self, answer: &Answer) -> Result<String> {
        let location = answer
            .header("location")
            .ok_or_else(|| Error::new("the registry does not say where to upload"))?;
        let url = self.origin().join(location);
        if Origin::of(&url)? != self.origin() {
            return Err(Error::new(format!(
                "the registry wants the upload at another host: {}",
                Origin::of(&url)?.host
            )));
        }
        Ok(url)
    }
}

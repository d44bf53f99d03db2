//! An image that somebody wants to use: out of the store or from a registry, as the caller's policy says.

use super::progress::Progress;
use super::pull::Pull;
use super::{Images, not_found};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::store::images::ImageRecord;

/// When a registry is asked (podman-run(1), `--pull`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Always; what it says counts.
    Always,
    /// If no image that fits is here.
    Missing,
    /// Never.
    Never,
    /// Always; if it cannot be had from there, what is here will do.
    Newer,
}

/// The words for them.
pub const POLICIES: [&str; 4] = ["always", "missing", "never", "newer"];

impl Policy {
    /// Reads one of [`POLICIES`].
    ///
    /// # Errors
    /// Says which there are.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "always" => Ok(Self::Always),
            "missing" => Ok(Self::Missing),
            "never" => Ok(Self::Never),
            "newer" => Ok(Self::Newer),
            _ => Err(Error::new(format!("\"{word}\" is none of {}", POLICIES.join(", ")))),
        }
    }
}

impl Images<'_> {
    /// The ID of an image for the platform that `pull` names; any image of that name will do if it names none and the image is here.
    ///
    /// # Errors
    /// Says why it cannot be had: it is not here, it is here for another platform, or what registries have answered.
    pub fn obtain(&self, name: &str, policy: Policy, pull: &Pull, progress: &dyn Progress) -> Result<Digest> {
        let fits = |image: &ImageRecord| pull.platform.as_ref().is_none_or(|wanted| image.fits(wanted));
        if matches!(policy, Policy::Missing | Policy::Never) {
            match self.find(name)? {
                Some(image) if fits(&image) => return Ok(image.id),
                Some(image) if policy == Policy::Never => {
                    return Err(
                        Error::new(format!("it is for {}", image.platform)).context(format!("image {name}"))
                    );
                }
                None if policy == Policy::Never => return Err(not_found(name)),
                _ => {}
            }
        }
        match self.pull(name, pull, progress) {
            Err(error) if policy == Policy::Newer => match self.find(name)? {
                Some(image) if fits(&image) => {
                    progress.warn(&format!("{error}; the image that is here is used"));
                    Ok(image.id)
                }
                _ => Err(error),
            },
            pulled => pulled,
        }
    }
}

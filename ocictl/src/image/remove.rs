//! Taking images away: first names, then the record, then what nothing refers to any more.

use super::{Images, not_found};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::reference::Typed;
use crate::store::images::ImageRecord;

/// How many users of an image a message names.
const SHOWN: usize = 3;

/// What a removal did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone.
    Untagged(String),
    /// An image is gone.
    Deleted(Digest),
}

impl Images<'_> {
    /// Removes the name that was typed, and the image if that was its last one; or the image with all names if it was meant by its
    /// ID and has one name at most. `force` takes all names. An image that a container needs stays.
    ///
    /// # Errors
    /// Fails if there is no such image, if it has several names and was meant by its ID, or is in use.
    pub fn remove(&self, text: &str, force: bool) -> Result<Vec<Removed>> {
        let _guard = self.store.lock()?;
        let image = self.find(text)?.ok_or_else(|| not_found(text))?;
        let names: Vec<String> = self.names_of(&image.id)?;
        let typed = Typed::parse(text).ok();
        let meant = match typed {
            Some(typed) if Digest::parse(text).is_err() => self.find_name(&typed)?.map(|name| name.name),
            _ => None,
        };
        let mut removed = Vec::new();
        let going = match &meant {
            Some(name) if !force => vec![name.clone()],
            _ if names.len() > 1 && !force => {
                let image = image.id.short();
                return Err(Error::new(format!("image {image} has several names: {}", names.join(", ")))
                    .hint("remove a name at a time, or all with --force"));
            }
            _ => names.clone(),
        };
        let last = going.len() == names.len();
        if last {
            self.check_unused(&image)?;
        }
        for name in going {
            self.store.remove_name(&name)?;
            removed.push(Removed::Untagged(name));
        }
        if last {
            self.store.remove_image(&image.id)?;
            removed.push(Removed::Deleted(image.id));
        }
        Ok(removed)
    }

    /// Removes names without removing the image; all of them if none is given.
    ///
    /// # Errors
    /// Fails if there is no such image, or a name is none of its.
    pub fn untag(&self, text: &str, names: &[String]) -> Result<()> {
        let _guard = self.store.lock()?;
        let image = self.find(text)?.ok_or_else(|| not_found(text))?;
        if names.is_empty() {
            for name in self.names_of(&image.id)? {
                self.store.remove_name(&name)?;
            }
            return Ok(());
        }
        for name in names {
            let record = self.find_name(&Typed::parse(name)?)?.filter(|record| record.image == image.id);
            let record = record
                .ok_or_else(|| Error::new(format!("\"{name}\" is no name of image {}", image.id.short())))?;
            self.store.remove_name(&record.name)?;
        }
        Ok(())
    }

    /// Removes images without a name, or with `all` every one, that nobody uses and that is `wanted`.
    ///
    /// # Errors
    /// Fails if the store cannot be read, or a record cannot be removed.
    pub fn prune(&self, all: bool, wanted: impl Fn(&ImageRecord) -> Result<bool>) -> Result<Vec<Removed>> {
        let _guard = self.store.lock()?;
        let mut removed = Vec::new();
        for (image, names) in self.list()? {
            if (!names.is_empty() && !all) || self.check_unused(&image).is_err() || !wanted(&image)? {
                continue;
            }
            for name in names {
                self.store.remove_name(&name.name)?;
                removed.push(Removed::Untagged(name.name));
            }
            self.store.remove_image(&image.id)?;
            removed.push(Removed::Deleted(image.id));
        }
        Ok(removed)
    }

    fn check_unused(&self, image: &ImageRecord) -> Result<()> {
        let users: Vec<String> =
            self.store.pins()?.into_iter().filter(|pin| pin.image == image.id).map(|pin| pin.owner).collect();
        if users.is_empty() {
            return Ok(());
        }
        let others = users.len().saturating_sub(SHOWN);
        let shown = users.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
        let more = if others > 0 { format!(" and {others} more") } else { String::new() };
        Err(Error::new(format!("image {} is in use by {shown}{more}", image.id.short()))
            .hint("remove that first"))
    }
}

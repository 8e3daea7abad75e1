//! Listings, page by page: of one prefix, or of several in as few requests as their neighbourhood allows.
//!
//! In: prefixes. Out: what lies below them, by name. Pages are believed only as far as they are listings of what was asked for. It must
//! not know what the names mean.

use std::collections::HashSet;

use jiff::Timestamp;
use lacre_format::name::ObjectName;
use reqwest::Method;

use super::{Inner, PAGE_BYTES_MAX, no_store, read_request, wire::Request, xml};
use crate::store::{Foreign, ForeignKind, LIST_ENTRIES_MAX, Listing, ObjectMeta, StoreError};

impl Inner {
    pub(super) async fn list(&self, below: &str) -> Result<Listing, StoreError> {
        let mut prefix = self.full(below);
        if !prefix.is_empty() {
            prefix.push('/');
        }
        let (mut listing, mut seen, mut token) = (Listing::default(), HashSet::new(), None::<String>);
        loop {
            let page = self.page(below, &prefix, token.take().map(|token| ("continuation-token", token))).await?;
            for entry in page.entries {
                self.take_entry(&mut listing, below, &prefix, entry)?;
            }
            let Some((next, _)) = page.next else { break };
            if !seen.insert(next.clone()) {
                return Err(no_store(below, "a listing that never ends"));
            }
            token = Some(next);
        }
        Ok(sorted(listing))
    }

    /// Lists several prefixes at once: one page of a small repository holds them all, and where a page ends between two of them, the
    /// next one begins at the second.
    pub(super) async fn list_many(&self, mut wanted: Vec<String>) -> Result<Listing, StoreError> {
        wanted.sort_unstable();
        let root = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let areas: Vec<String> = wanted.iter().map(|prefix| format!("{root}{prefix}/")).collect();
        let (mut listing, mut cursor) = (Listing::default(), areas.first().cloned().unwrap_or_default());
        loop {
            let page = self.page("", &root, Some(("start-after", cursor.clone()))).await?;
            let keys: Vec<&str> = page.entries.iter().map(|entry| entry.key.as_str()).collect();
            // A store that knows no start-after, or sorts in its own way, is asked prefix by prefix.
            let is_in_order = keys.first().is_none_or(|first| *first > cursor.as_str()) && keys.is_sorted();
            if !is_in_order || (keys.is_empty() && page.next.is_some()) {
                return self.list_one_by_one(&wanted).await;
            }
            let last = keys.last().map(|last| (*last).to_owned());
            let is_last = page.next.is_none();
            for entry in page.entries {
                if areas.iter().any(|area| entry.key.starts_with(area)) {
                    self.take_entry(&mut listing, "", &root, entry)?;
                }
            }
            let Some(last) = last.filter(|_| !is_last) else { break };
            // The first area that does not end before the last key: inside it the listing goes on, else it begins there.
            let Some(next) = areas.iter().find(|area| last.starts_with(*area) || **area > last) else { break };
            cursor = if last.starts_with(next) { last } else { next.clone() };
        }
        Ok(sorted(listing))
    }

    async fn list_one_by_one(&self, wanted: &[String]) -> Result<Listing, StoreError> {
        let mut all = Listing::default();
        for prefix in wanted {
            let Listing { mut objects, mut foreign } = self.list(prefix).await?;
            all.objects.append(&mut objects);
            all.foreign.append(&mut foreign);
        }
        Ok(sorted(all))
    }

    async fn page(
        &self,
        below: &str,
        prefix: &str,
        from: Option<(&'static str, String)>,
    ) -> Result<xml::Page, StoreError> {
        let mut query =
            vec![("list-type", "2".to_owned()), ("encoding-type", "url".to_owned()), ("prefix", prefix.to_owned())];
        query.extend(from);
        let request = Request { query, ..read_request(Method::GET, "", PAGE_BYTES_MAX) };
        let reply = self.ask(below, &request).await?;
        let is_no_listing = || no_store(below, "no listing came back");
        if reply.answer.status != 200 {
            return Err(is_no_listing());
        }
        xml::page(&reply.answer.body, "ListBucketResult").map_err(|_| is_no_listing())
    }

    fn take_entry(
        &self,
        listing: &mut Listing,
        below: &str,
        prefix: &str,
        entry: xml::Entry,
    ) -> Result<(), StoreError> {
        let strip = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        let Some(name) = entry.key.get(strip..).filter(|_| entry.key.starts_with(prefix)) else {
            return Err(no_store(below, "a listing of other names than asked for"));
        };
        if listing.objects.len() + listing.foreign.len() >= LIST_ENTRIES_MAX {
            let limit = u64::try_from(LIST_ENTRIES_MAX).unwrap_or(u64::MAX);
            return Err(StoreError::TooLarge { name: below.to_owned(), size: limit.saturating_add(1), limit });
        }
        match ObjectName::from_path(name) {
            Ok(_) => listing.objects.push(ObjectMeta {
                name: name.to_owned(),
                bytes: entry.bytes.unwrap_or_default(),
                modified: entry.modified.parse().unwrap_or(Timestamp::UNIX_EPOCH),
            }),
            Err(_) => listing.foreign.push(Foreign {
                name: name.escape_default().to_string(),
                kind: if name.ends_with('/') { ForeignKind::Directory } else { ForeignKind::BadName },
            }),
        }
        Ok(())
    }
}

fn sorted(mut listing: Listing) -> Listing {
    listing.objects.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    listing.objects.dedup_by(|one, other| one.name == other.name);
    listing
}

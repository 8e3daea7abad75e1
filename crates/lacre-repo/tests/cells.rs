//! Seal cells of every kind: what they hold, who counts as a holder, what an adversary or a crash makes of them.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that cannot go on fails")]

#[path = "cells/changes.rs"]
mod changes;
#[path = "cells/crash.rs"]
mod crash;
#[path = "cells/hostile.rs"]
mod hostile;
#[path = "cells/shop.rs"]
mod shop;
mod support;
#[path = "cells/versions.rs"]
mod versions;

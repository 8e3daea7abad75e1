//! Exit codes: the contract with cron, scripts and monitoring.
//!
//! In: nothing. Out: one number per outcome and what a person should do about it. It must not know which command ended this way.

use std::process::ExitCode;

/// How a command ended, one value per documented exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything that was asked for is done.
    Done,
    /// The command failed and changed nothing that counts.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// Done, with findings a person should read.
    Findings,
    /// Stored data is damaged.
    Damage,
    /// An erasure is not complete yet.
    ErasurePending,
    /// There is no repository (or snapshot) of that name.
    NoRepository,
    /// Another process or machine was faster.
    Conflict,
    /// No key at hand opens it.
    NoKey,
    /// The store cannot be reached.
    Unreachable,
    /// The source failed, so nothing was committed.
    SourceFailed,
    /// A safety rule refused.
    Refused,
    /// A signal asked the command to stop.
    Interrupted,
}

/// Every exit code in the order of the reference.
pub const ALL: [Exit; 13] = [
    Exit::Done,
    Exit::Failed,
    Exit::Usage,
    Exit::Findings,
    Exit::Damage,
    Exit::ErasurePending,
    Exit::NoRepository,
    Exit::Conflict,
    Exit::NoKey,
    Exit::Unreachable,
    Exit::SourceFailed,
    Exit::Refused,
    Exit::Interrupted,
];

impl Exit {
    /// Returns the number the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Findings => 3,
            Exit::Damage => 4,
            Exit::ErasurePending => 5,
            Exit::NoRepository => 10,
            Exit::Conflict => 11,
            Exit::NoKey => 12,
            Exit::Unreachable => 13,
            Exit::SourceFailed => 14,
            Exit::Refused => 15,
            Exit::Interrupted => 130,
        }
    }

    /// Says in a few words what the code means.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Failed => "failed",
            Exit::Usage => "usage or configuration",
            Exit::Findings => "done, with findings",
            Exit::Damage => "damage found",
            Exit::ErasurePending => "erasure pending",
            Exit::NoRepository => "no repository or snapshot there",
            Exit::Conflict => "conflict",
            Exit::NoKey => "no key opens it",
            Exit::Unreachable => "store unreachable",
            Exit::SourceFailed => "the source failed, nothing was committed",
            Exit::Refused => "refused by a safety rule",
            Exit::Interrupted => "interrupted",
        }
    }

    /// Says what the person or the script should do next.
    pub fn what_to_do(self) -> &'static str {
        match self {
            Exit::Done => "Nothing.",
            Exit::Failed => {
                "Read the message; the hint under it is the next command. Nothing was left half-visible, running it again is safe."
            }
            Exit::Usage => {
                "Correct the command line or the file and line named in the message. Running it again unchanged gives the same result."
            }
            Exit::Findings => {
                "The work is done. Read the findings (they are in the JSON result too) and act on the advice in each."
            }
            Exit::Damage => {
                "Do not delete anything. Run `lacre repo check --read-data` to learn the extent, then restore the newest snapshot that passes."
            }
            Exit::ErasurePending => {
                "The receipt is interim. It lists what is missing; deal with each item and run the command it names."
            }
            Exit::NoRepository => {
                "Check `--repo` (or `LACRE_REPO`) and the snapshot's name; `lacre snapshots` lists them, `lacre init` creates a repository."
            }
            Exit::Conflict => "Another process or machine was faster. Try again in a minute; nothing is damaged.",
            Exit::NoKey => {
                "Give the identity named in the message with `--identity`, or bring back the seal cell or kit it names."
            }
            Exit::Unreachable => "Check the disk or network named in the message and try again; retrying is safe.",
            Exit::SourceFailed => {
                "Fix the source (the message holds the last lines it said) and run the backup again. No snapshot was made."
            }
            Exit::Refused => {
                "Read which rule refused. The hint names the flag or the answer that allows it, if one does."
            }
            Exit::Interrupted => {
                "Run it again when ready. Finished work is kept, unfinished work never became visible."
            }
        }
    }

    /// Says whether a script may simply run the same command again.
    pub fn retry(self) -> &'static str {
        match self {
            Exit::Done | Exit::Findings => "not needed",
            Exit::Conflict | Exit::Unreachable | Exit::SourceFailed | Exit::Interrupted => "yes",
            Exit::ErasurePending => "`erase resume`",
            Exit::Failed => "after reading",
            Exit::Usage | Exit::Damage | Exit::NoRepository | Exit::NoKey | Exit::Refused => "no",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn codes_are_the_documented_ones_and_ascend() {
        let codes: Vec<u8> = ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 130]);
        assert!(ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

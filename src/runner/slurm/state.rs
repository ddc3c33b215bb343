//! What Slurm says of a job, without its accounting.

use super::command::ask;
use crate::runner::api::RunnerError;

/// A job's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Running,
    /// On its way to its end, whatever that is.
    Completing,
    Completed,
    Cancelled,
    Preempted,
    NodeFail,
    TimeOut,
    OutOfMemory,
    /// Any other, as Slurm spells it.
    Other(String),
}

impl State {
    fn parse(word: &str) -> Self {
        match word {
            "PENDING" | "CONFIGURING" => Self::Pending,
            "RUNNING" => Self::Running,
            "COMPLETING" | "STOPPED" | "SIGNALING" => Self::Completing,
            "COMPLETED" => Self::Completed,
            "CANCELLED" | "REVOKED" => Self::Cancelled,
            "PREEMPTED" => Self::Preempted,
            "NODE_FAIL" | "BOOT_FAIL" => Self::NodeFail,
            "TIMEOUT" | "DEADLINE" => Self::TimeOut,
            "OUT_OF_MEMORY" => Self::OutOfMemory,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// What `scontrol show job` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JobInfo {
    pub(super) state: State,
    /// Why it waits, in Slurm's words.
    pub(super) reason: String,
}

impl JobInfo {
    /// Asks for the job `id`; `None` where the cluster does not know it any more, or does not answer.
    pub(super) async fn of(id: u32) -> Result<Option<Self>, RunnerError> {
        let args = ["show", "job", "--oneliner"].map(str::to_owned).into_iter().chain([id.to_string()]);
        let output = ask("scontrol", &args.collect::<Vec<_>>()).await?;
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    fn parse(text: &str) -> Option<Self> {
        // Values may hold spaces; these two stand before any that the user chose but the job's name, which is ours.
        let value =
            |key: &str| text.split_ascii_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        Some(Self { state: State::parse(value("JobState")?), reason: value("Reason").unwrap_or_default().to_owned() })
    }

    /// Tells why the job will wait for ever, if it will.
    pub(super) fn is_hopeless(&self) -> bool {
        let never = [
            "AccountNotAllowed",
            "BadConstraints",
            "DependencyNeverSatisfied",
            "InvalidAccount",
            "InvalidQOS",
            "PartitionNodeLimit",
            "PartitionTimeLimit",
            "QOSNotAllowed",
        ];
        self.state == State::Pending && (never.contains(&self.reason.as_str()) || self.reason.contains("PerJob"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(state: &str, reason: &str) -> JobInfo {
        // As Slurm 22.05 prints it.
        let text = format!(
            "JobId=13 JobName=afterhours-night UserId=root(0) GroupId=root(0) MCS_label=N/A Priority=4294901752 Nice=0 \
             Account=(null) QOS=(null) JobState={state} Reason={reason} Dependency=(null) Requeue=1 Restarts=0 ExitCode=0:0"
        );
        JobInfo::parse(&text).unwrap()
    }

    #[test]
    fn each_end_is_told_apart() {
        for (word, state) in [
            ("PENDING", State::Pending),
            ("RUNNING", State::Running),
            ("COMPLETING", State::Completing),
            ("COMPLETED", State::Completed),
            ("CANCELLED", State::Cancelled),
            ("PREEMPTED", State::Preempted),
            ("NODE_FAIL", State::NodeFail),
            ("TIMEOUT", State::TimeOut),
            ("OUT_OF_MEMORY", State::OutOfMemory),
            ("FAILED", State::Other("FAILED".to_owned())),
        ] {
            assert_eq!(info(word, "None").state, state);
        }
        assert_eq!(JobInfo::parse("slurm_load_jobs error: Invalid job id specified"), None);
    }

    #[test]
    fn a_queue_is_waited_for_and_a_job_that_can_never_run_is_not() {
        for reason in ["None", "Priority", "Resources", "ReqNodeNotAvail,", "QOSMaxJobsPerUserLimit", "JobHeldAdmin"] {
            assert!(!info("PENDING", reason).is_hopeless(), "{reason}");
        }
        for reason in ["PartitionTimeLimit", "BadConstraints", "QOSMaxWallDurationPerJobLimit"] {
            assert!(info("PENDING", reason).is_hopeless(), "{reason}");
        }
        assert!(!info("RUNNING", "PartitionTimeLimit").is_hopeless());
    }
}

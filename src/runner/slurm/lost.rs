//! What went wrong, in a reader's words: which state, which job, and what would help.
//!
//! [`RunnerError::Missing`] is what no repetition mends: a person must change the mission or the cluster. All else may pass.
//!
//! A job whose memory ran out is the place's failure. The kernel's own processes are held to the sandbox's limits, and one
//! that the system ends alone is reported by the far side as any crash of the kernel's. Only where the far side itself was
//! ended is there no answer, and then nobody can tell whose memory it was.

use super::state::{JobInfo, State};
use crate::runner::api::RunnerError;

/// Characters of Slurm's words that are shown.
const MOST_WORDS: usize = 600;

/// What the controller says of a request that it will refuse for ever.
const FOR_EVER: [&str; 10] = [
    "nvalid",
    "not permitted",
    "ermission denied",
    "access denied",
    "can not be satisfied",
    "cannot be satisfied",
    "node configuration is not available",
    "ore processors requested than permitted",
    "ambiguous",
    "Could not establish a configuration source",
];

/// What a step's watcher says of one that took too much memory: where the system kills by control groups, and where Slurm itself
/// looks and kills (`OverMemoryKill`), which leaves no state of its own.
const OUT_OF_MEMORY: [&str; 4] = ["oom-kill", "oom_kill", "Out Of Memory", "exceeded memory limit"];

/// Says what a request failed for that never became a job.
pub(super) fn refused(said: &str) -> RunnerError {
    let words = words(said);
    if FOR_EVER.iter().any(|mark| said.contains(mark)) {
        RunnerError::Missing(format!(
            "Slurm refuses the allocation: {words}; `sinfo` shows the partitions and their resources, and the mission \
             names them under `slurm` (partition, account, qos, constraint, gres, cpus, mem, time)"
        ))
    } else if said.contains("unable to process configuration file") || said.contains("Unable to process configuration")
    {
        RunnerError::Missing(format!("Slurm is not configured on this machine: {words}; name its file in SLURM_CONF"))
    } else {
        RunnerError::Failed(format!("Slurm gave no allocation: {words}"))
    }
}

/// Says that a job will wait for ever.
pub(super) fn hopeless(id: u32, reason: &str) -> RunnerError {
    RunnerError::Missing(format!(
        "job {id} would wait for ever, as Slurm says {reason}; ask for something else under `slurm` in the mission \
         (partition, account, qos, constraint, gres, cpus, mem, time)"
    ))
}

/// Says what became of a job that waited.
pub(super) fn while_waiting(id: u32, info: Option<&JobInfo>, said: &str) -> RunnerError {
    match info.map(|info| &info.state) {
        Some(State::Cancelled) | None => {
            RunnerError::Failed(format!("job {id} was cancelled in the cluster's queue: {}", words(said)))
        }
        Some(_) => over(id, info, said),
    }
}

/// Says what became of a job, or of its step alone, that ran.
pub(super) fn over(id: u32, info: Option<&JobInfo>, said: &str) -> RunnerError {
    let words = words(said);
    let out_of_memory = || {
        RunnerError::Failed(format!(
            "job {id} ran out of its memory; give it more with `slurm.mem` in the mission: {words}"
        ))
    };
    match info.map(|info| &info.state) {
        Some(State::Cancelled) => {
            RunnerError::Failed(format!("job {id} was cancelled (CANCELLED), by scancel or an administrator: {words}"))
        }
        Some(State::Preempted) => RunnerError::Failed(format!(
            "job {id} was preempted (PREEMPTED); a `slurm.qos` or `slurm.partition` of higher priority is not: {words}"
        )),
        Some(State::NodeFail) => RunnerError::Failed(format!(
            "the node of job {id} failed (NODE_FAIL); `scontrol show node` tells why, and `slurm.constraint` avoids it: {words}"
        )),
        Some(State::TimeOut) => time_out(id, &words),
        Some(State::OutOfMemory) => out_of_memory(),
        _ if said.contains("DUE TO TIME LIMIT") => time_out(id, &words),
        _ if OUT_OF_MEMORY.iter().any(|mark| said.contains(mark)) => out_of_memory(),
        Some(State::Running | State::Completing | State::Pending) => {
            RunnerError::Failed(format!("the step in job {id} was ended while the job goes on: {words}"))
        }
        Some(State::Completed) => RunnerError::Failed(format!("job {id} was over before its answer came: {words}")),
        Some(State::Other(state)) => RunnerError::Failed(format!("job {id} ended as {state}: {words}")),
        None => RunnerError::Failed(format!("the cluster tells nothing of job {id}, which gave no answer: {words}")),
    }
}

fn time_out(id: u32, words: &str) -> RunnerError {
    RunnerError::TimedOut(format!(
        "job {id} reached its time limit (TIMEOUT); allow it more with `slurm.time` in the mission: {words}"
    ))
}

/// Says that the job was launched and the program did not start, where that is what happened.
pub(super) fn not_started(agent: &str, said: &str) -> Option<RunnerError> {
    let words = words(said);
    if said.contains("execve()") {
        return Some(RunnerError::Missing(format!(
            "the node does not start {agent}: {words}; put this program on a file system that the node shares, or name \
             its place there with `slurm.agent` in the mission"
        )));
    }
    said.contains("Exited with exit code").then(|| {
        RunnerError::Missing(format!(
            "{agent} started on the node and gave no answer: {words}; it must be this program, in this version, built for \
             that node; `slurm.agent` in the mission names another file"
        ))
    })
}

/// Tells whether the cluster told the step to end, whatever it answered then.
pub(super) fn is_cut_short(said: &str) -> bool {
    said.contains(" CANCELLED AT ")
}

/// Tells whether the node did not take the step on, which a later try may mend.
pub(super) fn is_launch_failure(said: &str) -> bool {
    ["launch failed", "Task launch for", "Unable to create step", "Socket timed out"]
        .iter()
        .any(|mark| said.contains(mark))
}

/// Returns what Slurm said in one line.
fn words(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let joined = lines.join("; ");
    if joined.is_empty() { "it gives no reason".to_owned() } else { joined.chars().take(MOST_WORDS).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(state: State) -> JobInfo {
        JobInfo { state, reason: "None".to_owned() }
    }

    #[test]
    fn a_request_that_can_never_be_met_needs_a_person_and_a_cluster_out_of_reach_does_not() {
        // As Slurm 22.05 says it.
        for said in [
            "salloc: error: invalid partition specified: nope\nsalloc: error: Job submit/allocate failed: Invalid partition name specified",
            "salloc: error: Job submit/allocate failed: Invalid feature specification",
            "salloc: error: Invalid generic resource (gres) specification",
            "salloc: error: Job submit/allocate failed: Requested node configuration is not available",
            "salloc: error: Job submit/allocate failed: Invalid account or account/partition combination specified",
        ] {
            let error = refused(said);
            assert!(matches!(&error, RunnerError::Missing(text) if text.contains("`slurm`")), "{error}");
        }
        let error = refused(
            "salloc: error: ClusterName needs to be specified\nsalloc: fatal: Unable to process configuration file",
        );
        assert!(matches!(&error, RunnerError::Missing(text) if text.contains("SLURM_CONF")), "{error}");
        for said in [
            "salloc: error: Job submit/allocate failed: Unable to contact slurm controller (connect failure)",
            "salloc: error: Job submit/allocate failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            "",
        ] {
            assert!(matches!(refused(said), RunnerError::Failed(_)), "{said}");
        }
    }

    #[test]
    fn each_end_of_a_job_names_its_state_the_job_and_what_would_help() {
        let text = |state| over(7, Some(&info(state)), "srun: error: x").to_string();
        for (state, words) in [
            (State::Cancelled, "CANCELLED"),
            (State::Preempted, "slurm.qos"),
            (State::NodeFail, "scontrol show node"),
            (State::OutOfMemory, "slurm.mem"),
            (State::Running, "the step in job 7"),
            (State::Other("FAILED".to_owned()), "FAILED"),
        ] {
            let text = text(state);
            assert!(text.contains("job 7") && text.contains(words) && text.contains("srun: error: x"), "{text}");
        }
        assert!(
            matches!(over(7, Some(&info(State::TimeOut)), ""), RunnerError::TimedOut(text) if text.contains("slurm.time"))
        );
    }

    #[test]
    fn a_step_that_ran_out_of_time_or_memory_says_so_while_the_job_still_ends() {
        let said = "slurmstepd: error: *** STEP 3.0 ON vm CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***";
        assert!(is_cut_short(said) && !is_cut_short("srun: warning: can't honor --ntasks-per-node"));
        assert!(matches!(over(3, Some(&info(State::Completing)), said), RunnerError::TimedOut(_)));
        for said in [
            "slurmstepd: error: Detected 1 oom_kill event in StepId=3.0. Some of the step tasks have been OOM Killed.",
            "slurmstepd-vm: error: StepId=3.0 exceeded memory limit (460054528 > 268435456), being killed\n\
             slurmstepd-vm: error: *** STEP 3.0 ON vm CANCELLED AT 2026-01-01T00:00:00 ***",
        ] {
            assert!(over(3, Some(&info(State::Running)), said).to_string().contains("slurm.mem"), "{said}");
        }
    }

    #[test]
    fn a_program_that_is_not_on_the_node_is_told_from_a_node_that_does_not_answer() {
        let said = "slurmstepd: error: execve(): /opt/agent: No such file or directory\nsrun: error: n1: task 0: Exited with exit code 2";
        let error = not_started("/opt/agent", said).unwrap();
        assert!(matches!(&error, RunnerError::Missing(text) if text.contains("slurm.agent")), "{error}");
        let said = "srun: error: Task launch for StepId=14.1 failed on node vm: Communication connection failure";
        assert!(not_started("/opt/agent", said).is_none() && is_launch_failure(said));
    }
}

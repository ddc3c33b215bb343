//! Other programs, asked who they are.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// How long a program may take to say who it is: an import of a large Python package takes a while on a cold disk.
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns what a program prints, or why it does not.
pub(super) async fn ask(program: &str, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Err(_) => return Err(format!("{program} does not answer within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("there is no {program} in PATH"));
        }
        Ok(Err(error)) => return Err(format!("{program} does not start: {error}")),
        Ok(Ok(output)) => output,
    };
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let complaint: String = complaint.trim().lines().next_back().unwrap_or_default().chars().take(200).collect();
        return Err(format!("{program} ends with {}: {complaint}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns the first line of what a program prints.
pub(super) async fn first_line(program: &str, args: &[&str]) -> Result<String, String> {
    let text = ask(program, args).await?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_says_who_it_is_or_why_not() {
        assert_eq!(first_line("sh", &["-c", "echo one; echo two"]).await, Ok("one".to_owned()));
        assert!(first_line("sh", &["-c", "echo why >&2; exit 3"]).await.unwrap_err().ends_with("exit status: 3: why"));
        assert!(first_line("no-such-program", &[]).await.unwrap_err().contains("no no-such-program in PATH"));
    }
}

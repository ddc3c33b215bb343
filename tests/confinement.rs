//! What a confined program reaches, and what it does not, on a system that has every protection.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use afterhours::sandbox::{Access, End, Finished, Input, Limits, Protections, Spec, run, scrubbed};
use tempfile::TempDir;

/// The number of the system call `clone`.
const CLONE: u32 = if cfg!(target_arch = "x86_64") { 56 } else { 220 };

/// A home with a secret in it, and a stage deep inside, as in a repository.
struct Home {
    folder: TempDir,
}

impl Home {
    /// `None`, and a word about it, where this system lacks a protection.
    fn new() -> Option<Self> {
        let protections = Protections::probe();
        if !protections.is_complete() {
            #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
            {
                eprintln!("left out: this system runs programs {protections}");
            }
            return None;
        }
        Some(Self::in_folder(tempfile::tempdir().unwrap()))
    }

    fn in_folder(folder: TempDir) -> Self {
        let home = Self { folder };
        fs::create_dir_all(home.stage()).unwrap();
        fs::create_dir_all(home.at("repository/.git")).unwrap();
        for path in ["secret", "repository/kernel.c", "repository/artifacts/run/journal.jsonl"] {
            fs::write(home.at(path), "hunter2").unwrap();
        }
        home
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn stage(&self) -> PathBuf {
        self.at("repository/artifacts/run/stage/candidate")
    }

    async fn run(&self, program: &str, args: &[&str], limits: Limits) -> Finished {
        self.run_with(program, args, limits, |access| access).await
    }

    async fn run_with(&self, program: &str, args: &[&str], limits: Limits, more: fn(Access) -> Access) -> Finished {
        let stage = self.stage();
        let env = scrubbed(std::env::vars_os(), &stage);
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let access = more(Access::new(OsStr::new(program), &env, &stage, Some(self.folder.path())));
        run(Spec {
            agent: Path::new(env!("CARGO_BIN_EXE_agent")),
            program: OsStr::new(program),
            args: &args,
            folder: &stage,
            env,
            stdin: Input::Bytes(b""),
            deadline: Instant::now() + Duration::from_secs(60),
            output_bytes: 4096,
            limits,
            access: Some(access),
            hold: None,
        })
        .await
        .unwrap()
    }

    async fn sh(&self, script: &str) -> Finished {
        self.run("sh", &["-c", script], Limits::default()).await
    }

    async fn python(&self, script: &str) -> Finished {
        self.run("python3", &["-c", script], Limits::default()).await
    }

    /// Runs a script as a harness in Python runs, which may share semaphores.
    async fn harness(&self, script: &str) -> Finished {
        self.run_with("python3", &["-c", script], Limits::default(), Access::with_semaphores).await
    }
}

fn said(finished: &Finished) -> String {
    format!("{:?}\n{}{}", finished.end, finished.stdout.to_text(), finished.stderr.to_text())
}

#[tokio::test]
async fn files_outside_the_stage_are_neither_read_nor_written() {
    let Some(home) = Home::new() else { return };
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    let tries = [
        format!("cat {}", home.at("secret").display()),
        format!("cat {}", home.at("repository/kernel.c").display()),
        format!("ls {}", home.at("repository").display()),
        format!("cat {}", home.at("repository/artifacts/run/journal.jsonl").display()),
        format!("ln -s {} link && cat link", home.at("secret").display()),
        format!("echo x > {}", home.at("repository/kernel.c").display()),
        format!("echo x >> {}", home.at("repository/artifacts/run/journal.jsonl").display()),
        format!("touch {}", home.at("repository/new").display()),
        format!("rm {}", home.at("secret").display()),
        format!("mv {} .", home.at("secret").display()),
        format!("ln {} hard", home.at("secret").display()),
        "cat /etc/shadow".to_owned(),
        "ls /root".to_owned(),
        "ls /tmp".to_owned(),
        "touch /tmp/afterhours-escaped".to_owned(),
        "touch /dev/shm/afterhours-escaped".to_owned(),
        "touch /usr/afterhours-escaped".to_owned(),
        format!("cat /proc/{}/environ", std::process::id()),
        format!("cat /proc/{}/cmdline", std::process::id()),
        "cat /proc/$PPID/cmdline".to_owned(),
        "cat /proc/1/stat".to_owned(),
        "ls /proc".to_owned(),
    ];
    for script in tries {
        let finished = home.sh(&script).await;
        assert_ne!(finished.end, End::Code(0), "{script}: {}", said(&finished));
        assert!(!said(&finished).contains("hunter2") && !said(&finished).contains(&own), "{script}");
    }
    assert_eq!(fs::read_to_string(home.at("repository/kernel.c")).unwrap(), "hunter2");
}

#[tokio::test]
async fn what_a_kernel_needs_is_there() {
    let Some(home) = Home::new() else { return };
    let program = "int main(void) { return 0; }";
    let scripts = [
        "echo text > file && cat file && mkdir sub && mv file sub/ && rm -r sub",
        "test \"$TMPDIR\" = \"$PWD\" && touch $(mktemp)",
        "cat /dev/null > /dev/null && head -c 4 /dev/urandom > /dev/null",
        "cat /proc/cpuinfo /proc/meminfo > /dev/null && ls /sys/devices/system/cpu > /dev/null",
        "exec cat /proc/self/status /proc/self/maps > /dev/null",
        &format!("echo '{program}' > p.c && cc -O2 p.c -o p -lm && ./p"),
        "sleep 10 & kill $! && ! wait $!",
        "echo piped | (cat; exec 3< /dev/null)",
    ];
    for script in scripts {
        let finished = home.sh(script).await;
        assert_eq!(finished.end, End::Code(0), "{script}: {}", said(&finished));
    }
}

#[tokio::test]
async fn the_python_of_the_path_works_with_its_libraries_and_its_children() {
    let Some(home) = Home::new() else { return };
    let script = "
import ctypes, json, math, multiprocessing, os, socket, subprocess, sys, tempfile, threading
assert subprocess.run([sys.executable, '-c', 'print(6)'], capture_output=True, check=True).stdout == b'6\\n'
left, right = socket.socketpair()
pipe = multiprocessing.Pipe()
threading.Thread(target=lambda: None).start()
with tempfile.TemporaryFile() as file: file.write(b'x')
ctypes.CDLL('libm.so.6')
";
    let finished = home.python(script).await;
    assert_eq!(finished.end, End::Code(0), "{}", said(&finished));
}

#[tokio::test]
async fn the_network_is_not_reached() {
    let Some(home) = Home::new() else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for make in ["socket.AF_INET, socket.SOCK_STREAM", "socket.AF_INET6, socket.SOCK_DGRAM", "socket.AF_UNIX"] {
        let script = format!("import socket; socket.socket({make})");
        let finished = home.python(&script).await;
        assert!(said(&finished).contains("PermissionError"), "{make}: {}", said(&finished));
    }
    let script = format!("import socket; socket.create_connection(('127.0.0.1', {port}))");
    assert_eq!(home.python(&script).await.end, End::Code(1));
}

#[tokio::test]
async fn other_processes_are_neither_traced_nor_signalled() {
    let Some(home) = Home::new() else { return };
    let mut victim = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = victim.id();
    let call = "import ctypes; libc = ctypes.CDLL(None, use_errno=True); libc.ptrace.restype = ctypes.c_long";
    for (script, errno) in [
        (format!("{call}; r = libc.ptrace(16, {pid}, None, None)"), 1),
        (format!("{call}; b = ctypes.create_string_buffer(64); r = libc.process_vm_readv({pid}, b, 1, b, 1, 0)"), 1),
        (format!("{call}; r = libc.kill({pid}, 9)"), 1),
        (format!("{call}; import os; r = libc.kill(os.getppid(), 9)"), 1),
        (format!("{call}; r = libc.syscall(425, 8, None)"), 1),
        (format!("{call}; r = libc.unshare(0x10000000)"), 1),
        (format!("{call}; r = libc.syscall({CLONE}, 0x10000000 | 17, 0, 0, 0, 0)"), 1),
    ] {
        let finished = home.python(&format!("{script}; print(r, ctypes.get_errno())")).await;
        assert_eq!(finished.stdout.to_text(), format!("-1 {errno}\n"), "{script}: {}", said(&finished));
    }
    assert!(victim.try_wait().unwrap().is_none(), "it lives");
    victim.kill().unwrap();
    victim.wait().unwrap();
}

#[tokio::test]
async fn no_privilege_is_kept_or_gained() {
    let Some(home) = Home::new() else { return };
    let finished = home.sh("exec grep -E '^(Cap(Prm|Eff)|NoNewPrivs|Seccomp):' /proc/self/status").await;
    let zero = "0000000000000000";
    assert_eq!(
        finished.stdout.to_text(),
        format!("CapPrm:\t{zero}\nCapEff:\t{zero}\nNoNewPrivs:\t1\nSeccomp:\t2\n"),
        "{}",
        said(&finished)
    );
}

#[tokio::test]
async fn what_one_process_leaves_in_shared_places_the_next_does_not_find() {
    let Some(home) = Home::new() else { return };
    let name = format!("afterhours-{}", std::process::id());
    let key = std::process::id();
    let call = "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)";
    let places = [
        (format!("open('/dev/shm/{name}', 'x').write('hint')"), "print(os.listdir('/dev/shm'))".to_owned(), "[]"),
        (
            format!("print(libc.shmget({key}, 4096, 0o1600) >= 0)"),
            format!("print(libc.shmget({key}, 0, 0), ctypes.get_errno())"),
            "-1 2",
        ),
        (
            format!("print(libc.msgget({key}, 0o1600) >= 0)"),
            format!("print(libc.msgget({key}, 0), ctypes.get_errno())"),
            "-1 2",
        ),
    ];
    for (leave, look, nothing) in places {
        let left = home.harness(&format!("{call}; {leave}")).await;
        assert_eq!(left.end, End::Code(0), "{leave}: {}", said(&left));
        assert!(!said(&left).contains("False"), "{leave}: {}", said(&left));
        let found = home.harness(&format!("{call}; {look}")).await;
        assert_eq!(found.stdout.to_text().trim(), nothing, "{look}: {}", said(&found));
    }
    assert!(!Path::new("/dev/shm").join(name).exists());
}

#[tokio::test]
async fn a_harness_shares_memory_and_semaphores_with_its_own_children() {
    let Some(home) = Home::new() else { return };
    let script = "
import multiprocessing as m
from multiprocessing import shared_memory
def work(name, lock, queue):
    memory = shared_memory.SharedMemory(name)
    with lock: memory.buf[0] = 7
    queue.put('done')
if __name__ == '__main__':
    context = m.get_context('fork')
    memory, lock, queue = shared_memory.SharedMemory(create=True, size=64), context.Lock(), context.Queue()
    child = context.Process(target=work, args=(memory.name, lock, queue))
    child.start(); print(queue.get()); child.join(); print(memory.buf[0]); memory.unlink()
";
    let finished = home.harness(script).await;
    assert_eq!(finished.stdout.to_text(), "done\n7\n", "{}", said(&finished));
}

#[tokio::test]
async fn what_servers_leave_in_shared_folders_is_not_seen_even_where_sockets_may_be_opened() {
    if Home::new().is_none() {
        return;
    }
    let (home, outside) =
        (Home::in_folder(tempfile::tempdir_in("/tmp").unwrap()), tempfile::tempdir_in("/tmp").unwrap());
    let path = outside.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let up = "../".repeat(home.stage().strip_prefix("/tmp").unwrap().components().count());
    let from_stage = PathBuf::from(up).join(path.strip_prefix("/tmp").unwrap());
    assert!(home.stage().join(&from_stage).exists());
    for path in [path, from_stage] {
        let script = format!("import socket; socket.socket(socket.AF_UNIX).connect('{}')", path.display());
        let finished = home.run_with("python3", &["-c", &script], Limits::default(), Access::with_gpu).await;
        assert!(said(&finished).contains("FileNotFoundError"), "{script}: {}", said(&finished));
    }
}

#[tokio::test]
async fn a_stage_below_a_shared_folder_stays_where_it_was() {
    if Home::new().is_none() {
        return;
    }
    for shared in ["/dev/shm", "/tmp"] {
        let Ok(folder) = tempfile::tempdir_in(shared) else { continue };
        let home = Home::in_folder(folder);
        let stage = home.stage();
        let script = format!("pwd; echo x > {}/file; cat file; ls -a ..", stage.display());
        let finished = home.sh(&script).await;
        assert!(finished.stdout.to_text().starts_with(&format!("{}\nx\n", stage.display())), "{}", said(&finished));
        assert_eq!(fs::read_to_string(stage.join("file")).unwrap(), "x\n");
    }
}

#[tokio::test]
async fn the_user_is_the_same_inside_and_is_the_only_one() {
    let Some(home) = Home::new() else { return };
    let finished = home.sh("id -u; id -g; touch mine; exec cat /proc/self/uid_map").await;
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let words: Vec<_> = finished.stdout.to_text().split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, [user, group, user, user, 1].map(|id| id.to_string()), "{}", said(&finished));
    let mine = fs::metadata(home.stage().join("mine")).unwrap();
    assert_eq!((mine.uid(), mine.gid()), (user, group));
}

#[tokio::test]
async fn a_crowd_of_processes_and_a_hunger_for_memory_end_at_their_limits() {
    let Some(home) = Home::new() else { return };
    let limits = Limits { processes: Some(40), memory_bytes: Some(256 << 20), ..Limits::default() };
    let finished = home.run("sh", &["-c", "for i in $(seq 400); do sleep 60 & done; wait"], limits).await;
    assert_eq!(finished.end, End::Signal(9), "{}", said(&finished));
    assert!(said(&finished).contains("too many processes"), "{}", said(&finished));
    let finished = home.run("python3", &["-c", "x = bytearray(1 << 30)"], limits).await;
    assert!(said(&finished).contains("MemoryError"), "{}", said(&finished));
}

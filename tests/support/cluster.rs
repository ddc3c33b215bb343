//! A real Slurm cluster of one node on this machine, with its own keys, ports and folders: it disturbs no other, and its
//! daemons die with the process that started it.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each user uses a part, and a cluster that fails fails it"
)]

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process, set_parent_process_death_signal};
use tempfile::TempDir;

/// More than the machine has, so that many jobs run at once.
pub const CPUS: usize = 24;

/// The node's memory in MiB, as the cluster is told; nobody holds a job to its part of it, unless the cluster is one that counts.
const MEMORY: usize = 8192;

pub struct Cluster {
    room: TempDir,
    daemons: Sender<(Command, Sender<Child>)>,
    slurmd: Mutex<Child>,
    others: Vec<Mutex<Child>>,
}

impl Cluster {
    /// Starts a cluster; or says why none can be had here.
    pub fn start() -> Result<Self, String> {
        Self::start_with("SelectTypeParameters=CR_CPU")
    }

    /// Starts one that looks at each step's memory once a second, and kills a step that takes more than its job has. It needs no
    /// control groups, which are a whole machine's.
    pub fn start_that_counts_memory() -> Result<Self, String> {
        Self::start_with(
            "SelectTypeParameters=CR_CPU_Memory\nJobAcctGatherType=jobacct_gather/linux\nJobAcctGatherFrequency=task=1\n\
             JobAcctGatherParams=OverMemoryKill",
        )
    }

    fn start_with(resources: &str) -> Result<Self, String> {
        for program in ["munged", "slurmctld", "slurmd", "srun", "salloc", "scontrol"] {
            if !["/usr/sbin", "/usr/bin", "/sbin"].iter().any(|folder| Path::new(folder).join(program).exists()) {
                return Err(format!("{program} is not installed (apt-get install slurm-wlm munge)"));
            }
        }
        // A socket's path must be short, whatever TMPDIR says.
        let room = tempfile::tempdir_in("/tmp").map_err(|error| error.to_string())?;
        fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755)).unwrap();
        configure(room.path(), resources);
        let daemons = spawner();
        let munged = start(&daemons, munged(room.path()));
        until("munged listens", || room.path().join("munge.socket").exists())?;
        let slurmctld = start(&daemons, daemon(room.path(), "slurmctld"));
        let slurmd = start(&daemons, daemon(room.path(), "slurmd"));
        let others = vec![munged, slurmctld];
        let cluster = Self { room, daemons, slurmd, others };
        until("the node is idle", || cluster.ask("sinfo", &["-h", "-o", "%T"]).contains("idle"))?;
        Ok(cluster)
    }

    /// What a program must have in its environment to find the cluster.
    pub fn conf(&self) -> PathBuf {
        self.room.path().join("slurm.conf")
    }

    /// What a short command of Slurm's prints.
    pub fn ask(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program).args(args).env("SLURM_CONF", self.conf()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The jobs from the folder `root` that wait or run: number and state.
    pub fn jobs(&self, root: &Path) -> Vec<(u32, String)> {
        let text = self.ask("squeue", &["-h", "-o", "%i %T %Z"]);
        let job = |line: &str| {
            let (id, rest) = line.split_once(' ')?;
            let (state, folder) = rest.split_once(' ')?;
            (Path::new(folder) == root).then(|| (id.parse().unwrap(), state.to_owned()))
        };
        text.lines().filter_map(job).collect()
    }

    /// Kills the node's daemon and what it has at work, as a node's crash does.
    pub fn crash_node(&self) {
        let mut slurmd = self.slurmd.lock().unwrap();
        slurmd.kill().unwrap();
        slurmd.wait().unwrap();
        for pid in steps(self.room.path()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Starts the node's daemon again.
    pub fn mend_node(&self) {
        *self.slurmd.lock().unwrap() = start(&self.daemons, daemon(self.room.path(), "slurmd")).into_inner().unwrap();
    }

    fn end(&mut self) {
        for daemon in self.others.iter().chain([&self.slurmd]) {
            let mut daemon = daemon.lock().unwrap();
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        for pid in steps(self.room.path()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end();
    }
}

/// The `salloc`s at work in the folder `root`.
pub fn sallocs(root: &Path) -> Vec<Pid> {
    let is_one = |pid: &i32| {
        let process = format!("/proc/{pid}");
        fs::read(format!("{process}/comm")).is_ok_and(|name| name == b"salloc\n")
            && fs::read_link(format!("{process}/cwd")).is_ok_and(|folder| folder == root)
    };
    processes().filter(is_one).filter_map(Pid::from_raw).collect()
}

fn processes() -> impl Iterator<Item = i32> {
    let pid = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    fs::read_dir("/proc").unwrap().filter_map(pid)
}

/// The processes that watch over steps, of this cluster alone.
fn steps(room: &Path) -> Vec<Pid> {
    let conf = format!("SLURM_CONF={}", room.join("slurm.conf").display());
    let is_step = |pid: &i32| {
        let of = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        of("comm").starts_with(b"slurmstepd")
            && of("environ").split(|byte| *byte == 0).any(|variable| variable == conf.as_bytes())
    };
    processes().filter(is_step).filter_map(Pid::from_raw).collect()
}

fn configure(room: &Path, resources: &str) {
    let key: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(1024).collect();
    let path = room.join("munge.key");
    File::create(&path).unwrap().write_all(&key).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for folder in ["state", "spool"] {
        fs::create_dir(room.join(folder)).unwrap();
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = host.split('.').next().unwrap();
    let [controller, node] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [controller, node] = [&controller, &node].map(|listener| listener.local_addr().unwrap().port());
    let (room_path, user) = (room.display(), user());
    let conf = format!(
        "ClusterName=afterhours
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={room_path}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
{resources}
ReturnToService=2
StateSaveLocation={room_path}/state
SlurmdSpoolDir={room_path}/spool
SlurmctldPidFile={room_path}/slurmctld.pid
SlurmdPidFile={room_path}/slurmd.pid
SlurmctldLogFile={room_path}/slurmctld.log
SlurmdLogFile={room_path}/slurmd.log
SlurmdParameters=config_overrides
SlurmdTimeout=4
KillWait=2
MinJobAge=300
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
NodeName={host} NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory={MEMORY}
PartitionName=main Nodes={host} Default=YES State=UP
PartitionName=urgent Nodes={host} PriorityTier=9
PartitionName=closed Nodes={host} State=DOWN
"
    );
    fs::write(room.join("slurm.conf"), conf).unwrap();
}

fn user() -> String {
    let output = Command::new("id").args(["-un", &getuid().as_raw().to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn munged(room: &Path) -> Command {
    let mut command = Command::new("munged");
    command.args(["--foreground", "--force"]);
    for (option, file) in [
        ("key-file", "munge.key"),
        ("socket", "munge.socket"),
        ("pid-file", "munged.pid"),
        ("log-file", "munged.log"),
        ("seed-file", "munge.seed"),
    ] {
        command.arg(format!("--{option}={}", room.join(file).display()));
    }
    command
}

fn daemon(room: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("-D").env("SLURM_CONF", room.join("slurm.conf")).current_dir(room);
    command
}

/// Starts a thread that starts daemons. They die with the thread that started them, and a test's own ends before its cluster.
fn spawner() -> Sender<(Command, Sender<Child>)> {
    let (sender, orders) = channel::<(Command, Sender<Child>)>();
    thread::spawn(move || {
        for (mut command, answer) in orders {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
            command.env("PATH", path);
            let prepare = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into);
            // SAFETY: between fork and exec, `prepare` only makes a system call.
            unsafe { command.pre_exec(prepare) };
            answer.send(command.spawn().unwrap()).unwrap();
        }
    });
    sender
}

fn start(daemons: &Sender<(Command, Sender<Child>)>, command: Command) -> Mutex<Child> {
    let (sender, answer) = channel();
    daemons.send((command, sender)).unwrap();
    Mutex::new(answer.recv().unwrap())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        if Instant::now() > end {
            return Err(format!("never: {what}"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

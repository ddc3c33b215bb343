//! The tables of the tripwires.

/// What follows where a tripwire is tripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// The edit is refused: no kernel has an honest use for it.
    Refuse,
    /// It is let through, and the artifact shows it.
    Show,
}

/// Where a word must stand to trip a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Anywhere in the code.
    Word,
    /// Before `(`, and not after a dot: names that are common for variables, too.
    Call,
    /// After a dot.
    Member,
    /// First in the path of an `#include <…>`.
    Include,
    /// Before a path that leads out of the kernel's folder.
    Path,
    /// A module's first name in an `import`.
    Import,
}

/// One tripwire: a name for the kind of reach, and a word that gives it away. A `*` at its end stands for any rest.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) name: &'static str,
    pub(super) word: &'static str,
    pub(super) form: Form,
    pub(super) act: Act,
}

/// Makes a table: each line is an act, a name, a form and its words.
macro_rules! wires {
    ($($act:ident $name:literal $form:ident [$($word:literal)*])*) => {
        &[$($(Wire { name: $name, word: $word, form: Form::$form, act: Act::$act },)*)*]
    };
}

/// For C and its kin.
pub(super) const C: &[Wire] = wires! {
    Refuse "clock" Word ["clock_gettime" "clock_nanosleep" "gettimeofday" "timespec_get" "nanosleep" "usleep"
        "__rdtsc" "__rdtscp" "_rdtsc" "__builtin_ia32_rdtsc" "__builtin_ia32_rdtscp" "__builtin_readcyclecounter"]
    Refuse "clock" Include ["time" "chrono"]
    Refuse "environment" Word ["getenv" "secure_getenv" "setenv" "putenv" "unsetenv" "environ" "__environ"]
    Refuse "files" Word ["fopen" "fdopen" "freopen" "fwrite" "fread" "opendir" "openat" "creat" "unlink" "rename"
        "lseek" "pread" "pwrite" "memfd_create" "shm_open" "ifstream" "ofstream" "fstream"]
    Refuse "files" Include ["fcntl" "dirent" "fstream" "filesystem"]
    Refuse "files" Path ["include" "include_next" "embed"]
    Refuse "processes" Word ["fork" "vfork" "clone3" "execl" "execle" "execlp" "execv" "execve" "execvp" "posix_spawn"
        "popen" "ptrace" "process_vm_readv" "process_vm_writev" "waitpid" "getppid" "prctl" "_exit" "_Exit" "quick_exit"]
    Refuse "processes" Call ["system" "kill" "exit" "syscall"]
    Refuse "processes" Include ["unistd" "spawn" "sys"]
    Refuse "network" Call ["socket" "getaddrinfo" "sendto" "recvfrom"]
    Refuse "network" Include ["netinet" "arpa" "netdb"]
    Refuse "loader" Word ["dlopen" "dlsym" "dlmopen" "dladdr" "dl_iterate_phdr" "__libc_dlsym"]
    Refuse "loader" Include ["dlfcn" "link" "elf"]
    Refuse "memory" Word ["mprotect" "mremap" "process_madvise" "pkey_mprotect" "userfaultfd"]
    Refuse "signals" Word ["sigaction" "sigprocmask" "sigsetjmp" "siglongjmp" "setitimer" "timer_create" "alarm"]
    Refuse "signals" Call ["signal" "raise"]
    Refuse "signals" Include ["signal" "csignal"]
    Refuse "jumps" Word ["setjmp" "_setjmp" "longjmp" "_longjmp" "setcontext" "swapcontext" "makecontext"]
    Refuse "jumps" Include ["setjmp" "ucontext"]
    Refuse "threads" Word ["pthread_create" "thrd_create" "pthread_atfork" "jthread"]
    Refuse "threads" Include ["pthread" "threads" "thread"]
    Refuse "startup" Word ["constructor" "destructor" "__attribute_constructor__" "init_priority" "ifunc" "atexit"
        "on_exit" "at_quick_exit" "__cxa_atexit" "_init" "_fini"]
    Refuse "stack" Word ["__builtin_return_address" "__builtin_frame_address" "__builtin_extract_return_addr" "backtrace"]
    Refuse "harness" Word ["afterhours_call"]
    Refuse "timers" Word ["cudaEventElapsedTime" "cuEventElapsedTime"]
    Show "assembly" Word ["asm" "__asm__" "__asm"]
    Show "output" Call ["printf" "fprintf" "puts" "fputs" "perror"]
    Show "streams" Word ["cudaStreamCreate*" "cudaStreamNonBlocking" "cuStreamCreate*"]
    Show "caches" Word ["accessPolicyWindow" "cudaLimitPersistingL2CacheSize" "cudaCtxResetPersistingL2Cache"]
    Show "device" Word ["clock64" "globaltimer" "cudaLaunchHostFunc" "cudaMallocAsync"]
};

/// For CUDA, beside those for C: what a kernel on a device could tell its own time by, waste it with, or talk with.
pub(super) const CUDA: &[Wire] = wires! {
    Refuse "clock" Word ["clock64" "globaltimer" "__clock" "__clock64" "__clockhi" "__globaltimer" "__nanosleep"
        "__nvvm_read_ptx_sreg_clock*" "__nvvm_read_ptx_sreg_globaltimer*"]
    Refuse "clock" Call ["clock"]
    Refuse "output" Call ["printf" "vprintf"]
    Show "memory" Call ["malloc"]
};

/// Within the texts of C, where assembly and sections are.
pub(super) const TEXTS: &[Wire] = wires! {
    Refuse "assembly" Word ["syscall" "sysenter" "int $0x80" "int 0x80" ".incbin" "svc #0" "svc 0" "ecall"]
    Refuse "clock" Word ["rdtsc" "rdpmc" "%clock" "globaltimer" "nanosleep" "cntvct"]
    Refuse "startup" Word [".init_array" ".preinit_array" ".ctors" ".fini_array"]
    Refuse "harness" Word ["AFTERHOURS_" "POPCORN_" "/proc/"]
    Show "caches" Word ["evict_last" "createpolicy"]
};

/// For Python.
pub(super) const PYTHON: &[Wire] = wires! {
    Refuse "harness" Word ["AFTERHOURS_RESULT" "AFTERHOURS_SEED" "AFTERHOURS_PROFILE"]
    Refuse "harness" Import ["__main__" "reference" "eval" "harness"]
    Refuse "clock" Import ["time" "timeit" "datetime"]
    Refuse "clock" Word ["perf_counter" "perf_counter_ns" "monotonic_ns" "process_time"]
    Refuse "environment" Import ["os" "posix" "platform"]
    Refuse "environment" Word ["environ" "getenv"]
    Refuse "files" Import ["io" "pathlib" "shutil" "tempfile" "glob" "mmap" "fcntl" "pickle" "shelve" "sqlite3"]
    Refuse "files" Call ["open"]
    Refuse "processes" Import ["subprocess" "multiprocessing" "pty" "resource"]
    Refuse "network" Import ["socket" "ssl" "urllib" "requests" "http" "ftplib" "smtplib" "asyncio"]
    Refuse "loader" Import ["ctypes" "cffi" "importlib" "imp" "pkgutil" "runpy" "zipimport"]
    Refuse "loader" Call ["__import__" "exec" "eval" "compile"]
    Refuse "threads" Import ["threading" "_thread" "concurrent" "queue"]
    Refuse "signals" Import ["signal" "faulthandler"]
    Refuse "startup" Import ["atexit" "site"]
    Refuse "introspection" Import ["sys" "inspect" "gc" "traceback" "builtins" "dis" "tracemalloc" "code" "pdb"]
    Refuse "introspection" Word ["__builtins__" "__subclasses__" "__globals__" "__code__" "__closure__" "__loader__"
        "_getframe" "f_back" "f_locals" "f_globals" "tb_frame" "gi_frame" "cr_frame" "__reduce__" "__traceback__"]
    Refuse "introspection" Call ["globals" "locals" "vars" "breakpoint"]
    Refuse "timers" Word ["elapsed_time" "do_bench"]
    Refuse "timers" Member ["Event"]
    Show "introspection" Call ["setattr" "getattr" "delattr" "id" "hash" "type"]
    Show "introspection" Word ["__eq__" "__array__" "__torch_function__" "__torch_dispatch__" "__getattr__"
        "__float__" "__class__" "__dict__"]
    Show "memoisation" Word ["lru_cache" "data_ptr" "_version" "WeakKeyDictionary" "WeakValueDictionary"]
    Show "streams" Member ["Stream" "CUDAGraph"]
    Show "precision" Word ["allow_tf32" "set_float32_matmul_precision"]
    Show "caches" Word ["accessPolicyWindow" "cudaLimitPersistingL2CacheSize"]
};

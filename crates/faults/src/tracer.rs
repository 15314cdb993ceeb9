//! Traces a program with ptrace: stops at watched calls, and carries out the fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use crate::Call;

/// What happens at a watched call. Calls are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: calls are only counted.
    None,
    /// The program is killed before it makes this call.
    Kill(usize),
    /// A signal is sent to the program before it makes this call.
    Signal(usize, Signal),
    /// This call fails.
    Fail(usize, Errno),
    /// This call and all after it fail, as on a disk that has become full or read-only.
    FailFrom(usize, Errno),
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(Signal),
}

/// What a program did.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub ended: Ended,
    /// The watched calls that it made or tried to make, in order.
    pub calls: Vec<Call>,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

/// Runs `command` with this fault, watching these calls. Programs that it starts are not watched. Standard input is empty.
///
/// # Errors
/// The program cannot be started or traced: without the right to, the error is of the kind `PermissionDenied`.
pub fn run(command: &mut Command, watched: &[Call], fault: Fault) -> io::Result<Run> {
    let (out, err) = (tempfile()?, tempfile()?);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
    let filter = filter(watched)?;
    let traced = move || {
        ptrace::traceme()?;
        seccompiler::apply_filter(&filter).map_err(|_| io::ErrorKind::PermissionDenied)?;
        Ok(())
    };
    // SAFETY: between fork and exec, the closure makes system calls only; on success it does not allocate.
    #[allow(unsafe_code, reason = "there is no other way to have a program traced from its first instruction")]
    unsafe {
        command.pre_exec(traced);
    }
    let child = command.spawn()?;
    let main = Pid::from_raw(child.id().cast_signed());
    let mut tracer = Tracer { main, watched, fault, calls: Vec::new(), strangers: BTreeSet::new(), ended: None };
    tracer.trace()?;
    let ended = tracer.ended.ok_or_else(|| io::Error::other("the program was lost"))?;
    Ok(Run { ended, calls: tracer.calls, out: text(out)?, err: text(err)? })
}

fn tempfile() -> io::Result<File> {
    File::options().read(true).write(true).custom_flags(libc::O_TMPFILE).open(std::env::temp_dir())
}

fn text(mut file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A filter that stops at these calls.
fn filter(watched: &[Call]) -> io::Result<BpfProgram> {
    let rules: BTreeMap<_, _> = watched.iter().map(|call| (call.number, Vec::new())).collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Trace(0), TargetArch::x86_64);
    filter.and_then(TryInto::try_into).map_err(io::Error::other)
}

struct Tracer<'a> {
    main: Pid,
    watched: &'a [Call],
    fault: Fault,
    calls: Vec<Call>,
    /// Processes that the program started.
    strangers: BTreeSet<Pid>,
    ended: Option<Ended>,
}

impl Tracer<'_> {
    fn trace(&mut self) -> nix::Result<()> {
        // Only what this very thread traces: other tests wait for children of their own.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        waitpid(self.main, Some(flags))?;
        let options = Options::PTRACE_O_TRACESECCOMP
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(self.main, options)?;
        ptrace::cont(self.main, None)?;
        loop {
            match waitpid(None, Some(flags)) {
                Err(Errno::ECHILD) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
                Ok(WaitStatus::Exited(pid, code)) if pid == self.main => self.ended = Some(Ended::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.main => {
                    self.ended = Some(Ended::Signal(signal));
                }
                Ok(WaitStatus::PtraceEvent(pid, _, event)) => match self.event(pid, event) {
                    // The thread went meanwhile, with the whole program.
                    Err(Errno::ESRCH) => {}
                    result => result?,
                },
                // A new thread or process begins with this; nobody else sends it.
                Ok(WaitStatus::Stopped(pid, Signal::SIGSTOP | Signal::SIGTRAP)) => go_on(pid, None)?,
                Ok(WaitStatus::Stopped(pid, signal)) => go_on(pid, Some(signal))?,
                Ok(_) => {}
            }
        }
    }

    fn event(&mut self, pid: Pid, event: i32) -> nix::Result<()> {
        let is = |known: Event| event == known as i32;
        if is(Event::PTRACE_EVENT_SECCOMP) {
            return if self.strangers.contains(&pid) { go_on(pid, None) } else { self.call(pid) };
        }
        let starts_process = is(Event::PTRACE_EVENT_FORK) || is(Event::PTRACE_EVENT_VFORK);
        if (starts_process || (is(Event::PTRACE_EVENT_CLONE) && self.strangers.contains(&pid)))
            && let Ok(started) = ptrace::getevent(pid)
        {
            self.strangers.insert(Pid::from_raw(started as i32));
        }
        go_on(pid, None)
    }

    /// A thread is about to make a watched call.
    fn call(&mut self, pid: Pid) -> nix::Result<()> {
        let mut registers = match ptrace::getregs(pid) {
            Err(Errno::ESRCH) => return Ok(()),
            registers => registers?,
        };
        let number = registers.orig_rax.cast_signed();
        let at = self.calls.len();
        self.calls.extend(self.watched.iter().find(|call| call.number == number));
        match self.fault {
            Fault::Kill(point) if point == at => return kill(self.main, Signal::SIGKILL),
            Fault::Signal(point, signal) if point == at => kill(self.main, signal)?,
            Fault::Fail(point, error) if point == at => fail(pid, &mut registers, error)?,
            Fault::FailFrom(point, error) if point <= at => fail(pid, &mut registers, error)?,
            _ => {}
        }
        go_on(pid, None)
    }
}

/// Lets a call fail without being made.
fn fail(pid: Pid, registers: &mut libc::user_regs_struct, error: Errno) -> nix::Result<()> {
    registers.orig_rax = u64::MAX;
    registers.rax = i64::from(-(error as i32)).cast_unsigned();
    ptrace::setregs(pid, *registers)
}

/// Lets a thread run on. It may have been killed meanwhile.
fn go_on(pid: Pid, signal: Option<Signal>) -> nix::Result<()> {
    match ptrace::cont(pid, signal) {
        Err(Errno::ESRCH) => Ok(()),
        result => result,
    }
}

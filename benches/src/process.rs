//! What the operating system says about this process.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Bytes of memory that this process has in use, as Linux counts them.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Runs this program again with other arguments, and gives the last line that it printed, also
/// when it died, or hung for `patience` without another line.
pub fn again(args: &[&str], patience: Duration) -> String {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("this program runs again");
    let lines = BufReader::new(child.stdout.take().expect("it has an output")).lines();
    let (told, tell) = mpsc::channel();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| told.send(line)));
    let mut last = String::new();
    while let Ok(line) = tell.recv_timeout(patience) {
        last = line;
    }
    // It has ended, or never will.
    let _ = child.kill();
    let _ = child.wait();
    last
}

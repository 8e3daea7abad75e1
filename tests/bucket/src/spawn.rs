//! Starting servers from a thread that lives as long as the process.
//!
//! The kernel's promise to kill a child with its parent is kept when the *thread* that started it ends, and tests start servers from
//! threads that come and go.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// A program to start, and who waits for it.
type Order = (Command, Sender<io::Result<Child>>);

/// Starts a program that the kernel ends with this process and not before.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, taken) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in taken {
                // Whoever ordered waits for the answer below.
                drop(answer.send(command.spawn()));
            }
        });
        Mutex::new(orders)
    });
    let (answer, answered) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts servers is gone");
    starter.lock().unwrap_or_else(PoisonError::into_inner).send((command, answer)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

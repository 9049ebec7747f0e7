//! What the kernel knows of a TCP stream and Rust's libraries do not tell. It is a crate of its own, so that the others
//! stay free of unsafe code.

use std::io;
use std::os::fd::AsFd;

/// How many bytes were written to a TCP stream that the far end has not acknowledged: those that are still to be sent,
/// and those that are under way. Known on Linux only.
///
/// # Errors
/// If the system does not tell.
pub fn unacknowledged(stream: impl AsFd) -> io::Result<u64> {
    sys::unacknowledged(stream.as_fd())
}

#[cfg(target_os = "linux")]
mod sys {
    use std::io;
    use std::os::fd::{AsRawFd as _, BorrowedFd};

    pub(super) fn unacknowledged(stream: BorrowedFd<'_>) -> io::Result<u64> {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the descriptor is open as long as it is borrowed, and this request writes one int.
        #[expect(unsafe_code, reason = "it is a system call that no library wraps")]
        let status = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        if status == -1 {
            return Err(io::Error::last_os_error());
        }
        u64::try_from(bytes).map_err(io::Error::other)
    }
}

#[cfg(not(target_os = "linux"))]
mod sys {
    use std::io;
    use std::os::fd::BorrowedFd;

    pub(super) fn unacknowledged(_: BorrowedFd<'_>) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_the_far_end_has_no_room_for_is_not_acknowledged_until_it_reads() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let mut near = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        let (mut far, _) = listener.accept().expect("accepted");
        assert_eq!(unacknowledged(&near).expect("known"), 0);
        near.set_nonblocking(true).expect("a socket");
        let mut written = 0;
        loop {
            match near.write(&[0; 64 << 10]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(unacknowledged(&near).expect("known") > 0, "{written} bytes were written, and nobody reads");
        far.read_exact(&mut vec![0; written]).expect("read");
        // The acknowledgement of the last bytes is under way.
        while unacknowledged(&near).expect("known") > 0 {
            std::thread::yield_now();
        }
    }
}

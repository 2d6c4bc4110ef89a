//! The socket that backends connect to.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::Mode;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{getuid, umask};

use super::connection;
use crate::engine::Engine;

/// Makes the socket at `path`, for this user alone; a socket of a former engine that lies there is removed.
///
/// # Errors
/// When something else lies there, or the folder does not take it.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match path.symlink_metadata() {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "what lies there is no socket")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    // From the beginning: a mode that is set afterwards leaves a moment in which others could connect.
    let before = umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    let listener = listener?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves whoever connects, as long as the process lives.
pub fn serve(listener: &UnixListener, engine: &Arc<Engine>) {
    for stream in listener.incoming() {
        match stream {
            Ok(stream) if is_own(&stream) => connection::open(stream, engine),
            Ok(_) => engine.log("a connection of another user was refused"),
            // Too many open files, for instance: those that are open go on.
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
}

fn is_own(stream: &UnixStream) -> bool {
    socket_peercred(stream).is_ok_and(|peer| peer.uid == getuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let first = listen(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(first);
        let _again = listen(&path).unwrap();
        let near = UnixStream::connect(&path).unwrap();
        assert!(is_own(&near));
        let file = folder.path().join("file");
        std::fs::write(&file, "kept").unwrap();
        assert!(listen(&file).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
    }
}

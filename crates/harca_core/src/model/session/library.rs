//! Decides whether a shared library may be opened as ONNX Runtime, before anything in it runs for good.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fs::File;
use std::path::Path;

use libloading::Library;
use object::elf;
use object::read::ReadCache;
use object::read::elf::{FileHeader, ProgramHeader};

use crate::error::{Error, Result};

/// Minor versions of ONNX Runtime 1.x that were measured to keep a process at one thread. 1.22 and older reject the
/// optimisation level that ort sends; 1.29 and later start a telemetry thread as soon as an environment exists.
const SUPPORTED_MINOR: std::ops::RangeInclusive<u32> = 23..=28;

/// Opens the library at `path` when that is safe, and gives its version.
pub(super) fn check(path: &Path) -> Result<(String, Library)> {
    let (version, library) = open(path)?;
    let mut parts = version.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(1)), Some(Ok(minor))) if SUPPORTED_MINOR.contains(&minor) => Ok((version, library)),
        _ => Err(Error::RuntimeUnsupported {
            version,
            reason: format!("versions 1.{} to 1.{} are", SUPPORTED_MINOR.start(), SUPPORTED_MINOR.end()),
        }),
    }
}

/// Opens the library at `path`, whatever its version, which is given with it.
pub(super) fn open(path: &Path) -> Result<(String, Library)> {
    let fail = |reason: String| Error::Runtime { path: path.into(), reason };
    check_file(path).map_err(fail)?;
    read_version(path).map_err(fail)
}

/// Refuses a file that `dlopen` would map past its end: the kernel answers such an access with SIGBUS.
fn check_file(path: &Path) -> std::result::Result<(), String> {
    // Asked before it is opened: opening a named pipe would wait for its other end.
    if !path.metadata().map_err(|e| e.to_string())?.is_file() {
        return Err("it is not a regular file".into());
    }
    let file = File::open(path).map_err(|e| e.to_string())?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let cache = ReadCache::new(file);
    let not_elf = |_| "it is not a 64-bit ELF file".to_string();
    let header = elf::FileHeader64::<object::Endianness>::parse(&cache).map_err(not_elf)?;
    let endian = header.endian().map_err(not_elf)?;
    let machine = if cfg!(target_arch = "x86_64") { elf::EM_X86_64 } else { elf::EM_AARCH64 };
    if header.e_machine(endian) != machine {
        return Err("it was built for another processor".into());
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Err("it is not a shared library".into());
    }
    let truncated = || "the file is truncated".to_string();
    let segments = header.program_headers(endian, &cache).map_err(|_| truncated())?;
    let section_end = u64::from(header.e_shnum(endian))
        .checked_mul(u64::from(header.e_shentsize(endian)))
        .and_then(|size| size.checked_add(header.e_shoff(endian)));
    let ends = segments.iter().map(|s| s.p_offset(endian).checked_add(s.p_filesz(endian))).chain([section_end]);
    for end in ends {
        if end.is_none_or(|end| end > length) {
            return Err(truncated());
        }
    }
    Ok(())
}

fn read_version(path: &Path) -> std::result::Result<(String, Library), String> {
    // SAFETY: loading runs the library's initialisers; the path is the installed runtime or one that a superuser
    // named, and `check_file` has confirmed that the file is a complete shared library.
    let library = unsafe { Library::new(path) }.map_err(|e| e.to_string())?;
    // SAFETY: every release of ONNX Runtime exports this symbol with this signature (onnxruntime_c_api.h).
    let base = unsafe { library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase") }
        .map_err(|_| "it does not export OrtGetApiBase".to_string())?;
    // SAFETY: `base` is that function; the table it gives is static, and GetVersionString takes nothing and gives a
    // static, null-terminated string.
    let version = unsafe {
        let table = base();
        if table.is_null() {
            return Err("OrtGetApiBase gave nothing".into());
        }
        CStr::from_ptr(((*table).GetVersionString)())
    };
    let version = version.to_str().map_err(|_| "its version is not text")?.to_owned();
    Ok((version, library))
}

//! The files of a model on their way in: in a file without a name each, so that nothing stays behind when the engine ends.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use harca_core::error::{Error, Result};
use harca_core::model::manifest;
use harca_core::model::transformer::AnyManifest;
use harca_core::protocol::digest::Digest;
use harca_core::protocol::message;
use sha2::{Digest as _, Sha256};

/// A file that comes in part by part.
struct Arriving {
    file: File,
    digest: Sha256,
    expected: String,
    left: u64,
}

impl Arriving {
    fn new(folder: &Path, expected: &str, bytes: u64) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(|e| written(&e))?;
        Ok(Self { file, digest: Sha256::new(), expected: expected.to_owned(), left: bytes })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let more = bytes.len() as u64;
        self.left = self.left.checked_sub(more).ok_or_else(|| fail("a file is longer than was announced"))?;
        self.digest.update(bytes);
        self.file.write_all(bytes).map_err(|e| written(&e))
    }

    fn finish(self) -> Result<File> {
        let found: String = self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if !found.eq_ignore_ascii_case(&self.expected) {
            return Err(fail(&format!("sha256 of a file is {found}, expected {}", self.expected)));
        }
        Ok(self.file)
    }
}

/// A model of which some parts are still missing.
pub struct ArrivingFiles {
    manifest: AnyManifest,
    identity: Digest,
    bytes: u64,
    graph: Arriving,
    tokenizer: Option<Arriving>,
}

impl ArrivingFiles {
    /// Begins with what was offered: the manifest and the bytes of each file. `folder` is where they are kept.
    ///
    /// # Errors
    /// [`Error::Manifest`] when the manifest is not the one that was asked for, or wrong; [`Error::Inference`] when there is
    /// no room.
    pub fn new(folder: &Path, model: Digest, manifest: &str, graph: u64, tokenizer: u64) -> Result<Self> {
        let identity = Digest::of_hex(&manifest::identity(manifest)).filter(|found| *found == model);
        let identity = identity.ok_or_else(|| Error::Manifest("its digest is another than announced".into()))?;
        let manifest = AnyManifest::parse(manifest)?;
        let (of_graph, of_tokenizer) = manifest.digests();
        let graph_file = Arriving::new(folder, of_graph, graph)?;
        let tokenizer_file = of_tokenizer.map(|digest| Arriving::new(folder, digest, tokenizer)).transpose()?;
        let bytes = graph.saturating_add(tokenizer);
        Ok(Self { manifest, identity, bytes, graph: graph_file, tokenizer: tokenizer_file })
    }

    /// The model.
    #[must_use]
    pub fn identity(&self) -> Digest {
        self.identity
    }

    /// Name and version.
    #[must_use]
    pub fn name(&self) -> String {
        let (name, version) = self.manifest.name();
        format!("{name} {version}")
    }

    /// Adds the next bytes of a file.
    ///
    /// # Errors
    /// [`Error::Manifest`] when there is no such file or it is longer than announced.
    pub fn push(&mut self, file: message::File, bytes: &[u8]) -> Result<()> {
        match (file, &mut self.tokenizer) {
            (message::File::Graph, _) => self.graph.push(bytes),
            (message::File::Tokenizer, Some(tokenizer)) => tokenizer.push(bytes),
            (message::File::Tokenizer, None) => Err(fail("it has no tokenizer")),
        }
    }

    /// Whether all parts are there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.graph.left == 0 && self.tokenizer.as_ref().is_none_or(|tokenizer| tokenizer.left == 0)
    }

    /// The model as a whole.
    ///
    /// # Errors
    /// [`Error::Manifest`] when a file is not the one that the manifest names.
    pub fn finish(self) -> Result<ModelFiles> {
        let tokenizer = self.tokenizer.map(Arriving::finish).transpose()?;
        Ok(ModelFiles { manifest: self.manifest, bytes: self.bytes, graph: self.graph.finish()?, tokenizer })
    }
}

/// A model as a whole, checked.
pub struct ModelFiles {
    manifest: AnyManifest,
    bytes: u64,
    graph: File,
    tokenizer: Option<File>,
}

impl ModelFiles {
    /// What the manifest says.
    #[must_use]
    pub fn manifest(&self) -> &AnyManifest {
        &self.manifest
    }

    /// The same files once more.
    ///
    /// # Errors
    /// [`Error::Inference`] when the process has too many files open.
    pub fn share(&self) -> Result<Self> {
        let again = |file: &File| file.try_clone().map_err(|e| written(&e));
        let tokenizer = self.tokenizer.as_ref().map(again).transpose()?;
        Ok(Self { manifest: self.manifest.clone(), bytes: self.bytes, graph: again(&self.graph)?, tokenizer })
    }

    /// Bytes of the files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The graph's bytes.
    ///
    /// # Errors
    /// [`Error::Inference`] when the disk fails.
    pub fn graph(&self) -> Result<Bytes> {
        read(&self.graph).map(Bytes::from)
    }

    /// A name of the graph's file for this process, as long as this is there: whoever reads it by its name needs no second
    /// copy in memory.
    #[must_use]
    pub fn graph_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.graph.as_raw_fd()))
    }

    /// The tokenizer's bytes, none where there is no tokenizer.
    ///
    /// # Errors
    /// [`Error::Inference`] when the disk fails.
    pub fn tokenizer(&self) -> Result<Vec<u8>> {
        self.tokenizer.as_ref().map_or_else(|| Ok(Vec::new()), read)
    }
}

/// The whole of a file, whoever else reads it at the same time is the loader's one thread.
fn read(file: &File) -> Result<Vec<u8>> {
    let (mut file, mut bytes) = (file, Vec::new());
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).map_err(|e| written(&e))?;
    Ok(bytes)
}

fn fail(reason: &str) -> Error {
    Error::Manifest(reason.into())
}

fn written(error: &std::io::Error) -> Error {
    Error::Inference(format!("the files of a model cannot be kept: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn manifest(graph: &[u8], tokenizer: &[u8]) -> (String, Digest) {
        let json = serde_json::json!({
            "format": 2, "name": "m", "version": "1", "task": "embedding", "output": "o", "max_tokens": 8,
            "graph": {"file": "model.onnx", "sha256": sha256(graph)},
            "tokenizer": {"file": "tokenizer.json", "sha256": sha256(tokenizer)},
            "inputs": {"ids": "input_ids"}, "pooling": "mean",
        })
        .to_string();
        let digest = Digest::of_hex(&manifest::identity(&json)).unwrap();
        (json, digest)
    }

    fn begin(graph: u64, tokenizer: u64) -> ArrivingFiles {
        let (json, digest) = manifest(b"graph", b"words");
        ArrivingFiles::new(&std::env::temp_dir(), digest, &json, graph, tokenizer).unwrap()
    }

    #[test]
    fn parts_become_files() {
        let mut arriving = begin(5, 5);
        for (file, part) in
            [(message::File::Graph, &b"gr"[..]), (message::File::Tokenizer, b"words"), (message::File::Graph, b"aph")]
        {
            assert!(!arriving.is_complete());
            arriving.push(file, part).unwrap();
        }
        assert!(arriving.is_complete());
        assert_eq!(arriving.name(), "m 1");
        let files = arriving.finish().unwrap();
        assert_eq!((&files.graph().unwrap()[..], &files.tokenizer().unwrap()[..]), (&b"graph"[..], &b"words"[..]));
        assert_eq!((files.graph().unwrap().len(), files.bytes()), (5, 10));
        assert_eq!(std::fs::read(files.graph_path()).unwrap(), b"graph");
    }

    #[test]
    fn another_file_is_refused() {
        let mut arriving = begin(5, 5);
        arriving.push(message::File::Graph, b"other").unwrap();
        arriving.push(message::File::Tokenizer, b"words").unwrap();
        assert!(arriving.finish().err().unwrap().to_string().contains("sha256"));
        assert!(begin(5, 5).push(message::File::Graph, b"graph!").unwrap_err().to_string().contains("longer"));
        let (json, _) = manifest(b"", b"");
        let wrong = ArrivingFiles::new(&std::env::temp_dir(), Digest([0; 32]), &json, 0, 0);
        assert!(wrong.err().unwrap().to_string().contains("digest"));
    }
}

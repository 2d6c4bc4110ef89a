//! A manifest and the graph that it describes, from wherever they come: the program, a folder, a registry, or somebody who
//! wants to register them.

use std::path::Path;

use bytes::Bytes;

use super::graph_check;
use super::manifest::{self, Manifest};
use crate::error::{Error, Result};

/// Largest manifest that is read, in bytes.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// Largest model file that is read, in bytes: every backend holds a copy.
const MAX_MODEL_BYTES: u64 = 256 << 20;

/// A manifest and the graph that it describes, checked against each other by their digest.
pub struct ModelFiles {
    manifest: Manifest,
    identity: String,
    graph: Bytes,
}

impl ModelFiles {
    /// A model compiled into the program; its digest is not checked.
    ///
    /// # Errors
    /// [`Error::Manifest`].
    pub fn of_program(manifest: &str, graph: &'static [u8]) -> Result<Self> {
        Self::trusted(manifest, Bytes::from_static(graph))
    }

    /// A model from a registry.
    ///
    /// # Errors
    /// [`Error::Manifest`] also when the digest is that of another graph.
    pub fn of_registry(manifest: &str, graph: Bytes) -> Result<Self> {
        let files = Self::trusted(manifest, graph)?;
        files.manifest.verify(&files.graph)?;
        Ok(files)
    }

    /// A model that somebody wants to register: as [`Self::of_registry`], and its graph is one that a database server may
    /// load.
    ///
    /// # Errors
    /// As [`Self::of_registry`]; [`Error::Refused`] when the graph is larger than `most` bytes or is refused by
    /// [`graph_check::check`]; [`Error::Manifest`] when there are no golden queries, by which a model is known to work.
    pub fn of_applicant(manifest: &str, graph: Bytes, most: u64) -> Result<Self> {
        if manifest.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(Error::Manifest(format!("it has more than {MAX_MANIFEST_BYTES} bytes")));
        }
        if graph.len() as u64 > most {
            return Err(Error::Refused(format!("it has {} bytes, at most {most} are allowed", graph.len())));
        }
        let files = Self::of_registry(manifest, graph)?;
        graph_check::check(files.graph.clone())?;
        if files.manifest.golden.is_empty() {
            return Err(Error::Manifest("there are no golden queries to try the model with".into()));
        }
        Ok(files)
    }

    /// A manifest and a graph at hand; the digest is not checked.
    ///
    /// # Errors
    /// [`Error::Manifest`].
    pub fn trusted(manifest: &str, graph: Bytes) -> Result<Self> {
        let identity = manifest::identity(manifest);
        Ok(Self { manifest: Manifest::parse(manifest)?, identity, graph })
    }

    /// What the manifest says.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The graph, an ONNX or ORT file.
    #[must_use]
    pub fn graph(&self) -> &Bytes {
        &self.graph
    }

    /// The SHA-256 of the manifest, which holds that of the graph: what an answer depends on beside the text.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The model in `folder`: `manifest.json` and the file that it names.
    ///
    /// # Errors
    /// [`Error::Manifest`], or [`Error::ModelFile`] when a file is missing or not the one the manifest describes.
    pub fn read(folder: &Path) -> Result<Self> {
        let manifest_path = folder.join("manifest.json");
        let read = |path: &Path, most: u64| {
            let fail = |reason: String| Error::ModelFile { path: path.into(), reason };
            let metadata = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?;
            // A named pipe would wait for its other end, a device might never end.
            if !metadata.is_file() {
                return Err(fail("it is not a regular file".into()));
            }
            if metadata.len() > most {
                return Err(fail(format!("it has {} bytes, at most {most} are allowed", metadata.len())));
            }
            std::fs::read(path).map_err(|e| fail(e.to_string()))
        };
        let json = String::from_utf8(read(&manifest_path, MAX_MANIFEST_BYTES)?)
            .map_err(|_| Error::ModelFile { path: manifest_path, reason: "it is not UTF-8".into() })?;
        let manifest = Manifest::parse(&json)?;
        let path = folder.join(&manifest.file);
        let graph = read(&path, MAX_MODEL_BYTES)?;
        manifest.verify(&graph).map_err(|e| Error::ModelFile { path, reason: e.to_string() })?;
        Self::trusted(&json, graph.into())
    }
}

//! Vectors of texts, by models that are asked by their names.
//!
//! Nothing is borrowed while a model runs, so an error or a cancel may end it at any point.

use std::cell::RefCell;
use std::rc::Rc;

use harca_core::cache::shared::Stored;
use harca_core::error::{Error, Result};
use harca_core::protocol::message::{MAX_TEXT_BYTES, MAX_VALUES, TextKind, Texts};
use harca_core::protocol::priority::Priority;
use harca_core::text::key::{self, Key};

use crate::bridge::server_text::{self, ServerText};
use crate::engine::client;
use crate::registry::engine_model::EngineModel;
use crate::registry::{self, Source};
use crate::shared_memory::{self, VectorEvent};

/// Models that a backend keeps.
const KEPT: usize = 4;

/// Texts of the first request for a model, when nobody knows yet how many numbers a vector has: 64 of pgvector's longest fit
/// into one answer. And most of those that follow: between two requests an interrupt is seen to.
const FIRST_TEXTS: usize = 64;
const MOST_TEXTS: usize = 256;

/// Bytes of the texts of a request, beyond which the next ones have to wait.
const MOST_BYTES: usize = 2 << 20;

/// Vectors, one after the other.
#[derive(Default)]
pub struct Vectors {
    /// Numbers of each.
    pub width: usize,
    /// All of them.
    pub numbers: Vec<f32>,
}

impl Vectors {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.numbers.chunks(self.width.max(1))
    }

    fn add(&mut self, width: usize, numbers: Vec<f32>, texts: usize) -> Result<()> {
        if width == 0 || numbers.len() != width * texts || self.width != 0 && self.width != width {
            let found = numbers.len();
            return Err(Error::ModelShape(format!("{found} numbers for {texts} texts, {width} for each")));
        }
        self.width = width;
        self.numbers.extend(numbers);
        Ok(())
    }
}

thread_local! {
    /// The one that was asked last is the last.
    static MODELS: RefCell<Vec<(Source, Rc<EngineModel>)>> = const { RefCell::new(Vec::new()) };
}

/// The vector of a query, and whether the cache that all sessions share had it.
///
/// # Errors
/// As [`registry::open_embedder`], and those of the engine.
pub fn embed_query(model: &str, query: ServerText) -> Result<(Vectors, bool)> {
    let model = open(model)?;
    let text = query.prefix(usize::MAX);
    let embed = || run(&model, TextKind::Query, Priority::Interactive, &[&server_text::to_utf8(text, usize::MAX)]);
    let Some(shared) = shared_memory::attach().filter(|shared| shared.vectors_bytes() > 0) else {
        return Ok((embed()?, false));
    };
    let key = Key::new(text, key::seed(shared.secret(), model.identity()));
    if let Some(numbers) = shared.vectors().get(key) {
        shared.count_vector(VectorEvent::Hit);
        return Ok((Vectors { width: numbers.len(), numbers }, true));
    }
    shared.count_vector(VectorEvent::Miss);
    let vectors = embed()?;
    if shared.vectors().put(key, &vectors.numbers) == Stored::Evicted {
        shared.count_vector(VectorEvent::Eviction);
    }
    Ok((vectors, false))
}

/// Vectors of texts, in their order. Texts that are longer than the model reads are cut, and counted in the engine.
///
/// # Errors
/// As [`registry::open_embedder`], and those of the engine.
pub fn embed(model: &str, kind: TextKind, priority: Priority, texts: &[ServerText]) -> Result<Vectors> {
    let texts: Vec<_> = texts.iter().map(|text| server_text::to_utf8(text.prefix(usize::MAX), usize::MAX)).collect();
    embed_texts(model, kind, priority, &texts.iter().map(AsRef::as_ref).collect::<Vec<_>>())
}

/// [`embed`] for texts in UTF-8.
///
/// # Errors
/// As [`embed`].
pub fn embed_texts(model: &str, kind: TextKind, priority: Priority, texts: &[&str]) -> Result<Vectors> {
    let model = open(model)?;
    run(&model, kind, priority, texts)
}

fn run(model: &EngineModel, kind: TextKind, priority: Priority, texts: &[&str]) -> Result<Vectors> {
    // One more than can be read, so that the engine sees that a text was cut.
    let chars = model.max_chars().saturating_add(1);
    let mut vectors = Vectors::default();
    let mut rest = texts;
    while !rest.is_empty() {
        let most = MAX_VALUES.checked_div(vectors.width).map_or(FIRST_TEXTS, |most| most.clamp(1, MOST_TEXTS));
        let (mut some, mut bytes) = (Vec::new(), 0);
        for text in rest.iter().take(most) {
            if bytes > MOST_BYTES {
                break;
            }
            // Of a model that reads very long texts, no more than goes into a request.
            let end = text.char_indices().nth(chars).map_or(text.len(), |(end, _)| end);
            let end = text.floor_char_boundary(end.min(MAX_TEXT_BYTES));
            bytes += end;
            some.push(text[..end].to_owned());
        }
        let count = some.len();
        rest = &rest[count..];
        let texts = Texts::Single(kind, some);
        let output = client::wait(|| model.run(priority, texts.clone()))?;
        vectors.add(output.width as usize, output.values, count)?;
    }
    Ok(vectors)
}

/// Has the engine load a model that gives vectors.
///
/// # Errors
/// As [`embed`].
pub fn load_embedder(name: &str) -> Result<()> {
    let model = open(name)?;
    client::wait(|| client::load(model.as_ref(), None))
}

/// A model that gives vectors.
pub struct Embedder {
    /// Name and version.
    pub model: String,
    /// How many numbers its vectors have.
    pub width: usize,
    /// How many tokens of a text it reads.
    pub tokens: usize,
}

/// What a model that gives vectors is.
///
/// # Errors
/// As [`embed`].
pub fn describe_embedder(name: &str) -> Result<Embedder> {
    let model = open(name)?;
    let vectors = run(&model, TextKind::Document, Priority::Interactive, &["a"])?;
    let (name, version) = model.manifest().name();
    Ok(Embedder { model: format!("{name} {version}"), width: vectors.width, tokens: model.max_tokens() })
}

fn open(name: &str) -> Result<Rc<EngineModel>> {
    let source = registry::named(name)?;
    let known = MODELS.with_borrow_mut(|kept| {
        let place = kept.iter().position(|(known, _)| *known == source)?;
        let known = kept.remove(place);
        let model = Rc::clone(&known.1);
        kept.push(known);
        Some(model)
    });
    if let Some(model) = known {
        return Ok(model);
    }
    let model = Rc::new(registry::open_embedder(&source)?);
    MODELS.with_borrow_mut(|kept| {
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((source, Rc::clone(&model)));
    });
    Ok(model)
}

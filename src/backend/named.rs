//! Models that are asked by their names, whether they are deployed or not.
//!
//! A backend keeps the last few of them. Nothing is borrowed while a model runs, so an error or a cancel may end it at any
//! point; the model is opened again then.

use std::cell::RefCell;
use std::rc::Rc;

use harca_core::classify::batch::MAX_TEXTS;
use harca_core::error::{Error, Result};

use super::answer::{Answer, Names};
use crate::bridge::server_text::{self, ServerText};
use crate::engine::client;
use crate::registry::{self, Model, Runner, Source, preloaded_session};
use crate::settings;

/// How many are kept.
const KEPT: usize = 4;

struct Named {
    model: Model,
    names: Rc<Names>,
}

impl Named {
    fn open(source: &Source) -> Result<Self> {
        let model = registry::open(source)?;
        let names = Rc::new(Names::new(&model.name(), model.labels()));
        Ok(Self { model, names })
    }
}

thread_local! {
    /// The one that was asked last is the last.
    static NAMED: RefCell<Vec<Named>> = const { RefCell::new(Vec::new()) };
}

/// Asks the model of this name; one answer per query, in order.
///
/// # Errors
/// As [`registry::open`], and those of the model.
pub fn classify_by(name: &str, queries: &[ServerText]) -> Result<Vec<Answer>> {
    let source = registry::named(name)?;
    let mut named = take(&source).map_or_else(|| Named::open(&source), Ok)?;
    let chars = settings::max_query_chars();
    let texts: Vec<_> = queries.iter().map(|query| server_text::to_utf8(query.prefix(chars), chars)).collect();
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let mut answers = Vec::with_capacity(texts.len());
    for some in texts.chunks(MAX_TEXTS) {
        client::check_interrupts();
        let found = match &mut named.model.runner {
            Runner::Engine(model) => client::wait(|| model.classify(some)),
            Runner::Here(classifier) => {
                let mut found = Vec::new();
                classifier.classify_batch(some, &mut found).map(|()| found)
            }
        };
        answers.extend(found?.into_iter().map(|answer| Answer::new(answer, Rc::clone(&named.names))));
    }
    if answers.len() != queries.len() {
        return Err(Error::Engine(format!("{} answers to {} queries", answers.len(), queries.len())));
    }
    put(named);
    Ok(answers)
}

fn take(source: &Source) -> Option<Named> {
    NAMED.with_borrow_mut(|kept| {
        let place = kept.iter().position(|named| named.model.source == *source)?;
        let named = kept.remove(place);
        if named.model.is_current() {
            return Some(named);
        }
        preloaded_session::release(named.model);
        None
    })
}

fn put(named: Named) {
    let oldest = NAMED.with_borrow_mut(|kept| {
        kept.push(named);
        (kept.len() > KEPT).then(|| kept.remove(0))
    });
    if let Some(oldest) = oldest {
        preloaded_session::release(oldest.model);
    }
}

//! Any text as options, filter or boosts of a search is understood or refused; options come back from their own JSON.
#![no_main]

use harca_core::search::boosts::{Boosts, Kind};
use harca_core::search::filter::{Column, condition};
use harca_core::search::options::Options;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &str| {
    if let Ok(options) = Options::parse(Some(json)) {
        assert_eq!(Options::parse(Some(&options.to_json())), Ok(options));
    }
    let column =
        |name: &str| Column { type_name: "text".into(), built_in: name.len() % 2 == 0, is_array: name.len() > 4 };
    if let Ok(condition) = condition(Some(json), 3, "t", "public.t", |name| Some(column(name))) {
        assert!(condition.is_empty() || condition.starts_with(" AND "));
    }
    let kind = |name: &str| if name.len() % 2 == 0 { Kind::Number } else { Kind::Time };
    if let Ok(boosts) = Boosts::parse(Some(json), "public.t", |name| Some(kind(name)), |text| text.len() as f64) {
        let values = (0..boosts.len()).map(|n| Some(n as f64 - 1.0));
        assert!((0.0..=100.0 * boosts.len() as f64).contains(&boosts.boost(values)));
    }
});

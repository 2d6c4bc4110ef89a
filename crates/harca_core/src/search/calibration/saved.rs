//! The calibrations of a server as a file, so that they come through a restart.
//!
//! One line with the name of the format and the XXH3-64 of what follows, in hexadecimal digits; then JSON.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::shared::{Entry, State};
use super::{Calibration, Means, Observation};

/// Raise it when the keys of tables, or what the means are of, change: those of another one tell nothing then.
const FORMAT: &str = "pg_harca calibrations 1";

/// Why a file is none that can be used. The texts are single lines without a final stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SavedError {
    /// It begins like none, or like one of another version.
    #[error("it does not begin with \"{FORMAT}\"")]
    Foreign,
    /// It is not what was written.
    #[error("it was altered: its checksum is wrong")]
    Checksum,
    /// It is none although the checksum is right.
    #[error("it is invalid")]
    Invalid,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    key: u64,
    used_at: i64,
    searches: u64,
    means: [f64; 5],
    calibration: Option<Calibration>,
}

impl From<Entry> for Table {
    fn from(Entry { key, used_at, state }: Entry) -> Self {
        Self {
            key,
            used_at,
            searches: state.means.searches,
            means: state.means.of.numbers(),
            calibration: state.calibration,
        }
    }
}

impl Table {
    fn entry(self) -> Option<Entry> {
        let Self { key, used_at, searches, means, calibration } = self;
        let usable = |Calibration { weight, spread, found, .. }: Calibration| {
            (0.0..=1.0).contains(&weight) && spread > 0.0 && spread.is_finite() && found > 0.0 && found <= 1.0
        };
        let state = State { means: Means { searches, of: Observation::from_numbers(means) }, calibration };
        (means.iter().all(|mean| mean.is_finite()) && calibration.is_none_or(usable)).then_some(Entry {
            key,
            used_at,
            state,
        })
    }
}

/// The file of some tables.
#[must_use]
pub fn write(entries: impl Iterator<Item = Entry>) -> Vec<u8> {
    let tables: Vec<Table> = entries.map(Table::from).collect();
    // Numbers alone, which are finite, so that there is nothing that JSON could not have.
    let json = serde_json::to_string(&tables).unwrap_or_else(|_| "[]".to_owned());
    format!("{FORMAT} {:016x}\n{json}\n", xxh3_64(json.as_bytes())).into_bytes()
}

/// The tables of a file.
///
/// # Errors
/// A [`SavedError`] for anything that [`write()`] has not written.
pub fn read(file: &[u8]) -> Result<Vec<Entry>, SavedError> {
    let text = str::from_utf8(file).map_err(|_| SavedError::Foreign)?;
    let rest = text.strip_prefix(FORMAT).and_then(|rest| rest.strip_prefix(' ')).ok_or(SavedError::Foreign)?;
    let (checksum, json) = rest.split_once('\n').ok_or(SavedError::Foreign)?;
    let json = json.strip_suffix('\n').ok_or(SavedError::Checksum)?;
    if checksum != format!("{:016x}", xxh3_64(json.as_bytes())) {
        return Err(SavedError::Checksum);
    }
    let tables: Vec<Table> = serde_json::from_str(json).map_err(|_| SavedError::Invalid)?;
    tables.into_iter().map(|table| table.entry().ok_or(SavedError::Invalid)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let calibration = (0.05f64..0.95, 1e-9f64..9.0, 1e-9f64..1.0, any::<u64>(), any::<i64>()).prop_map(
            |(weight, spread, found, searches, since)| Calibration { weight, spread, found, searches, since },
        );
        let means = (any::<u64>(), prop::array::uniform5(-9.0f64..9.0))
            .prop_map(|(searches, of)| Means { searches, of: Observation::from_numbers(of) });
        let entry = (any::<u64>(), any::<i64>(), means, prop::option::of(calibration))
            .prop_map(|(key, used_at, means, calibration)| Entry { key, used_at, state: State { means, calibration } });
        prop::collection::vec(entry, 0..6)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(entries in entries()) {
            prop_assert_eq!(read(&write(entries.iter().copied())), Ok(entries));
        }

        #[test]
        fn a_changed_bit_is_found(entries in entries(), place in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut file = write(entries.into_iter());
            let place = place.index(file.len());
            file[place] ^= 1 << bit;
            prop_assert!(read(&file).is_err());
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), json in ".{0,60}") {
            let _ = read(&bytes);
            let _ = read(format!("{FORMAT} {:016x}\n{json}\n", xxh3_64(json.as_bytes())).as_bytes());
        }
    }

    #[test]
    fn numbers_that_no_search_could_go_by_are_refused() {
        let file = |json: &str| format!("{FORMAT} {:016x}\n{json}\n", xxh3_64(json.as_bytes())).into_bytes();
        let table = |weight: &str| {
            file(&format!(
                r#"[{{"key":1,"used_at":2,"searches":20,"means":[0,0,0,0,0],"calibration":{{"weight":{weight},"spread":1,"found":0.5,"searches":20,"since":3}}}}]"#
            ))
        };
        assert_eq!(read(&table("0.5")).unwrap().len(), 1);
        assert_eq!(read(&table("1.5")), Err(SavedError::Invalid));
        assert_eq!(read(&file("{}")), Err(SavedError::Invalid));
        assert_eq!(read(b"PGDMP"), Err(SavedError::Foreign));
        assert_eq!(read(&table("0.5")[..40]), Err(SavedError::Foreign));
    }
}

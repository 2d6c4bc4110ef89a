//! A search target: its statistics, its indexes and its weights.

use super::facts::{Column, Index, Target};
use super::{Advice, Severity};

pub(super) const STATISTICS: &str = "search statistics";
pub(super) const PARSER: &str = "parser version";
pub(super) const KEYWORD_INDEX: &str = "keyword index";
pub(super) const VECTOR_INDEX: &str = "vector index";
pub(super) const OPERATOR_CLASS: &str = "operator class";
pub(super) const INVALID_INDEX: &str = "invalid index";
pub(super) const DIMENSIONS: &str = "dimensions";
pub(super) const WEIGHTS: &str = "weights";
pub(super) const EF_SEARCH: &str = "hnsw.ef_search";

/// Rows of a table that is read as fast without an index.
const SMALL: u64 = 5000;
/// Rows from which a search without an index is felt.
const LARGE: u64 = 50_000;
/// Most dimensions of an HNSW index of pgvector.
const MOST_DIMENSIONS: [(&str, i64); 2] = [("vector", 2000), ("halfvec", 4000)];

/// Judgements before which a tuning is not worth its time.
const ENOUGH_JUDGEMENTS: u64 = 50;
/// nDCG that a tuning has to gain: less is chance.
const GAIN: f64 = 0.005;
/// Share of the nearest rows that an index should find.
const RECALL: f64 = 0.95;
/// What a longer scan has to find in addition.
const MORE_FOUND: f64 = 0.02;

pub(super) fn all(target: &Target, advice: &mut Vec<Advice>) {
    statistics(target, advice);
    parser(target, advice);
    // A foreign table has no index of this server's.
    if target.kind != "f" && target.rows >= SMALL {
        keyword_index(target, advice);
        vector_index(target, advice);
    }
    weights(target, advice);
    ef_search(target, advice);
}

fn of(target: &Target, rule: &'static str, severity: Severity) -> Advice {
    let empty = String::new;
    Advice {
        severity,
        rule,
        subject: target.name.clone(),
        finding: empty(),
        why: empty(),
        gain: empty(),
        statement: empty(),
    }
}

/// The statistics are old or missing.
fn statistics(target: &Target, advice: &mut Vec<Advice>) {
    let (documents, changed) = (target.documents.unwrap_or(0), target.changed_rows.unwrap_or(0).unsigned_abs());
    let (severity, finding) = match target.state.as_str() {
        "stale" => (
            Severity::Warning,
            format!(
                "{changed} rows have changed since there were {documents} documents; the table has {}",
                target.rows
            ),
        ),
        "never built" => (Severity::Warning, format!("there are none; the table has {} rows", target.rows)),
        "changes were forgotten" => (
            Severity::Notice,
            format!("how many rows have changed since there were {documents} documents is not known any more"),
        ),
        _ => return,
    };
    advice.push(Advice {
        finding,
        why: "by them words are weighed by how rare they are, and similarities by how they spread".into(),
        gain: match (changed, documents) {
            (_, 0) => "an order by rarity and by the spread of similarities, of which nothing is known".into(),
            (0, _) => "certainty that scores are those of the table as it is".into(),
            (changed, documents) => {
                format!(
                    "scores that count the changes, {:.0} % of the documents",
                    100.0 * changed as f64 / documents as f64
                )
            }
        },
        statement: format!("SELECT harca.refresh_search_statistics({})", target.literal),
        ..of(target, STATISTICS, severity)
    });
}

/// The documents were cut by a former parser.
fn parser(target: &Target, advice: &mut Vec<Advice>) {
    let Some(renewal) = &target.renewal else { return };
    advice.push(Advice {
        finding: format!("its {} rows were cut into words by a former version of the parser", target.rows),
        why: "words of a query are cut as the installed version does, and are not found where that differs".into(),
        gain: format!("the words of {} rows; every row is written once", target.rows),
        statement: renewal.clone(),
        ..of(target, PARSER, Severity::Warning)
    });
}

fn severity(target: &Target) -> Severity {
    if target.rows >= LARGE { Severity::Warning } else { Severity::Notice }
}

/// How an index is created; that of a partitioned table cannot be while others write.
fn create(target: &Target) -> &'static str {
    if target.kind == "p" { "CREATE INDEX ON" } else { "CREATE INDEX CONCURRENTLY ON" }
}

/// Finds an index that failed to be built among those that would do, and advises to build it again.
fn is_invalid(target: &Target, fitting: &[&Index], advice: &mut Vec<Advice>) -> bool {
    let Some(invalid) = fitting.first() else { return false };
    advice.push(Advice {
        finding: format!("index {} is not valid", invalid.name),
        why: format!("no search uses it, each reads {} rows, and writing keeps it up all the same", target.rows),
        gain: format!("an index instead of {} rows and {} pages that each search reads", target.rows, target.pages),
        statement: format!("REINDEX INDEX CONCURRENTLY {}", invalid.name),
        ..of(target, INVALID_INDEX, severity(target))
    });
    true
}

/// No index leads from words to rows.
fn keyword_index(target: &Target, advice: &mut Vec<Advice>) {
    let Column { name, indexes, .. } = &target.tsvector;
    let fitting: Vec<&Index> =
        indexes.iter().filter(|index| index.whole && matches!(index.method.as_str(), "gin" | "bm25")).collect();
    if fitting.iter().any(|index| index.valid) || is_invalid(target, &fitting, advice) {
        return;
    }
    advice.push(Advice {
        finding: format!("no GIN or BM25 index leads to the words of {} rows", target.rows),
        why: format!("each pass of a keyword leg reads all {} pages of the table", target.pages),
        gain: format!("{} rows that a search need not read", target.rows),
        statement: format!("{} {} USING gin (harca.with_frequencies({name}))", create(target), target.table),
        ..of(target, KEYWORD_INDEX, severity(target))
    });
}

/// No index leads to the nearest embeddings, or one that is for another distance.
fn vector_index(target: &Target, advice: &mut Vec<Advice>) {
    let Column { name, kind, dimensions, class, half, indexes } = &target.embedding;
    let nearest = |index: &&Index| index.whole && matches!(index.method.as_str(), "hnsw" | "ivfflat");
    let (fitting, others): (Vec<&Index>, Vec<&Index>) =
        indexes.iter().filter(nearest).partition(|index| &index.class == class);
    if fitting.iter().any(|index| index.valid) || is_invalid(target, &fitting, advice) {
        return;
    }
    let most = MOST_DIMENSIONS.iter().find(|(known, _)| known == kind).map_or(0, |(_, most)| *most);
    let statement = format!("{} {} USING hnsw ({name} {class})", create(target), target.table);
    let reads = format!("each search reads all {} rows, {} pages, for the nearest", target.rows, target.pages);
    let gain = format!("{} rows that a search need not read", target.rows);
    if *dimensions == 0 || *dimensions > most {
        let known = *dimensions > 0 && *dimensions <= MOST_DIMENSIONS[1].1;
        // Without a number of dimensions, or with more than halfvec has, there is no statement for it.
        if known {
            advice.push(Advice {
                finding: format!("an index holds {most} dimensions of a {kind}, and {name} has {dimensions}"),
                why: reads,
                gain,
                statement: format!(
                    "ALTER TABLE {} ALTER COLUMN {name} TYPE {half}({dimensions}) -- rewrites the table; then create an HNSW index",
                    target.table
                ),
                ..of(target, DIMENSIONS, severity(target))
            });
        }
        return;
    }
    advice.push(match others.first() {
        Some(other) => Advice {
            finding: format!(
                "index {} has the operator class {}, and searches go by {}",
                other.name, other.class, target.distance
            ),
            why: reads,
            gain: format!("{gain}; if nothing else uses the other one, drop it"),
            statement,
            ..of(target, OPERATOR_CLASS, severity(target))
        },
        None => Advice {
            finding: format!("no HNSW or IVFFlat index is on {name}, and the table has {} rows", target.rows),
            why: reads,
            gain,
            statement,
            ..of(target, VECTOR_INDEX, severity(target))
        },
    });
}

/// Judgements would find better weights.
fn weights(target: &Target, advice: &mut Vec<Advice>) {
    let why = "the best weight belongs to the table and its embedding model, and judgements tell it".to_owned();
    let advised = of(target, WEIGHTS, Severity::Notice);
    if let Some(tuning) = &target.tuning {
        if tuning.after - tuning.before >= GAIN {
            advice.push(Advice {
                finding: format!("nDCG at 10 is {:.3} by {} judged queries", tuning.before, tuning.queries),
                why,
                gain: format!("nDCG at 10 of {:.3}, by cross-validation", tuning.after),
                statement: format!("SELECT * FROM harca.tune_search({}, apply => true)", target.literal),
                ..advised
            });
        }
    } else if target.new_judgements >= ENOUGH_JUDGEMENTS {
        advice.push(Advice {
            finding: format!("{} judgements have come that no tuning has seen", target.new_judgements),
            why,
            gain: "measured by the statement, or by harca.advise(measure => true)".into(),
            statement: format!("SELECT * FROM harca.tune_search({})", target.literal),
            ..advised
        });
    }
}

/// The vector index finds too few of the nearest rows.
fn ef_search(target: &Target, advice: &mut Vec<Advice>) {
    let Some(recall) = &target.recall else { return };
    if recall.found >= RECALL || recall.found_wider < recall.found + MORE_FOUND {
        return;
    }
    advice.push(Advice {
        finding: format!(
            "with hnsw.ef_search at {} a search finds {:.1} % of the ten nearest rows, by {} rows as queries",
            recall.ef_search,
            100.0 * recall.found,
            recall.queries
        ),
        why: "an HNSW index looks at that many rows, and gives the nearest of those it has seen".into(),
        gain: format!("{:.1} % of them with {}, for a longer scan", 100.0 * recall.found_wider, recall.wider),
        statement: format!(
            "ALTER ROLE CURRENT_USER SET hnsw.ef_search = {} -- or of the roles that search",
            recall.wider
        ),
        ..of(target, EF_SEARCH, Severity::Notice)
    });
}

//! The tables that are to be kept in step.

use harca_core::embedding::passages::Chunking;
use harca_core::embedding::statements::Columns;
use pgrx::pg_sys::Oid;
use pgrx::spi::{self, Spi, SpiClient};

/// All of them, as they stand in the catalogs now.
const TABLES: &str = "
    SELECT t.name, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relowner, t.embedding_model,
           pg_catalog.array_agg(pg_catalog.quote_ident(a.attname) ORDER BY i.place),
           pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, -1) ORDER BY i.place),
           pg_catalog.quote_ident(t.text_column), pg_catalog.quote_ident(t.embedding_column),
           pg_catalog.format_type(e.atttypid, NULL), k.rows_per_second,
           k.rows IS NOT NULL, k.is_backfilled,
           pg_catalog.convert_to(k.backfilled_to::pg_catalog.text, pg_catalog.getdatabaseencoding()),
           EXISTS (SELECT FROM harca.embedding_change AS h
                   WHERE h.shadow OPERATOR(pg_catalog.=) t.name AND h.state OPERATOR(pg_catalog.=) 'filling'),
           (SELECT pg_catalog.format('%I.%I', q.nspname, r.relname)
            FROM pg_catalog.pg_class AS r JOIN pg_catalog.pg_namespace AS q ON q.oid OPERATOR(pg_catalog.=) r.relnamespace
            WHERE r.oid OPERATOR(pg_catalog.=) p.relation::pg_catalog.oid),
           p.tokens, p.overlap, p.relation::pg_catalog.oid, pg_catalog.date_part('epoch', k.since)
    FROM harca.embedded_table AS k
    JOIN harca.search_target AS t ON t.name OPERATOR(pg_catalog.=) k.target
    JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.relation::pg_catalog.oid
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    CROSS JOIN LATERAL pg_catalog.unnest(t.id_columns) WITH ORDINALITY AS i (name, place)
    JOIN pg_catalog.pg_attribute AS a
        ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attname OPERATOR(pg_catalog.=) i.name AND NOT a.attisdropped
    JOIN pg_catalog.pg_attribute AS e
        ON e.attrelid OPERATOR(pg_catalog.=) c.oid AND e.attname OPERATOR(pg_catalog.=) t.embedding_column AND NOT e.attisdropped
    LEFT JOIN harca.passage_table AS p ON p.target OPERATOR(pg_catalog.=) t.name
    WHERE t.embedding_model IS NOT NULL
    GROUP BY t.name, n.nspname, c.relname, c.relowner, t.embedding_model, t.text_column, t.embedding_column, e.atttypid,
             k.rows_per_second, k.rows, k.is_backfilled, k.backfilled_to, k.since, p.target
    ORDER BY t.name";

/// A table.
pub struct Table {
    /// The search target.
    pub target: String,
    /// What its statements are about.
    pub columns: Columns,
    /// Whose rights its functions run with.
    pub owner: Oid,
    /// The model, by name and version.
    pub model: String,
    /// Rows a second at most that were there before.
    pub rows_per_second: Option<f32>,
    /// Whether these were counted.
    pub is_counted: bool,
    /// Whether all of them are done.
    pub is_backfilled: bool,
    /// The key of the last of them that is.
    pub backfilled_to: Option<Vec<u8>>,
    /// Whether searches go over to its embeddings when all are there.
    pub is_awaited: bool,
    /// How its texts are cut, where they are embedded in passages.
    pub chunking: Option<Chunking>,
    /// The table of these.
    passages: Option<Oid>,
    /// When it was asked for, in seconds.
    since: Option<f64>,
}

/// Whether the embeddings of a target are still of the same model, have the same place, and were not asked for anew. Of an earlier snapshot it might not be
/// known, so it is asked behind the lock of `harca.lock_embeddings`, by a statement of its own.
const HOLD: &str = "SELECT pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended($1, 0))";
const UNCHANGED: &str = "
    SELECT EXISTS (
        SELECT FROM harca.embedded_table AS k
        JOIN harca.search_target AS t ON t.name OPERATOR(pg_catalog.=) k.target
        LEFT JOIN harca.passage_table AS p ON p.target OPERATOR(pg_catalog.=) t.name
        WHERE t.name OPERATOR(pg_catalog.=) $1 AND t.embedding_model OPERATOR(pg_catalog.=) $2
          AND pg_catalog.quote_ident(t.embedding_column) OPERATOR(pg_catalog.=) $3
          AND p.relation::pg_catalog.oid IS NOT DISTINCT FROM $4
          AND p.tokens IS NOT DISTINCT FROM $5 AND p.overlap IS NOT DISTINCT FROM $6
          AND pg_catalog.date_part('epoch', k.since) OPERATOR(pg_catalog.=) $7)";

impl Table {
    /// Whether embeddings that were made for it can be written: nothing has changed since it was read, nor does until the
    /// transaction is over.
    pub fn is_unchanged(&self) -> bool {
        let size = |size: usize| i32::try_from(size).unwrap_or(i32::MAX);
        let (tokens, overlap) = self.chunking.map(|chunking| (size(chunking.tokens), size(chunking.overlap))).unzip();
        let embedding = self.columns.embedding.clone();
        super::transaction::or_raise(Spi::connect_mut(|client| {
            client.update(HOLD, None, &[self.target.clone().into()])?;
            let (target, model) = (self.target.clone(), self.model.clone());
            let parameters = [
                target.into(),
                model.into(),
                embedding.into(),
                self.passages.into(),
                tokens.into(),
                overlap.into(),
                self.since.into(),
            ];
            client.update(UNCHANGED, Some(1), &parameters)?.first().get_one::<bool>()
        }))
        .unwrap_or(false)
    }
}

/// The models of search targets.
const MODELS: &str = "
    SELECT DISTINCT t.embedding_model FROM harca.search_target AS t WHERE t.embedding_model IS NOT NULL ORDER BY 1";

/// Whether the extension is there.
const KNOWN: &str = "SELECT pg_catalog.to_regclass('harca.embedded_table') IS NOT NULL";

/// The models of all search targets; none where the extension is not there.
pub fn models() -> Vec<String> {
    super::transaction::or_raise(Spi::connect(|client| {
        if !is_known(client)? {
            return Ok(Vec::new());
        }
        client.select(MODELS, None, &[])?.map(|row| Ok(row.get::<String>(1)?.unwrap_or_default())).collect()
    }))
}

fn is_known(client: &SpiClient<'_>) -> Result<bool, spi::Error> {
    Ok(client.select(KNOWN, Some(1), &[])?.first().get_one::<bool>()?.unwrap_or(false))
}

/// Reads them; none where the extension is not there.
pub fn read() -> Vec<Table> {
    let found = Spi::connect(|client| {
        if !is_known(client)? {
            return Ok(Vec::new());
        }
        let mut tables = Vec::new();
        for row in client.select(TABLES, None, &[])? {
            let text = |n: usize| row.get::<String>(n).map(Option::unwrap_or_default);
            let texts = |n: usize| row.get::<Vec<String>>(n).map(Option::unwrap_or_default);
            let size = |n: usize| row.get::<i32>(n).map(|size| size.and_then(|size| usize::try_from(size).ok()));
            let chunking = size(16)?.zip(size(17)?).map(|(tokens, overlap)| Chunking { tokens, overlap });
            tables.push(Table {
                target: text(1)?,
                columns: Columns {
                    table: text(2)?,
                    ids: texts(5)?.into_iter().zip(texts(6)?).collect(),
                    text: text(7)?,
                    embedding: text(8)?,
                    embedding_type: text(9)?,
                    passages: row.get(15)?,
                },
                owner: row.get::<Oid>(3)?.unwrap_or(Oid::INVALID),
                model: text(4)?,
                rows_per_second: row.get(10)?,
                is_counted: row.get(11)?.unwrap_or(false),
                is_backfilled: row.get(12)?.unwrap_or(true),
                backfilled_to: row.get(13)?,
                is_awaited: row.get(14)?.unwrap_or(false),
                chunking,
                passages: row.get(18)?,
                since: row.get(19)?,
            });
        }
        Ok::<_, spi::Error>(tables)
    });
    super::transaction::or_raise(found)
}

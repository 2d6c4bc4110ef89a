//! The statements that read the text of rows and write their embeddings.
//!
//! A row is named by its key: a JSON array of its identifying columns as text. The keys of a batch are one parameter, a JSON
//! array of them, so that a statement has the same text for every batch. JSON goes in and out as a `bytea` in the server's
//! encoding, as nobody here looks into it; texts come as UTF-8.

/// What the statements are about; all of it SQL, quoted where it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The table, with its schema.
    pub table: String,
    /// The columns that identify a row, and the type of each.
    pub ids: Vec<(String, String)>,
    /// The column with the text.
    pub text: String,
    /// The column with the embedding.
    pub embedding: String,
    /// Its type: pgvector's `vector` or `halfvec`.
    pub embedding_type: String,
    /// The table of passages, with its schema, where texts are embedded in passages. Its columns are those of
    /// `harca.create_passages`.
    pub passages: Option<String>,
}

/// A parameter in the server's encoding as JSON.
fn json(parameter: &str) -> String {
    format!("pg_catalog.convert_from({parameter}, pg_catalog.getdatabaseencoding())::pg_catalog.jsonb")
}

/// What tells one text of a row from another: a hash of 64 bits of its bytes.
const HASH: &str = "pg_catalog.hashtextextended";

impl Columns {
    /// The rows of keys (`$1 bytea`) that are there: the place of the key from 1, the text as a `bytea` of UTF-8, null where
    /// there is none, and its hash.
    #[must_use]
    pub fn read(&self) -> String {
        let Self { table, text, .. } = self;
        let (keys, these, hash) = (self.keys(), self.these(), self.hash());
        format!(
            "SELECT k.n, pg_catalog.convert_to(t.{text}::pg_catalog.text, 'UTF8'), {hash} \
             FROM {keys} JOIN {table} AS t ON {these}"
        )
    }

    /// Locks the rows of keys (`$1 bytea`) that no other transaction has locked: the places of their keys from 1.
    #[must_use]
    pub fn lock(&self) -> String {
        format!("{} FOR NO KEY UPDATE OF t SKIP LOCKED", self.find())
    }

    /// The rows of keys (`$1 bytea`) that are there: the places of their keys from 1.
    #[must_use]
    pub fn find(&self) -> String {
        format!("SELECT k.n FROM {} JOIN {} AS t ON {}", self.keys(), self.table, self.these())
    }

    /// Writes embeddings to rows whose text is still the same: of keys (`$1 bytea`), hashes of their texts (`$2 bigint[]`),
    /// all numbers one after the other (`$3 real[]`), so many for each (`$4 integer`).
    #[must_use]
    pub fn write(&self) -> String {
        let Self { table, embedding, embedding_type, .. } = self;
        let (keys, these, hash) = (self.keys(), self.these(), self.hash());
        let first =
            "(k.n::pg_catalog.int4 OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog.*) $4 OPERATOR(pg_catalog.+) 1";
        let last = "k.n::pg_catalog.int4 OPERATOR(pg_catalog.*) $4";
        format!(
            "UPDATE {table} AS t SET {embedding} = ($3[{first} : {last}])::{embedding_type} FROM {keys} \
             WHERE {these} AND {hash} OPERATOR(pg_catalog.=) $2[k.n::pg_catalog.int4] RETURNING k.n"
        )
    }

    /// Takes out the passages of keys (`$1 bytea`); none where there are no passages.
    #[must_use]
    pub fn remove_passages(&self) -> Option<String> {
        let (passages, keys, these) = (self.passages.as_ref()?, self.keys(), self.these_passages());
        Some(format!("DELETE FROM {passages} AS p USING {keys} WHERE {these}"))
    }

    /// Writes passages of keys (`$1 bytea`): the place of the key of each from 1 (`$2 integer[]`), its number, start and length
    /// (`$3`, `$4`, `$5`, likewise), the hash of its text (`$6 bigint[]`), all numbers one after the other (`$7 real[]`), so many
    /// for each (`$8 integer`); none where there are no passages.
    #[must_use]
    pub fn add_passages(&self) -> Option<String> {
        let (passages, kind) = (self.passages.as_ref()?, &self.embedding_type);
        let names: String = (1..=self.ids.len()).map(|n| format!("key{n}, ")).collect();
        let key =
            |(n, (_, kind)): (usize, &(String, String))| format!("(k.key OPERATOR(pg_catalog.->>) {n})::{kind}, ");
        let values: String = self.ids.iter().enumerate().map(key).collect();
        let n = "p.n::pg_catalog.int4";
        let first = format!("({n} OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog.*) $8 OPERATOR(pg_catalog.+) 1");
        let last = format!("{n} OPERATOR(pg_catalog.*) $8");
        Some(format!(
            "INSERT INTO {passages} ({names}passage, passage_start, passage_length, text_hash, embedding) \
             SELECT {values}p.passage, p.passage_start, p.passage_length, p.text_hash, ($7[{first} : {last}])::{kind} \
             FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5), \
             pg_catalog.unnest($6)) WITH ORDINALITY AS p (place, passage, passage_start, passage_length, text_hash, n) \
             JOIN {} ON k.n OPERATOR(pg_catalog.=) p.place",
            self.keys(),
        ))
    }

    /// Takes out passages that belong to no row with a text; none where there are no passages.
    #[must_use]
    pub fn sweep_passages(&self) -> Option<String> {
        let (passages, of_row) = (self.passages.as_ref()?, self.of_row());
        let Self { table, text, .. } = self;
        Some(format!(
            "DELETE FROM {passages} AS p WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {of_row} AND t.{text} IS NOT NULL)"
        ))
    }

    /// Takes the embeddings out of rows of keys (`$1 bytea`) that have no text any more.
    #[must_use]
    pub fn clear(&self) -> String {
        let Self { table, embedding, text, .. } = self;
        let (keys, these) = (self.keys(), self.these());
        format!(
            "UPDATE {table} AS t SET {embedding} = NULL FROM {keys} \
             WHERE {these} AND t.{text} IS NULL AND t.{embedding} IS NOT NULL"
        )
    }

    /// Keys of rows that have a text and no embedding, or no passages where there are such, at most `$1 bigint` of them, in the order of the key; those behind the
    /// key `$2 bytea`, where there is one.
    #[must_use]
    pub fn missing(&self, behind: bool) -> String {
        let Self { table, .. } = self;
        let missing = self.is_missing();
        let all = |of: &dyn Fn(usize, &(String, String)) -> String| {
            self.ids.iter().enumerate().map(|(n, id)| of(n, id)).collect::<Vec<_>>().join(", ")
        };
        let key = all(&|_, (column, _)| format!("t.{column}::pg_catalog.text"));
        let order = all(&|_, (column, _)| format!("t.{column}"));
        let behind = if behind {
            let last = all(&|n, (_, kind)| format!("({} OPERATOR(pg_catalog.->>) {n})::{kind}", json("$2")));
            format!(" AND ROW({order}) OPERATOR(pg_catalog.>) ROW({last})")
        } else {
            String::new()
        };
        format!(
            "SELECT pg_catalog.convert_to(pg_catalog.jsonb_build_array({key})::pg_catalog.text, \
             pg_catalog.getdatabaseencoding()) FROM {table} AS t \
             WHERE {missing}{behind} ORDER BY {order} LIMIT $1"
        )
    }

    /// How many rows have a text and no embedding, or no passages where there are such.
    #[must_use]
    pub fn count_missing(&self) -> String {
        format!("SELECT pg_catalog.count(*) FROM {} AS t WHERE {}", self.table, self.is_missing())
    }

    /// The condition that a row `t` has a text and is not embedded.
    fn is_missing(&self) -> String {
        let Self { embedding, text, .. } = self;
        let none = match &self.passages {
            None => format!("t.{embedding} IS NULL"),
            Some(passages) => format!("NOT EXISTS (SELECT FROM {passages} AS p WHERE {})", self.of_row()),
        };
        format!("{none} AND t.{text} IS NOT NULL")
    }

    fn keys(&self) -> String {
        format!("pg_catalog.jsonb_array_elements({}) WITH ORDINALITY AS k (key, n)", json("$1"))
    }

    /// The condition that a row `t` is that of a key `k`.
    fn these(&self) -> String {
        let one = |(n, (column, kind)): (usize, &(String, String))| {
            format!("t.{column} OPERATOR(pg_catalog.=) (k.key OPERATOR(pg_catalog.->>) {n})::{kind}")
        };
        self.ids.iter().enumerate().map(one).collect::<Vec<_>>().join(" AND ")
    }

    /// The condition that a passage `p` is one of a key `k`.
    fn these_passages(&self) -> String {
        let one = |(n, (_, kind)): (usize, &(String, String))| {
            format!("p.key{} OPERATOR(pg_catalog.=) (k.key OPERATOR(pg_catalog.->>) {n})::{kind}", n + 1)
        };
        self.ids.iter().enumerate().map(one).collect::<Vec<_>>().join(" AND ")
    }

    /// The condition that a passage `p` is one of a row `t`.
    fn of_row(&self) -> String {
        let one =
            |(n, (column, _)): (usize, &(String, String))| format!("p.key{} OPERATOR(pg_catalog.=) t.{column}", n + 1);
        self.ids.iter().enumerate().map(one).collect::<Vec<_>>().join(" AND ")
    }

    /// By bytes: two texts that a collation takes for the same are two texts for a model.
    fn hash(&self) -> String {
        format!("{HASH}(t.{}::pg_catalog.text COLLATE pg_catalog.\"C\", 0)", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(ids: &[(&str, &str)]) -> Columns {
        Columns {
            table: "public.note".into(),
            ids: ids.iter().map(|(column, kind)| ((*column).into(), (*kind).into())).collect(),
            text: "\"the text\"".into(),
            embedding: "e".into(),
            embedding_type: "public.vector".into(),
            passages: None,
        }
    }

    #[test]
    fn rows_are_found_by_all_columns_of_their_key() {
        let read = columns(&[("tenant", "integer"), ("id", "uuid")]).read();
        assert!(read.contains("t.tenant OPERATOR(pg_catalog.=) (k.key OPERATOR(pg_catalog.->>) 0)::integer AND "));
        assert!(read.contains("t.id OPERATOR(pg_catalog.=) (k.key OPERATOR(pg_catalog.->>) 1)::uuid"));
        assert!(read.contains("t.\"the text\"::pg_catalog.text, 'UTF8')"));
    }

    #[test]
    fn what_is_missing_is_read_in_the_order_of_the_key() {
        let columns = columns(&[("a", "integer"), ("b", "text")]);
        assert!(columns.missing(false).ends_with("ORDER BY t.a, t.b LIMIT $1"));
        assert!(!columns.missing(false).contains("$2"));
        assert!(columns.missing(true).contains("ROW(t.a, t.b) OPERATOR(pg_catalog.>) ROW((pg_catalog.convert_from($2"));
    }

    #[test]
    fn an_embedding_is_written_where_the_text_is_the_same() {
        let write = columns(&[("id", "integer")]).write();
        assert!(write.starts_with("UPDATE public.note AS t SET e = ($3["));
        assert!(write.contains(")::public.vector FROM"));
        assert!(write.contains("COLLATE pg_catalog.\"C\", 0) OPERATOR(pg_catalog.=) $2[k.n::pg_catalog.int4]"));
    }

    #[test]
    fn rows_that_others_have_locked_are_passed_by() {
        let lock = columns(&[("id", "integer")]).lock();
        assert!(lock.starts_with("SELECT k.n FROM pg_catalog.jsonb_array_elements("));
        assert!(lock.ends_with(" FOR NO KEY UPDATE OF t SKIP LOCKED"));
    }

    #[test]
    fn passages_are_those_of_a_key() {
        let without = columns(&[("id", "integer")]);
        assert_eq!((without.remove_passages(), without.add_passages(), without.sweep_passages()), (None, None, None));
        let with = Columns { passages: Some("public.p".into()), ..columns(&[("a", "integer"), ("b", "text")]) };
        let missing = "NOT EXISTS (SELECT FROM public.p AS p WHERE p.key1 OPERATOR(pg_catalog.=) t.a AND p.key2 OPERATOR(pg_catalog.=) t.b)";
        assert!(with.count_missing().ends_with(&format!("{missing} AND t.\"the text\" IS NOT NULL")));
        let removed = with.remove_passages().unwrap();
        assert!(removed.ends_with("p.key2 OPERATOR(pg_catalog.=) (k.key OPERATOR(pg_catalog.->>) 1)::text"));
        let added = with.add_passages().unwrap();
        assert!(added.starts_with("INSERT INTO public.p (key1, key2, passage, "));
        assert!(added.contains(
            "SELECT (k.key OPERATOR(pg_catalog.->>) 0)::integer, (k.key OPERATOR(pg_catalog.->>) 1)::text, p.passage, "
        ));
    }
}

//! Files in the ORT format, read by hand: generated code for FlatBuffers is unsafe, and this is but a few tables.
//!
//! The slots of tables are in the order of the fields in `onnxruntime/core/flatbuffers/schema/ort.fbs`. The runtime has
//! its own verifier go through the whole file, so what is not looked at here need not be sound here.

use super::*;

pub(super) fn check(file: &[u8]) -> Result<GraphFacts> {
    // A table takes four bytes, and four more where it is referred to. A file that refers to one table over and
    // over again could make the work grow beyond its size; the runtime writes none.
    let mut reader = Reader { tables_left: file.len() / 8, operators: 0 };
    let model = Table::follow(file, 0)?.table(1)?.ok_or_else(damaged)?;
    let mut opset = None;
    for one in model.tables(1)? {
        let one = reader.visit(one?)?;
        note_opset(&mut opset, one.string(0)?, one.long(1, 0)?)?;
    }
    let opset = named_opset(opset)?;
    let graph = model.table(7)?.ok_or_else(damaged)?;
    reader.graph(graph, 0)?;
    Ok(GraphFacts { format: Format::Ort, opset, operators: reader.operators })
}

fn damaged() -> Error {
    refused("the file in the ORT format is damaged".to_owned())
}

struct Reader {
    tables_left: usize,
    operators: usize,
}

impl Reader {
    fn visit<'a>(&mut self, table: Table<'a>) -> Result<Table<'a>> {
        self.tables_left = self.tables_left.checked_sub(1).ok_or_else(damaged)?;
        Ok(table)
    }

    fn graph(&mut self, graph: Table, depth: usize) -> Result<()> {
        check_subgraphs(depth)?;
        self.visit(graph)?;
        for tensor in graph.tables(0)? {
            self.tensor(tensor?)?;
        }
        for sparse in graph.tables(7)? {
            let sparse = self.visit(sparse?)?;
            for slot in [0, 1] {
                sparse.table(slot)?.map_or(Ok(()), |tensor| self.tensor(tensor))?;
            }
        }
        for node in graph.tables(2)? {
            let node = self.visit(node?)?;
            self.operators += 1;
            check_operator(Format::Ort, node.string(2)?, node.string(5)?, false)?;
            for attribute in node.tables(10)? {
                self.attribute(attribute?, depth)?;
            }
        }
        Ok(())
    }

    fn attribute(&mut self, attribute: Table, depth: usize) -> Result<()> {
        self.visit(attribute)?;
        for tensor in attribute.table(6)?.into_iter().map(Ok).chain(attribute.tables(11)?) {
            self.tensor(tensor?)?;
        }
        for graph in attribute.table(7)?.into_iter().map(Ok).chain(attribute.tables(12)?) {
            self.graph(graph?, depth + 1)?;
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: Table) -> Result<()> {
        self.visit(tensor)?;
        if tensor.long(6, -1)? >= 0 {
            return Err(kept_elsewhere(tensor.string(0)?));
        }
        Ok(())
    }
}

/// A table: a set of numbered slots, each with a number or the distance to something that lies further on.
#[derive(Clone, Copy)]
struct Table<'a> {
    file: &'a [u8],
    at: usize,
    /// For each slot two bytes with its distance from the table, 0 where it is empty.
    slots: &'a [u8],
}

/// `N` bytes of the file.
fn read<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N]> {
    file.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or_else(damaged)
}

/// An unsigned number of 32 bits, which are lengths and distances.
fn number(file: &[u8], at: usize) -> Result<usize> {
    usize::try_from(u32::from_le_bytes(read(file, at)?)).map_err(|_| damaged())
}

/// The place that the distance at `at` leads to. It lies behind `at`, so that no way through a file comes round.
fn target(file: &[u8], at: usize) -> Result<usize> {
    match number(file, at)? {
        0 => Err(damaged()),
        distance => at.checked_add(distance).ok_or_else(damaged),
    }
}

impl<'a> Table<'a> {
    /// The table to which the distance at `at` leads.
    fn follow(file: &'a [u8], at: usize) -> Result<Self> {
        let at = target(file, at)?;
        let back = i64::from(i32::from_le_bytes(read(file, at)?));
        let start = i64::try_from(at).ok().and_then(|at| usize::try_from(at - back).ok()).ok_or_else(damaged)?;
        let size = usize::from(u16::from_le_bytes(read(file, start)?));
        let vtable = file.get(start..).and_then(|rest| rest.get(..size)).ok_or_else(damaged)?;
        let slots = vtable.get(4..).ok_or_else(damaged)?;
        Ok(Self { file, at, slots })
    }

    /// Where the content of a slot is; `None` where it is empty.
    fn slot(&self, slot: usize) -> Result<Option<usize>> {
        let (slots, _) = self.slots.as_chunks();
        match slots.get(slot).map_or(0, |&bytes| u16::from_le_bytes(bytes)) {
            0 => Ok(None),
            // The first four bytes of a table lead to its slots.
            1..4 => Err(damaged()),
            distance => self.at.checked_add(usize::from(distance)).map(Some).ok_or_else(damaged),
        }
    }

    fn long(&self, slot: usize, absent: i64) -> Result<i64> {
        self.slot(slot)?.map_or(Ok(absent), |at| read(self.file, at).map(i64::from_le_bytes))
    }

    fn table(&self, slot: usize) -> Result<Option<Self>> {
        self.slot(slot)?.map(|at| Self::follow(self.file, at)).transpose()
    }

    /// Length and place of a vector or a string; an absent one is an empty one.
    fn list(&self, slot: usize) -> Result<(usize, usize)> {
        let Some(at) = self.slot(slot)? else { return Ok((0, 0)) };
        let at = target(self.file, at)?;
        Ok((number(self.file, at)?, at + 4))
    }

    fn string(&self, slot: usize) -> Result<&'a [u8]> {
        let (length, start) = self.list(slot)?;
        self.file.get(start..).and_then(|rest| rest.get(..length)).ok_or_else(damaged)
    }

    fn tables(&self, slot: usize) -> Result<impl Iterator<Item = Result<Self>> + use<'a>> {
        let (count, start) = self.list(slot)?;
        let file = self.file;
        // A count beyond the end of the file is an error there, and none before.
        Ok((0..count).map(move |index| Self::follow(file, start + 4 * index)))
    }
}

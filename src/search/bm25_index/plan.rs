//! Whether a plan takes its rows from an index in their order.
#![allow(unsafe_code)]

use pgrx::PgList;
use pgrx::pg_sys::{self, NodeTag, Oid};

/// Whether a plan is a scan of that index, in its order, up to a limit; if so, the order is not computed.
///
/// Nobody reads the order of a row that an ordered scan has given, but PostgreSQL computes it for every row, from the row's
/// text. Its place is taken by the score function of the select list, which has what the index knows.
///
/// # Safety
/// `statement` must be a plan that does not run.
pub unsafe fn scans(statement: *mut pg_sys::PlannedStmt, index: Oid, score_function: Oid) -> bool {
    // SAFETY: by the contract; a node is what its tag says.
    unsafe {
        let limit = (*statement).planTree;
        if !pgrx::is_a(limit.cast(), NodeTag::T_Limit) {
            return false;
        }
        let scan = (*limit).lefttree.cast::<pg_sys::IndexScan>();
        if !pgrx::is_a(scan.cast(), NodeTag::T_IndexScan)
            || (*scan).indexid != index
            || PgList::<pg_sys::Node>::from_pg((*scan).indexorderby).len() != 1
        {
            return false;
        }
        let columns = PgList::<pg_sys::TargetEntry>::from_pg((*scan).scan.plan.targetlist);
        let is_score = |column: &*mut pg_sys::TargetEntry| {
            let call = (**column).expr.cast::<pg_sys::FuncExpr>();
            !(**column).resjunk && pgrx::is_a(call.cast(), NodeTag::T_FuncExpr) && (*call).funcid == score_function
        };
        let Some(score) = columns.iter_ptr().find(is_score) else { return false };
        for column in columns.iter_ptr().filter(|column| (**column).resjunk) {
            (*column).expr = (*score).expr;
        }
        true
    }
}

//! The rows of a set-returning function.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use pgrx::{PgMemoryContexts, pg_sys};

use super::value::{Value, columns};

/// The rows of a set-returning function.
pub struct Rows<'fc> {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    /// What a batch of rows allocates on its way into the store.
    memory: PgMemoryContexts,
    lifetime: PhantomData<&'fc ()>,
}

impl Rows<'_> {
    /// Starts the set that a call gives, an error where its caller cannot take one.
    ///
    /// # Safety
    /// `fcinfo` must be the frame of the running call, and outlive the value.
    pub unsafe fn begin(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        // The caller knows what the rows are made of: to find it out again would take as long as to give five of them.
        // SAFETY: by the contract; the first call sets up `resultinfo` as read below, or reports an error.
        unsafe {
            pg_sys::InitMaterializedSRF(fcinfo, pg_sys::MAT_SRF_USE_EXPECTED_DESC);
            let info = (*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            Self {
                store: (*info).setResult,
                descriptor: (*info).setDesc,
                memory: PgMemoryContexts::new("pg_harca rows"),
                lifetime: PhantomData,
            }
        }
    }

    /// Adds a row.
    pub fn push<const N: usize>(&mut self, values: [Value<'_>; N]) {
        let (store, descriptor) = (self.store, self.descriptor);
        // SAFETY: store and descriptor were set up for this call; the number of columns is checked; the store copies.
        unsafe {
            assert_eq!((*descriptor).natts as usize, N, "columns of the declared result type");
            self.memory.switch_to(|_| {
                let (mut datums, mut nulls) = columns(values);
                pg_sys::tuplestore_putvalues(store, descriptor, datums.as_mut_ptr(), nulls.as_mut_ptr());
            });
        }
    }

    /// Runs `work` with its allocations in the batch's memory, and frees them and those of the batch's rows after it.
    ///
    /// Between batches a cancelled query ends here.
    pub fn batch<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        pg_sys::check_for_interrupts!();
        let context = self.memory.value();
        // SAFETY: the context is ours and lives until `self` goes; nothing allocated in it is kept past the batch.
        unsafe {
            let result = PgMemoryContexts::For(context).switch_to(|_| work(self));
            pg_sys::MemoryContextReset(context);
            result
        }
    }
}

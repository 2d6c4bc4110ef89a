//! The files of `sql/` that make up the script that `CREATE EXTENSION` runs. Which, and in what order, says `lib.rs`.
//! `scripts/install_sql.py` puts them together; what stands here has them compiled in where cargo-pgrx looks for them, which
//! `scripts/check_install_sql.sh` lets make the same script, and is an error where a file is not there.

/// Runs the files one after another, the first before and the last after all that pgrx generates. pgrx orders files by the
/// names that they require, and wants paths and names as literals, which no macro can put together: so the list holds whole
/// paths, and the names are taken from a supply.
macro_rules! install_sql {
    (@after $previous:literal, [$last:literal], [$($name:literal)*]) => {
        pgrx::extension_sql_file!($last, name = "last", finalize);
    };
    (@after $previous:literal, [$file:literal $($files:literal)+], [$name:literal $($names:literal)*]) => {
        pgrx::extension_sql_file!($file, name = $name, requires = [$previous]);
        install_sql!(@after $name, [$($files)+], [$($names)*]);
    };
    (@after $previous:literal, [$($files:literal)+], []) => {
        compile_error!("there are more files than names for them in src/install_sql.rs");
    };
    ($first:literal $($files:literal)+) => {
        pgrx::extension_sql_file!($first, name = "first", bootstrap);
        install_sql!(@after "first", [$($files)+], [
            "file_02" "file_03" "file_04" "file_05" "file_06" "file_07" "file_08" "file_09" "file_10" "file_11" "file_12"
            "file_13" "file_14" "file_15" "file_16" "file_17" "file_18" "file_19" "file_20" "file_21" "file_22" "file_23"
            "file_24" "file_25" "file_26" "file_27" "file_28" "file_29" "file_30" "file_31" "file_32" "file_33" "file_34"
            "file_35" "file_36" "file_37" "file_38" "file_39" "file_40" "file_41" "file_42" "file_43" "file_44" "file_45"
        ]);
    };
}

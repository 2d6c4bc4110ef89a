"""Search quality: hybrid_search on test collections, beside what people use today."""

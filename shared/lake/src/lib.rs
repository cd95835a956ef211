//! The output: where tables lie, how they are written, published and read back

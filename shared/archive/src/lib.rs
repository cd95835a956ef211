//! Where archives come from: an HTTP mirror with its listing, or a folder

//! What collectors wrote: columns, files, and reading them back.

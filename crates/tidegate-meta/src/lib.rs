//! The checkpoint metadata file: bytes in, bytes out.

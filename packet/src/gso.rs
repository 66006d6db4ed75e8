//! Cuts a large TCP frame into segments.

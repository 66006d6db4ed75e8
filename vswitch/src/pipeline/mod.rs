//! A batch's way through one worker: cache, execute, outputs.

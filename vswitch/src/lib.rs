//! The Strowger switch: workers, bridges, ports and its one binary.

//! A vhost-user front end from the guest's side, for tests, fuzzing and benchmarks alike: it plays QEMU and the
//! driver in its guest.
//!
//! * [`FrontEnd`]: connects or listens, negotiates, shares memory, sets up rings, moves frames.
//! * [`Settings`]: which features, how many queues, how large, laid out how.
//! * [`Transmit`], [`Receive`]: the two rings of a queue pair, with buffers; [`Ring`] beneath them is raw access to
//!   a ring's every field, for guests that are hostile.
//! * [`Memory`]: the guest's memory. [`Channel`]: messages, well-formed or cut, with whatever descriptors.
//! * [`frame`]: frames to send, and a check of what was received.
//!
//! Names are the guest's: what it transmits comes *into* the switch. The wire format is written here a second time,
//! on purpose: the switch's codec is tested against another reading of the specification.
//!
//! Every wait has a [deadline](wait::DEADLINE); nothing here depends on timing.

pub mod channel;
mod error;
pub mod features;
pub mod frame;
mod frontend;
mod memory;
mod receive;
mod ring;
mod settings;
mod transmit;
pub mod vnet;
pub mod wait;

pub use channel::{Channel, Listener, Message, Request};
pub use error::Error;
pub use frontend::{FrontEnd, Pair};
pub use memory::{Memory, Region};
pub use receive::{Receive, Received};
pub use ring::{Descriptor, Ring, RingLayout, flags};
pub use settings::{Layout, Settings};
pub use transmit::Transmit;
pub use vnet::VnetHeader;

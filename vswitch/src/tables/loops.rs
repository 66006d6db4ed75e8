//! The loop guard: finds stations that go to and fro between two ports, as those do whose frames go round in a loop
//! (and those whose address somebody else has, too).
//!
//! Defined: a station is found when it has moved [`LOOP_MOVES`] times, one move after the other, each between the
//! same two ports, and the last of these moves was at most [`LOOP_WINDOW`] seconds after the first. Counting begins
//! anew then. A machine that is migrated moves once; one that moves back and forth every few seconds is not found.
//!
//! Moves are those of the MAC table, which a station makes at most [`MOVES_A_SECOND`](super::mac::MOVES_A_SECOND)
//! times a second: a loop is found in its second or third second.

use strowger_packet::{MacAddress, PortId};

use super::mac::Seconds;
use crate::vlan::Vid;

/// How many moves make a loop. Even, so that the station is where it was before the first of them.
pub const LOOP_MOVES: u8 = 6;
/// Within how many seconds.
pub const LOOP_WINDOW: Seconds = 10;
/// How many seconds after it was found a station is shown as one that goes to and fro; and how many lie at least
/// between two reports of one station.
pub const LOOP_SHOWN: Seconds = 60;
/// Reports of a bridge that wait to be taken; more are only counted.
pub const LOOPS_KEPT: usize = 16;

/// What is done with a station that is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// Nothing; none is looked for.
    Off,
    /// It is counted and reported.
    #[default]
    Report,
    /// Besides, it stays for so many seconds behind the port where it was first; what comes from it by others is
    /// dropped.
    Hold(Seconds),
}

/// A report: a station that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loop {
    /// Its VLAN.
    pub vid: Vid,
    /// Its address.
    pub mac: MacAddress,
    /// The port where it was first.
    pub home: PortId,
    /// The other one.
    pub other: PortId,
    /// For how many seconds it is held, if it is.
    pub held: Option<Seconds>,
}

/// A station's moves, and what came of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Track {
    /// The port that it left last.
    other: PortId,
    /// Moves one after the other between the same two ports.
    run: u8,
    /// The seconds of the last moves but the very last, modulo 256, the oldest first.
    times: [u8; LOOP_MOVES as usize - 1],
    /// The second after that in which it was found last; 0 if never.
    found: Seconds,
    /// The same for reports.
    reported: Seconds,
    /// The second in which it is held no longer; 0 if it is not.
    held_until: Seconds,
}

impl Track {
    /// Notes a move. `since` is the second of the move before. Returns whether the station is found now.
    pub(super) fn moved(
        &mut self,
        (from, to): (PortId, PortId),
        since: Seconds,
        now: Seconds,
    ) -> bool {
        const { assert!(LOOP_MOVES.is_multiple_of(2) && LOOP_WINDOW < 128) };
        let goes_on = self.run > 0 && to == self.other && now.saturating_sub(since) <= LOOP_WINDOW;
        self.run = if goes_on { self.run.saturating_add(1) } else { 1 };
        self.other = from;
        // No two moves of a run are so far apart that the modulus hides it.
        let (first, now_byte) = (self.times[0], now as u8);
        self.times.rotate_left(1);
        self.times[LOOP_MOVES as usize - 2] = now_byte;
        let is_found =
            self.run >= LOOP_MOVES && Seconds::from(now_byte.wrapping_sub(first)) <= LOOP_WINDOW;
        if is_found {
            self.run = 0;
            self.found = now.saturating_add(1);
        }
        is_found
    }

    /// Forgets the moves: the station came to where it is in another way.
    pub(super) fn restart(&mut self) {
        self.run = 0;
    }

    /// Whether a report is due; it is made then.
    pub(super) fn report(&mut self, now: Seconds) -> bool {
        let is_due = self.reported == 0 || now.saturating_add(1) - self.reported >= LOOP_SHOWN;
        if is_due {
            self.reported = now.saturating_add(1);
        }
        is_due
    }

    pub(super) fn hold(&mut self, until: Seconds) {
        self.held_until = until;
    }

    pub(super) fn release(&mut self) {
        self.held_until = 0;
    }

    pub(super) fn is_held(&self, now: Seconds) -> bool {
        now < self.held_until
    }

    /// Whether it was held, and perhaps is no more.
    pub(super) fn has_hold(&self) -> bool {
        self.held_until > 0
    }

    /// The other port, if it was found of late or is held.
    pub(super) fn goes_to(&self, now: Seconds) -> Option<PortId> {
        let of_late = self.found > 0 && now.saturating_add(1) - self.found < LOOP_SHOWN;
        (of_late || self.is_held(now)).then_some(self.other)
    }
}

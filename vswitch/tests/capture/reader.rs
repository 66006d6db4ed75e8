//! A reader of pcapng, written from the draft and from nothing of the switch's.

/// A capture file.
#[derive(Debug, Default)]
pub struct File {
    pub application: String,
    pub interfaces: Vec<Interface>,
    pub packets: Vec<Packet>,
    /// Of each interface, the last that was said.
    pub statistics: Vec<Statistics>,
    /// How many statistics blocks there are.
    pub told: usize,
}

#[derive(Debug)]
pub struct Interface {
    pub name: String,
    pub description: String,
    pub snaplen: u32,
    pub filter: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Packet {
    pub interface: usize,
    pub nanos: u64,
    pub original: usize,
    pub bytes: Vec<u8>,
    /// Bits 0 and 1 of the flags: 1 in, 2 out.
    pub direction: u32,
    pub comment: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub ifrecv: u64,
    pub ifdrop: u64,
    pub filteraccept: u64,
    pub usrdeliv: u64,
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(len);
        self.0 = rest;
        first
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take(2).try_into().unwrap())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn padded(&mut self, len: usize) -> &'a [u8] {
        let value = self.take(len);
        assert!(self.take(len.next_multiple_of(4) - len).iter().all(|&byte| byte == 0));
        value
    }

    fn time(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    fn options(&mut self) -> Vec<(u16, &'a [u8])> {
        let mut options = Vec::new();
        while !self.0.is_empty() {
            let (code, len) = (self.u16(), self.u16());
            let value = self.padded(len.into());
            if code == 0 {
                assert!(len == 0 && self.0.is_empty(), "an end of options is the end");
                return options;
            }
            options.push((code, value));
        }
        options
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8(value.to_vec()).unwrap()
}

/// Reads a whole file of one section; panics if it is none.
pub fn read(bytes: &[u8]) -> File {
    let mut file = File::default();
    let mut rest = Bytes(bytes);
    let mut first = true;
    while !rest.0.is_empty() {
        let (kind, total) = (rest.u32(), rest.u32() as usize);
        assert_eq!(total % 4, 0);
        let mut body = Bytes(rest.take(total - 12));
        assert_eq!(rest.u32() as usize, total, "a block's length is at both its ends");
        assert_eq!(kind == 0x0a0d_0d0a, first, "one section, at the beginning");
        first = false;
        match kind {
            0x0a0d_0d0a => {
                assert_eq!(body.u32(), 0x1a2b_3c4d);
                assert_eq!((body.u16(), body.u16()), (1, 0));
                body.take(8);
                let options = body.options();
                let application = options.iter().find(|(code, _)| *code == 4).unwrap();
                file.application = text(application.1);
            }
            1 => file.interfaces.push(interface(&mut body)),
            6 => {
                let packet = packet(&mut body);
                assert!(packet.interface < file.interfaces.len());
                file.packets.push(packet);
            }
            5 => {
                let place = body.u32() as usize;
                body.time();
                file.statistics.resize(file.interfaces.len(), Statistics::default());
                file.statistics[place] = statistics(&body.options());
                file.told += 1;
            }
            other => panic!("nobody writes blocks of type {other}"),
        }
    }
    file
}

fn interface(body: &mut Bytes<'_>) -> Interface {
    assert_eq!((body.u16(), body.u16()), (1, 0), "Ethernet");
    let snaplen = body.u32();
    let options = body.options();
    let of = |wanted| options.iter().find(|(code, _)| *code == wanted).map(|(_, value)| *value);
    assert_eq!(of(9), Some(&[9][..]), "times are in nanoseconds");
    let filter = of(11).map(|filter| {
        assert_eq!(filter[0], 0);
        text(&filter[1..])
    });
    Interface { name: text(of(2).unwrap()), description: text(of(3).unwrap()), snaplen, filter }
}

fn packet(body: &mut Bytes<'_>) -> Packet {
    let (interface, nanos) = (body.u32() as usize, body.time());
    let (captured, original) = (body.u32() as usize, body.u32() as usize);
    let bytes = body.padded(captured).to_vec();
    let options = body.options();
    let of = |wanted| options.iter().find(|(code, _)| *code == wanted).map(|(_, value)| *value);
    let direction = u32::from_le_bytes(of(2).unwrap().try_into().unwrap());
    Packet { interface, nanos, original, bytes, direction, comment: of(1).map(text) }
}

fn statistics(options: &[(u16, &[u8])]) -> Statistics {
    let of = |wanted: u16| {
        let value = options.iter().find(|(code, _)| *code == wanted).unwrap().1;
        u64::from_le_bytes(value.try_into().unwrap())
    };
    Statistics { ifrecv: of(4), ifdrop: of(5), filteraccept: of(6), usrdeliv: of(8) }
}

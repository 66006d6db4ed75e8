//! The page as widgets. Fits 80 columns and 24 lines, and takes what there is more.

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Cell, Clear, Paragraph, Row, Table},
};
use strowger_packet::DropReason;

use super::state::{PortRow, Sort, Top};
use crate::cli::{
    rates::dropped,
    table::printable,
    units::{bit_rate, count, duration, things},
};

/// The most workers that are shown: the rest of the lines are the ports'.
const MAX_WORKERS: usize = 8;
/// The most lines of drops.
const MAX_DROPS: usize = 5;
/// The characters of a worker's bar.
const BAR: usize = 20;

const KEYS: [(&str, &str); 8] = [
    ("q", "ends the page"),
    ("s S", "sort by the next, by the previous figure"),
    ("r", "the other way round"),
    ("/", "only ports with these letters in their name or bridge; Esc clears"),
    ("p", "pause"),
    ("arrows", "one line down or up; also j and k"),
    ("PgDn PgUp", "one page; Home and End go to the ends"),
    ("?", "this list"),
];

/// Draws all of it.
pub(super) fn draw(top: &mut Top, frame: &mut Frame<'_>) {
    let workers = top.workers().len().min(MAX_WORKERS);
    let drops = top.drops().len().clamp(1, MAX_DROPS);
    let [head, worker_area, port_area, drop_area, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(1 + lines(workers)),
        Constraint::Min(3),
        Constraint::Length(1 + lines(drops)),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(header(top), head);
    frame.render_widget(worker_table(top), worker_area);
    draw_ports(top, frame, port_area);
    frame.render_widget(drop_table(top), drop_area);
    frame.render_widget(footer(top), foot);
    if top.help {
        draw_help(frame);
    }
}

fn lines(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX - 1)
}

fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn warning() -> Style {
    Style::new().fg(Color::Yellow)
}

fn right<'a>(text: impl Into<Span<'a>>) -> Line<'a> {
    Line::from(text.into()).alignment(Alignment::Right)
}

/// The titles of a table.
fn titles<'a>(titles: impl IntoIterator<Item = Line<'a>>) -> Row<'a> {
    let style = Style::new().add_modifier(Modifier::REVERSED);
    Row::new(titles.into_iter().map(Cell::from)).style(style)
}

fn header(top: &Top) -> Paragraph<'_> {
    let mut first = vec![Span::styled("strowger", strong())];
    if let Some(now) = &top.now {
        let status = &now.status;
        let up = status.ports.iter().filter(|port| port.up).count();
        first.push(Span::raw(format!(
            " {} at {}   up for {}   {}, {}, {up} up",
            printable(&status.version),
            top.name,
            duration(status.uptime_seconds),
            things(status.bridges.len(), "bridge", "bridges"),
            things(status.ports.len(), "port", "ports"),
        )));
    }
    let sum = top.sum();
    let flow = |frames: f64, bits: f64| {
        Span::raw(format!("{} frames/s, {}   ", count(frames), bit_rate(bits)))
    };
    let lost = if sum.drops_per_second > 0.0 { warning() } else { Style::new() };
    let second = Line::from(vec![
        Span::styled("rx ", strong()),
        flow(sum.rx_frames_per_second, sum.rx_bits_per_second),
        Span::styled("tx ", strong()),
        flow(sum.tx_frames_per_second, sum.tx_bits_per_second),
        Span::styled("drops ", strong()),
        Span::styled(format!("{}/s", count(sum.drops_per_second)), lost),
    ]);
    Paragraph::new(vec![Line::from(first), second])
}

fn worker_table(top: &Top) -> Table<'_> {
    let rows = top.workers().into_iter().take(MAX_WORKERS).map(|(worker, rate)| {
        let load = rate.map_or(0.0, |rate| rate.load);
        let figure = |figure: Option<f64>, digits: usize| {
            right(figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}")))
        };
        let full = ((load * BAR as f64).round() as usize).min(BAR);
        let bar = "█".repeat(full) + &"·".repeat(BAR - full);
        let colour = if load >= 0.9 { Color::Yellow } else { Color::Green };
        Row::new([
            Cell::from(right(worker.core.to_string())),
            Cell::from(Span::styled(bar, Style::new().fg(colour))),
            Cell::from(right(format!("{:.0} %", load * 100.0))),
            Cell::from(right(count(rate.map_or(0.0, |rate| rate.frames_per_second)))),
            Cell::from(figure(rate.and_then(|rate| rate.nanos_a_frame), 0)),
            Cell::from(figure(rate.and_then(|rate| rate.batch), 1)),
            Cell::from(right(worker.queues.to_string())),
        ])
    });
    let widths = [
        Constraint::Length(6),
        Constraint::Length(BAR as u16),
        Constraint::Length(6),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(6),
        Constraint::Length(7),
    ];
    let header = titles([
        right("WORKER"),
        Line::from("LOAD"),
        right(""),
        right("FRAMES/S"),
        right("NS/FRAME"),
        right("BATCH"),
        right("QUEUES"),
    ]);
    Table::new(rows, widths).header(header)
}

fn draw_ports(top: &mut Top, frame: &mut Frame<'_>, area: Rect) {
    let page = usize::from(area.height.saturating_sub(1));
    top.page = page.max(1);
    top.first = top.first.min(top.ports().len().saturating_sub(page));
    let mark = |title: &str, sort: Sort| {
        let arrow = match top.reversed {
            _ if top.sort != sort => "",
            false => "▼",
            true => "▲",
        };
        format!("{title}{arrow}")
    };
    let header = titles([
        Line::from(mark("PORT", Sort::Name)),
        Line::from("LINK"),
        right(mark("RX/S", Sort::Rx)),
        right(mark("RX", Sort::Traffic)),
        right(mark("TX/S", Sort::Tx)),
        right(mark("TX", Sort::Traffic)),
        right(mark("DROPS/S", Sort::Drops)),
        right("DROPS"),
    ]);
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(4),
        Constraint::Length(7),
        Constraint::Length(11),
        Constraint::Length(7),
        Constraint::Length(11),
        Constraint::Length(8),
        Constraint::Length(9),
    ];
    let rows: Vec<_> = top.ports().into_iter().skip(top.first).take(page).map(port_row).collect();
    frame.render_widget(Table::new(rows, widths).header(header), area);
}

fn port_row((port, rate): PortRow<'_>) -> Row<'static> {
    let rate = rate.unwrap_or_default();
    let link = match (port.up, &port.last_error) {
        (true, _) => Span::styled("up", Style::new().fg(Color::Green)),
        (false, None) => Span::raw("down"),
        (false, Some(_)) => Span::styled("down", Style::new().fg(Color::Red)),
    };
    let lost = if rate.drops_per_second > 0.0 { warning() } else { Style::new() };
    Row::new([
        Cell::from(printable(&port.name)),
        Cell::from(link),
        Cell::from(right(count(rate.rx_frames_per_second))),
        Cell::from(right(bit_rate(rate.rx_bits_per_second))),
        Cell::from(right(count(rate.tx_frames_per_second))),
        Cell::from(right(bit_rate(rate.tx_bits_per_second))),
        Cell::from(right(Span::styled(count(rate.drops_per_second), lost))),
        Cell::from(right(dropped(port).to_string())),
    ])
}

fn drop_table(top: &Top) -> Table<'_> {
    let drops = top.drops();
    let mut rows: Vec<_> = drops
        .iter()
        .take(MAX_DROPS)
        .map(|drop| {
            let rate = drop.rate.unwrap_or(0.0);
            let meaning = DropReason::ALL.iter().find(|reason| reason.name() == drop.reason);
            Row::new([
                Cell::from(printable(drop.reason)),
                Cell::from(printable(drop.port)),
                Cell::from(right(count(rate))),
                Cell::from(right(drop.frames.to_string())),
                Cell::from(meaning.map_or("", |reason| reason.explanation())),
            ])
            .style(if rate > 0.0 { warning() } else { Style::new() })
        })
        .collect();
    if rows.is_empty() {
        rows.push(Row::new(["nothing"]));
    }
    let widths = [
        Constraint::Length(18),
        Constraint::Length(14),
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Fill(1),
    ];
    let header = titles([
        Line::from("DROPPED"),
        Line::from("PORT"),
        right("/S"),
        right("FRAMES"),
        Line::from("WHY"),
    ]);
    Table::new(rows, widths).header(header)
}

fn footer(top: &Top) -> Paragraph<'_> {
    if let Some(trouble) = &top.trouble {
        return Paragraph::new(Span::styled(printable(trouble), Style::new().fg(Color::Red)));
    }
    if top.typing {
        return Paragraph::new(format!("only ports with: {}_", printable(&top.filter)));
    }
    let mut text = format!("q quit  s sort: {}  r reverse  / filter", top.sort.word());
    if !top.filter.is_empty() {
        text += &format!(": {}", printable(&top.filter));
    }
    text += if top.paused { "  p PAUSED" } else { "  p pause" };
    text += &format!("  ? help   every {} s", top.interval.as_secs_f64());
    Paragraph::new(Span::styled(text, Style::new().fg(Color::DarkGray)))
}

fn draw_help(frame: &mut Frame<'_>) {
    let lines: Vec<_> = KEYS
        .iter()
        .map(|(key, what)| {
            Line::from(vec![Span::styled(format!("{key:>10}  "), strong()), Span::raw(*what)])
        })
        .collect();
    let area = frame.area();
    let (width, height) = (area.width.min(80), area.height.min(KEYS.len() as u16 + 2));
    let area = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), area);
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::super::state::tests::{page, press};
    use super::*;
    use crate::control::Port;

    /// What a terminal of that size shows, line by line.
    fn shown(top: &mut Top, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(top, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| {
            let line: String = (0..width).map(|x| buffer.cell((x, y)).unwrap().symbol()).collect();
            line.trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }

    #[test]
    fn everything_is_there_on_an_old_terminal() {
        let lines = shown(&mut page(), 80, 24);
        let words: Vec<String> = lines
            .iter()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        for line in [
            "strowger 1.2 at /run/strowger up for 1 min 1 s 1 bridge, 3 ports, 3 up",
            "rx 1.51 k frames/s, 1.21 Mbit/s tx 2.01 k frames/s, 16.1 Mbit/s drops 20/s",
            "WORKER LOAD FRAMES/S NS/FRAME BATCH QUEUES",
            "1 █████··············· 25 % 2.50 M 100 10.0 3",
            "PORT LINK RX/S RX▼ TX/S TX▼ DROPS/S DROPS",
            "vm2 up 10 8.00 kbit/s 2.00 k 16.0 Mbit/s 20 25",
            "vm1 up 1.50 k 1.20 Mbit/s 10 80.0 kbit/s 0 0",
            "eth0 up 0 0 bit/s 0 0 bit/s 0 900",
            "DROPPED PORT /S FRAMES WHY",
        ] {
            assert!(words.iter().any(|shown| shown == line), "{line}\n{}", lines.join("\n"));
        }
        assert!(words.iter().any(|line| line.starts_with("queue_full vm2 20 25 ")));
        assert!(lines[23].starts_with("q quit  s sort: traffic"), "{}", lines.join("\n"));
    }

    #[test]
    fn more_ports_than_lines_are_scrolled_to() {
        let mut top = page();
        let status = &mut top.now.as_mut().unwrap().status;
        let one = Port { drops: [].into(), ..status.ports[0].clone() };
        status.ports =
            (0..1000).map(|number| Port { name: format!("p{number:03}"), ..one.clone() }).collect();
        press(&mut top, "ssss");
        let ports = |lines: &[String]| -> Vec<String> {
            lines.iter().filter(|line| line.starts_with('p')).map(|l| l[..4].to_owned()).collect()
        };
        let first = ports(&shown(&mut top, 80, 24));
        assert_eq!(first[0], "p000");
        press(&mut top, "j");
        assert_eq!(ports(&shown(&mut top, 80, 24))[0], "p001");
        top.first = usize::MAX;
        let last = ports(&shown(&mut top, 80, 24));
        assert_eq!((last.len(), last.last().unwrap().as_str()), (first.len(), "p999"));
        // A larger terminal shows more of the end.
        assert!(ports(&shown(&mut top, 120, 50)).len() > last.len());
    }

    #[test]
    fn help_trouble_filter_and_pause_are_seen() {
        let mut top = page();
        press(&mut top, "?");
        assert!(shown(&mut top, 80, 24).join("\n").contains("the other way round"));
        press(&mut top, "?/vm");
        assert_eq!(shown(&mut top, 80, 24)[23], "only ports with: vm_");
        press(&mut top, "\np");
        let foot = shown(&mut top, 80, 24)[23].clone();
        assert!(foot.contains("/ filter: vm") && foot.contains("PAUSED"), "{foot}");
        press(&mut top, "p");
        top.sample(Err("no switch runs at /run".into()));
        assert_eq!(shown(&mut top, 80, 24)[23], "no switch runs at /run");
    }

    #[test]
    fn no_size_breaks_it() {
        for (width, height) in [(1, 1), (3, 2), (10, 5), (80, 3), (20, 60), (300, 100)] {
            let mut top = page();
            shown(&mut top, width, height);
            press(&mut top, "?");
            shown(&mut top, width, height);
            shown(&mut Top::new("x".into(), top.interval), width, height);
        }
    }
}

//! Tables for people: columns two spaces apart that fit the terminal.
//!
//! Numbers and words are never broken: half a number is another number. Text is wrapped. Where even that is too wide,
//! the columns that matter least are left out, and a line below says which. Without a terminal nothing is wrapped and
//! nothing is left out, so that programs find each row on one line.

use comfy_table::{
    Attribute, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width, presets,
};

use super::screen::Look;

/// The least width of a column of text, in characters: less is a ladder of syllables.
const LEAST_TEXT: usize = 16;
/// Spaces between columns.
const GAP: usize = 2;

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// To the right, whole.
    Number,
    /// To the left, whole.
    Word,
    /// To the left, wrapped between words.
    Text,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    content: Content,
    /// The highest is left out first; 0 stays.
    rank: u8,
}

impl Column {
    pub(super) const fn number(title: &'static str) -> Self {
        Self { title, content: Content::Number, rank: 0 }
    }

    pub(super) const fn word(title: &'static str) -> Self {
        Self { title, content: Content::Word, rank: 0 }
    }

    pub(super) const fn text(title: &'static str) -> Self {
        Self { title, content: Content::Text, rank: 0 }
    }

    /// Left out where there is no room for all, before those of lower ranks.
    pub(super) const fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }
}

/// How a cell is coloured, where there are colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it comes.
    #[default]
    Plain,
    /// As it should be: green.
    Good,
    /// Worth a look: yellow.
    Odd,
    /// Broken: red.
    Bad,
    /// Of little weight: grey.
    Weak,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell whose control characters are shown as escapes: what a table shows may have come from a guest, and a
    /// terminal obeys what it is sent.
    pub(super) fn new(text: &str, tone: Tone) -> Self {
        Self { text: printable(text), tone }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(&text.to_string(), Tone::Plain)
    }
}

/// The text with control characters as escapes.
pub(super) fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let shown = |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// A frame count that should be 0.
pub(super) fn lost(frames: u64) -> Cell {
    Cell::new(&frames.to_string(), if frames == 0 { Tone::Plain } else { Tone::Odd })
}

/// Rows below titles.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Sheet {
    pub(super) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, one cell a column.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// The lines of the table, each with its newline.
    pub(super) fn render(&self, look: &Look) -> String {
        let natural = self.widths(|column| column.title.chars().count());
        let fits = |widths: &[usize], width: usize| {
            widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1) <= width
        };
        let Some(width) = look.width.map(usize::from).filter(|&width| !fits(&natural, width))
        else {
            return self.draw(look, &natural, &(0..self.columns.len()).collect::<Vec<_>>());
        };
        let mut least = self.widths(|column| longest_word(column.title));
        for (least, column) in least.iter_mut().zip(&self.columns) {
            if column.content == Content::Text {
                *least = (*least).min(LEAST_TEXT.max(longest_word(column.title)));
            }
        }
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let mut left_out = Vec::new();
        loop {
            let widths: Vec<_> = shown.iter().filter_map(|&at| least.get(at).copied()).collect();
            if fits(&widths, width) {
                break;
            }
            // Columns of one rank say something together, and go together.
            let rank = |at: usize| self.columns.get(at).map_or(0, |column| column.rank);
            let highest = shown.iter().map(|&at| rank(at)).max().unwrap_or(0);
            if highest == 0 {
                break;
            }
            left_out.extend(shown.extract_if(.., |at| rank(*at) == highest));
        }
        let mut text = self.draw(look, &least, &shown);
        if !left_out.is_empty() {
            left_out.sort_unstable();
            let titles: Vec<_> =
                left_out.iter().filter_map(|&at| Some(self.columns.get(at)?.title)).collect();
            let note =
                format!("(no room for {}: see a wider terminal, or -o json)", titles.join(", "));
            for line in wrapped(&note, width) {
                text += &look.paint(&line, Tone::Weak);
                text.push('\n');
            }
        }
        text
    }

    /// The width of each column: its widest cell, or what its title needs.
    fn widths(&self, title: impl Fn(&Column) -> usize) -> Vec<usize> {
        self.columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let cells = self.rows.iter().filter_map(|row| row.get(at)).map(Cell::width);
                cells.max().unwrap_or(0).max(title(column))
            })
            .collect()
    }

    fn draw(&self, look: &Look, widths: &[usize], shown: &[usize]) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).force_no_tty();
        if look.colour {
            table.enforce_styling();
        }
        match look.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        table.set_header(shown.iter().filter_map(|&at| self.columns.get(at)).map(|column| {
            let title = comfy_table::Cell::new(column.title);
            if look.colour { title.add_attribute(Attribute::Bold) } else { title }
        }));
        for row in &self.rows {
            table.add_row(
                shown.iter().filter_map(|&at| row.get(at)).map(|cell| painted(cell, look.colour)),
            );
        }
        for (place, &at) in shown.iter().enumerate() {
            let (Some(drawn), Some(column)) = (table.column_mut(place), self.columns.get(at))
            else {
                continue;
            };
            let gap = if place + 1 == shown.len() { 0 } else { GAP as u16 };
            drawn.set_padding((0, gap));
            if column.content == Content::Number {
                drawn.set_cell_alignment(CellAlignment::Right);
            }
            let Some(&width) = widths.get(at) else { continue };
            let width = Width::Fixed(u16::try_from(width).unwrap_or(u16::MAX).saturating_add(gap));
            drawn.set_constraint(match column.content {
                Content::Text => ColumnConstraint::LowerBoundary(width),
                Content::Number | Content::Word => ColumnConstraint::Absolute(width),
            });
        }
        table.trim_fmt() + "\n"
    }
}

fn painted(cell: &Cell, colour: bool) -> comfy_table::Cell {
    let drawn = comfy_table::Cell::new(&cell.text);
    let colour = match cell.tone {
        _ if !colour => return drawn,
        Tone::Plain => return drawn,
        Tone::Good => Color::Green,
        Tone::Odd => Color::Yellow,
        Tone::Bad => Color::Red,
        Tone::Weak => Color::DarkGrey,
    };
    drawn.fg(colour)
}

fn longest_word(text: &str) -> usize {
    text.split(' ').map(|word| word.chars().count()).max().unwrap_or(0)
}

/// A text in lines of at most that many characters, broken between words where that can be.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 5] = [
        Column::word("PORT"),
        Column::number("RX FRAMES"),
        Column::number("RX BYTES").rank(2),
        Column::number("QUEUES").rank(1),
        Column::text("EXPLANATION"),
    ];

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new(&COLUMNS);
        sheet.row(vec![
            "vm1".into(),
            12_345_678_901_u64.into(),
            987_654_321_098_u64.into(),
            8.into(),
            "the receiver had no free buffers, or its socket was full".into(),
        ]);
        sheet.row(vec!["a-longer-name".into(), 1.into(), 2.into(), 3.into(), "short".into()]);
        sheet
    }

    #[test]
    fn without_a_terminal_each_row_is_one_whole_line() {
        let text = sheet().render(&Look::plain());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "PORT             RX FRAMES      RX BYTES  QUEUES  EXPLANATION",
                "vm1            12345678901  987654321098       8  the receiver had no free buffers, or its socket was full",
                "a-longer-name            1             2       3  short",
            ]
        );
    }

    #[test]
    fn on_a_terminal_text_is_wrapped_and_numbers_are_not() {
        let text = sheet().render(&Look { width: Some(80), ..Look::plain() });
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("12345678901  987654321098"), "{text}");
        assert!(!text.contains("no room"), "{text}");
        assert!(text.lines().count() > 3, "{text}");
    }

    #[test]
    fn where_there_is_no_room_the_least_columns_go_and_are_named() {
        let text = sheet().render(&Look { width: Some(55), ..Look::plain() });
        assert!(text.lines().all(|line| line.chars().count() <= 55), "{text}");
        assert!(text.contains("12345678901") && !text.contains("987654321098"), "{text}");
        assert!(text.contains("(no room for RX BYTES: see"), "{text}");
        let text = sheet().render(&Look { width: Some(46), ..Look::plain() });
        assert!(text.contains("(no room for RX BYTES, QUEUES:"), "{text}");
        // Less than the least: lines overflow, numbers stay whole.
        let text = sheet().render(&Look { width: Some(10), ..Look::plain() });
        assert!(text.contains("12345678901"), "{text}");
    }

    #[test]
    fn colours_only_where_asked_for_and_no_escapes_from_outside() {
        let mut sheet = Sheet::new(&[Column::word("LINK"), Column::text("WHY")]);
        sheet.row(vec![Cell::new("up", Tone::Good), "a\x1b[2Jb\nc".into()]);
        let plain = sheet.render(&Look::plain());
        assert!(!plain.contains('\x1b') && plain.contains("a\\u{1b}[2Jb\\nc"), "{plain}");
        let coloured = sheet.render(&Look { colour: true, ..Look::plain() });
        assert!(coloured.contains("\x1b["), "{coloured}");
        assert!(!coloured.contains("\x1b[2J"), "{coloured}");
    }

    proptest::proptest! {
        #![proptest_config(crate::properties::config())]
        /// Whatever is in it and however narrow the terminal: every number is on a line, whole.
        #[test]
        fn numbers_are_never_broken(
            rows in proptest::collection::vec((0_u64.., 0_u64.., "[a-z ]{0,60}"), 0..6),
            width in 1_u16..200,
        ) {
            let columns = [Column::number("A B"), Column::number("C").rank(1), Column::text("D E")];
            let mut sheet = Sheet::new(&columns);
            for (a, c, d) in &rows {
                sheet.row(vec![a.into(), c.into(), d.into()]);
            }
            let text = sheet.render(&Look { width: Some(width), ..Look::plain() });
            for (a, c, _) in &rows {
                proptest::prop_assert!(text.contains(&a.to_string()), "{}", text);
                proptest::prop_assert!(
                    text.contains("(no room for C:") || text.contains("room") || text.contains(&c.to_string()),
                    "{}", text
                );
            }
        }
    }
}

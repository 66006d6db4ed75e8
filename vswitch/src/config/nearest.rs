//! Which of the words that there are somebody may have meant.

/// Words longer than this are not compared: nobody mistypes one of ours into one of them.
const LONGEST: usize = 64;
/// The most known words that are looked at, so that a wrong name among very many costs little.
const MOST: usize = 4096;

/// The known word that is nearest to what was written, if any is near: a third of its letters wrong at most.
pub(super) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if written.len() > LONGEST {
        return None;
    }
    let (distance, word) = known
        .into_iter()
        .take(MOST)
        .filter(|word| word.len() <= LONGEST && word.len().abs_diff(written.len()) <= allowed(word))
        .map(|word| (distance(written, word), word))
        .min_by_key(|&(distance, _)| distance)?;
    (distance <= allowed(word)).then_some(word)
}

/// How many letters of a word may be wrong.
fn allowed(word: &str) -> usize {
    (word.len() / 3).max(1)
}

/// `; did you mean 'tag'?`, or nothing.
pub(super) fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(written, known).map_or_else(String::new, |word| format!("; did you mean '{word}'?"))
}

/// Letters to add, take away, change or swap with their neighbours (Damerau's distance, each letter moved once),
/// with `_` as good as `-` and capitals as good as small letters.
fn distance(one: &str, other: &str) -> usize {
    let letters = |word: &str| {
        word.bytes()
            .map(|byte| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() })
            .collect::<Vec<_>>()
    };
    let (one, other) = (letters(one), letters(other));
    let width = other.len() + 1;
    let mut before = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    for (row, &letter) in one.iter().enumerate() {
        let mut next = vec![row + 1; width];
        for (column, &wanted) in other.iter().enumerate() {
            let mut best = (last[column] + usize::from(letter != wanted))
                .min(last[column + 1] + 1)
                .min(next[column] + 1);
            let swapped =
                row > 0 && column > 0 && one[row - 1] == wanted && other[column - 1] == letter;
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            next[column + 1] = best;
        }
        before = std::mem::replace(&mut last, next);
    }
    last[width - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        let known = ["tag", "trunks", "ingress-rate", "dot1q-tunnel"];
        for (written, meant) in [
            ("tga", Some("tag")),
            ("tags", Some("tag")),
            ("trunk", Some("trunks")),
            ("ingress_rate", Some("ingress-rate")),
            ("Ingress-Rate", Some("ingress-rate")),
            ("dot1qtunnel", Some("dot1q-tunnel")),
            ("rate", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
        assert_eq!(nearest(&"x".repeat(1000), known), None);
        assert_eq!(did_you_mean("tga", known), "; did you mean 'tag'?");
        assert_eq!(did_you_mean("colour", known), "");
    }

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}

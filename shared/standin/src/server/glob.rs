/// Whether `text` is what `pattern` describes: `*` any run without a slash, `**` any run, `?` any one character.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // reached[i]: the pattern read so far matches the first i characters.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            '*' => {
                let crosses = pattern.get(at + 1) == Some(&'*');
                at += usize::from(crosses);
                for i in 0..text.len() {
                    reached[i + 1] |= reached[i] && (crosses || text[i] != '/');
                }
            }
            wanted => {
                for i in (0..text.len()).rev() {
                    reached[i + 1] = reached[i] && (wanted == '?' || wanted == text[i]);
                }
                reached[0] = false;
            }
        }
        at += 1;
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn one_star_stays_in_its_folder_and_two_do_not() {
        let key = "data/spot/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01-17.zip";

        assert!(matches("**/BTCUSDT-1h-*.zip", key));
        assert!(matches("data/spot/*/klines/*/1h/*", key));
        assert!(matches("**", key));
        assert!(!matches("data/*.zip", key));
        assert!(!matches("**.CHECKSUM", key));
        assert!(!matches("", key));
    }

    #[test]
    fn listings_match_by_their_prefix() {
        assert!(matches(
            "?prefix=**/klines/**",
            "?prefix=data/spot/daily/klines/BTCUSDT/"
        ));
    }
}

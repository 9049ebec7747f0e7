//! What a name that means nothing was probably meant to be.

/// What the variables of this program begin with.
pub(super) const PREFIX: &str = "SLIPSTREAM_";

/// A name that is more than so many times as long as another is not near it.
const MOST_TIMES: usize = 2;

/// How a message goes on after saying that there is no such thing.
pub(super) fn hint(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; the nearest is {near}"))
}

/// The candidate that was probably meant, if any was; of equals the first. Only what is near counts: at most a third of
/// the letters differ, or one begins with the whole of the other and is at most twice as long.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = bare(name);
    let length = name.chars().count();
    let near = |candidate: &'a str| {
        let bare = bare(candidate);
        // So long a name would only cost: the comparison takes memory for each pair of letters.
        if length > MOST_TIMES * bare.len() {
            return None;
        }
        let edits = strsim::damerau_levenshtein(&name, &bare);
        let [shorter, longer] = if bare.len() < name.len() { [&bare, &name] } else { [&name, &bare] };
        let begins = longer.strip_prefix(shorter.as_str()).is_some_and(|rest| rest.starts_with('_'));
        (edits <= length / 3 || begins && longer.len() <= MOST_TIMES * shorter.len()).then_some((edits, candidate))
    };
    candidates.into_iter().filter_map(near).min_by_key(|(edits, _)| *edits).map(|(_, candidate)| candidate)
}

/// A name as it is compared: without the prefix, in small letters, with `_` between its words.
pub(super) fn bare(name: &str) -> String {
    let mut bare = String::with_capacity(name.len());
    let mut within_word = false;
    for character in name.strip_prefix(PREFIX).unwrap_or(name).chars() {
        if within_word && character.is_ascii_uppercase() {
            bare.push('_');
        }
        within_word = character.is_ascii_lowercase();
        bare.push(if character == '-' { '_' } else { character.to_ascii_lowercase() });
    }
    bare.strip_prefix("slipstream_").map(str::to_owned).unwrap_or(bare)
}

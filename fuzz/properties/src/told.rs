//! What an error may say: it is short, on one line, and repeats no secret.

/// Asserts that a text that people read is at most `most` bytes long and has no control characters.
#[track_caller]
pub(crate) fn assert_short(text: &str, most: usize) {
    assert!(text.len() <= most, "{} bytes are told, expected at most {most}: {text:?}", text.len());
    assert!(!text.contains(char::is_control), "control characters are told: {text:?}");
}

/// The shortest part of a secret whose repetition is no chance.
const LEAST: usize = 12;

/// Asserts that `told` does not repeat the beginning of one of these secrets. One that stands in `elsewhere` too is none.
#[track_caller]
pub(crate) fn assert_no_secret<'a>(told: &str, secrets: impl IntoIterator<Item = &'a str>, elsewhere: &str) {
    for secret in secrets {
        // What is told of a text is mostly its beginning; with escapes in it, it would be told otherwise.
        let Some(start) = secret.get(..LEAST).filter(|start| start.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        else {
            continue;
        };
        let is_random =
            start.bytes().any(|byte| byte.is_ascii_digit()) && start.bytes().any(|byte| byte.is_ascii_lowercase());
        if is_random && !elsewhere.contains(start) {
            assert!(!told.contains(start), "a secret is told: {start:?} in {told:?}");
        }
    }
}

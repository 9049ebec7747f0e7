//! The head of a request or of an answer.

/// Splits the head of what begins with one from what is behind it, if all of it is there. As hyper does it: empty lines
/// before the head are its own, and a line may end without a carriage return.
pub(crate) fn split(script: &[u8]) -> Option<(&[u8], &[u8])> {
    let begin = script.iter().position(|byte| !b"\r\n".contains(byte))?;
    let ends = (begin..script.len()).filter(|&at| script[at] == b'\n');
    ends.map(|at| at + 1).find_map(|at| {
        let rest = &script[at..];
        let end = if rest.starts_with(b"\r\n") { 2 } else { usize::from(rest.starts_with(b"\n")) };
        (end > 0).then(|| script.split_at(at + end))
    })
}

//! Neighbours that are alike, so that what is done for each of them is done once.

/// Counts neighbours that are alike.
#[derive(Debug)]
pub(in crate::relay) struct Runs<T>(Option<(T, usize)>);

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> Runs<T> {
    /// The next one has come. Calls `ended` with the run before it and its length, if it begins a new one.
    pub(in crate::relay) fn next(&mut self, item: T, ended: impl FnOnce(T, usize)) {
        match &mut self.0 {
            Some((same, count)) if *same == item => *count += 1,
            other => {
                if let Some((item, count)) = other.replace((item, 1)) {
                    ended(item, count);
                }
            }
        }
    }

    /// No more come.
    pub(in crate::relay) fn end(self, ended: impl FnOnce(T, usize)) {
        if let Some((item, count)) = self.0 {
            ended(item, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_is_told_once_with_its_length() {
        let mut told = Vec::new();
        let mut runs = Runs::default();
        for item in ["a", "a", "b", "a", "a", "a"] {
            runs.next(item, |item, count| told.push((item, count)));
        }
        runs.end(|item, count| told.push((item, count)));
        assert_eq!(told, [("a", 2), ("b", 1), ("a", 3)]);
        Runs::<u8>::default().end(|_, _| panic!("there was none"));
    }
}

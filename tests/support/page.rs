//! Tables of the documentation that tests go by.

/// The rows of the table of `page` whose head begins like this, each as its cells.
pub fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let (_, table) = page.split_once(head).unwrap_or_else(|| panic!("no table of the page begins with {head}"));
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What stands as code in a cell.
pub fn codes(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

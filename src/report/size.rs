//! How sizes read.

/// Bytes as `1.2 MB` (10^6), `12.3 kB` or `12 B`.
pub fn megabytes(bytes: u64) -> String {
    let tenths = |unit: u64| (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    if bytes < 100_000 {
        let kilo = tenths(1_000);
        return format!("{}.{} kB", kilo / 10, kilo % 10);
    }
    let mega = tenths(1_000_000);
    format!("{}.{} MB", mega / 10, mega % 10)
}

/// `1 file`, `2 files`.
pub fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

fn largest(values: &[i32]) -> Option<i32> {
    let mut best = None;
    for &value in values {
        if best.map_or(true, |b| value > b) {
            best = Some(value);
        }
    }
    best
}

fn main() {
    std::process::exit(largest(&[1, 2, 3]).unwrap());
}

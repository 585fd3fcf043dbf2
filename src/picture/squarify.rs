//! Rectangles of given areas, as near to squares as they get (Bruls, Huizing, van Wijk: Squarified Treemaps).

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rectangle {
    /// Its left side.
    pub x: f64,
    /// Its upper side.
    pub y: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

/// Divides a rectangle among weights, which are in descending order: one rectangle for each.
pub fn squarify(weights: &[f64], within: Rectangle) -> Vec<Rectangle> {
    let total: f64 = weights.iter().sum();
    let mut rectangles = Vec::with_capacity(weights.len());
    if total <= 0.0 {
        return vec![Rectangle { width: 0.0, height: 0.0, ..within }; weights.len()];
    }
    let scale = within.width * within.height / total;
    let (mut rest, mut start) = (within, 0);
    while start < weights.len() {
        let side = rest.width.min(rest.height);
        let mut end = start + 1;
        let mut sum = weights[start] * scale;
        // A row grows while its worst rectangle gets no longer.
        while let Some(next) = weights.get(end) {
            let with = sum + next * scale;
            let largest = weights[start] * scale;
            if worst(largest, next * scale, with, side) > worst(largest, weights[end - 1] * scale, sum, side) {
                break;
            }
            sum = with;
            end += 1;
        }
        let thickness = if side > 0.0 { sum / side } else { 0.0 };
        let mut along = 0.0;
        for weight in &weights[start..end] {
            let length = if thickness > 0.0 { weight * scale / thickness } else { 0.0 };
            rectangles.push(if rest.width >= rest.height {
                Rectangle { x: rest.x, y: rest.y + along, width: thickness, height: length }
            } else {
                Rectangle { x: rest.x + along, y: rest.y, width: length, height: thickness }
            });
            along += length;
        }
        if rest.width >= rest.height {
            (rest.x, rest.width) = (rest.x + thickness, (rest.width - thickness).max(0.0));
        } else {
            (rest.y, rest.height) = (rest.y + thickness, (rest.height - thickness).max(0.0));
        }
        start = end;
    }
    rectangles
}

/// The worst ratio of sides in a row with a largest, a smallest and a total area along a side.
fn worst(largest: f64, smallest: f64, sum: f64, side: f64) -> f64 {
    let (square, sum) = (side * side, sum * sum);
    if smallest <= 0.0 || square <= 0.0 {
        return f64::INFINITY;
    }
    (square * largest / sum).max(sum / (square * smallest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_areas_are_the_weights_and_nothing_overlaps() {
        let within = Rectangle { x: 10.0, y: 20.0, width: 600.0, height: 400.0 };
        let weights = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0, 0.0];
        let all = squarify(&weights, within);
        assert_eq!(all.len(), weights.len());
        let scale = 600.0 * 400.0 / 24.0;
        for (rectangle, weight) in all.iter().zip(weights) {
            assert!((rectangle.width * rectangle.height - weight * scale).abs() < 1e-6, "{rectangle:?}");
            assert!(rectangle.x >= 10.0 && rectangle.x + rectangle.width <= 610.0 + 1e-6);
            assert!(rectangle.y >= 20.0 && rectangle.y + rectangle.height <= 420.0 + 1e-6);
        }
        let covered: f64 = all.iter().map(|it| it.width * it.height).sum();
        assert!((covered - 240_000.0).abs() < 1e-6);
        // The paper's own example begins with two rectangles of 6 in a column of half the width.
        assert!((all[0].width - 300.0).abs() < 1e-6 && (all[0].height - 200.0).abs() < 1e-6, "{:?}", all[0]);
    }

    #[test]
    fn nothing_is_divided_into_nothing() {
        let within = Rectangle { x: 0.0, y: 0.0, width: 10.0, height: 10.0 };
        assert_eq!(squarify(&[], within), []);
        assert!(squarify(&[0.0, 0.0], within).iter().all(|it| it.width == 0.0));
        let line = Rectangle { height: 0.0, ..within };
        assert!(squarify(&[1.0, 1.0], line).iter().all(|it| it.height == 0.0));
    }
}

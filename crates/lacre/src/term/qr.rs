//! QR codes drawn with half blocks, two modules per character, for the kit sheets.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// The light border a reader needs around the code, modules.
const QUIET_ZONE: i32 = 2;

/// Draws text as a QR code, or nothing when it is too long for one (about 2,300 bytes).
///
/// Dark modules are drawn as spaces and light ones as full blocks, because most terminals are dark; the quiet zone makes it readable
/// on light ones too.
pub fn draw(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut drawing = String::new();
    let (first, end) = (-QUIET_ZONE, code.size() + QUIET_ZONE);
    let mut y = first;
    while y < end {
        for x in first..end {
            let light = |row: i32| row < end && !code.get_module(x, row);
            drawing.push(match (light(y), light(y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        writeln!(drawing).expect("writing to a string cannot fail");
        y += 2;
    }
    Some(drawing)
}

#[cfg(test)]
mod tests {
    use qrcodegen::{QrCode, QrCodeEcc};

    use super::{QUIET_ZONE, draw};

    /// Reads a drawing back into rows of dark modules.
    fn modules(drawing: &str) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in drawing.lines() {
            rows.push(line.chars().map(|half| matches!(half, ' ' | '▄')).collect());
            rows.push(line.chars().map(|half| matches!(half, ' ' | '▀')).collect());
        }
        rows
    }

    #[test]
    fn the_drawing_holds_exactly_the_modules() {
        let text = "LACRE-KIT-1 abandon ability able";
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).unwrap();
        let rows = modules(&draw(text).unwrap());
        let side = usize::try_from(QUIET_ZONE).unwrap();
        for y in 0..code.size() {
            for x in 0..code.size() {
                let (row, column) = (usize::try_from(y).unwrap() + side, usize::try_from(x).unwrap() + side);
                assert_eq!(rows[row][column], code.get_module(x, y), "module {x},{y}");
            }
        }
        assert!(rows[0].iter().all(|dark| !dark));
    }

    #[test]
    fn too_long_a_text_gives_nothing() {
        assert_eq!(draw(&"x".repeat(3000)), None);
    }
}

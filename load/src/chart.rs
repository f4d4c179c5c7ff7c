//! The chart: for each scenario, what an operation costs each server, as a multiple of what it costs the baseline. SVG 1.1, by hand.

use std::fmt::Write;

use crate::server::Kind;
use crate::suite::{Results, Summary};

const WIDTH: f64 = 860.0;
/// Where bars begin, and how long the longest may be.
const LEFT: f64 = 130.0;
const LONGEST: f64 = 520.0;
const BAR: f64 = 18.0;
const GAP: f64 = 6.0;
const TITLE: f64 = 34.0;

/// All scenarios that have a baseline.
pub(crate) fn svg(results: &Results) -> String {
    let mut groups: Vec<(&str, Vec<&Summary>)> = Vec::new();
    for summary in results.results.iter().filter(|summary| summary.ratio.is_some()) {
        match groups.iter_mut().find(|(scenario, _)| *scenario == summary.row.scenario) {
            Some((_, bars)) => bars.push(summary),
            None => groups.push((&summary.row.scenario, vec![summary])),
        }
    }
    let mut body = String::new();
    let mut y = 30.0;
    text(&mut body, 16.0, y, "font-weight=\"bold\"", "Processor time per operation, as a multiple of the baseline's (shorter is better)");
    for (scenario, bars) in groups {
        y += TITLE;
        text(&mut body, 16.0, y, "font-weight=\"bold\" font-size=\"13\"", scenario);
        y += 10.0;
        let most = bars.iter().filter_map(|bar| bar.ratio).fold(1.0, f64::max);
        for bar in bars {
            let ratio = bar.ratio.unwrap_or(0.0);
            let width = (LONGEST * ratio / most).max(1.0);
            let color = match bar.row.server {
                Kind::Weir => "#1f6feb",
                server if Some(server) == bar.baseline => "#8c959f",
                _ => "#d0a215",
            };
            text(&mut body, LEFT - 8.0, y + BAR - 5.0, "text-anchor=\"end\"", &bar.row.server.name());
            rectangle(&mut body, y, width, color);
            let label = format!("{ratio:.2}×, {} each", micros(bar.row.cpu_us));
            text(&mut body, LEFT + width + 8.0, y + BAR - 5.0, "", &label);
            y += BAR + GAP;
        }
    }
    y += 20.0;
    let machine = &results.machine;
    let on = format!(
        "{} processors of {}, Linux {}; medians of {} rounds of {} s",
        machine.processors, machine.processor, machine.kernel, results.rounds, results.seconds
    );
    text(&mut body, 16.0, y, "fill=\"#57606a\" font-size=\"11\"", &on);
    let height = y + 16.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#1f2328\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

fn rectangle(out: &mut String, y: f64, width: f64, color: &str) {
    let _ = writeln!(out, "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{color}\"/>");
}

fn text(out: &mut String, x: f64, y: f64, attributes: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>");
}

/// Microseconds with three digits that count.
pub(crate) fn micros(micros: f64) -> String {
    let digits = if micros < 1.0 { 3 } else { usize::from(micros < 100.0) + usize::from(micros < 10.0) };
    format!("{micros:.digits$} µs")
}

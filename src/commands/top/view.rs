//! How a look is drawn.

use std::collections::BTreeMap;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Sparkline, Table};

use super::{Look, Session, Shown};
use crate::json::visible;

/// From this width on, groups stand beside clients.
const WIDE: u16 = 130;

pub(super) fn draw(frame: &mut Frame<'_>, shown: &Shown) {
    draw_coloured(frame, shown);
    if shown.is_plain {
        for cell in &mut frame.buffer_mut().content {
            (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
        }
    }
}

fn draw_coloured(frame: &mut Frame<'_>, shown: &Shown) {
    let [head, rates, body, foot] =
        Layout::vertical([Constraint::Length(4), Constraint::Length(5), Constraint::Min(4), Constraint::Length(1)]).areas(frame.area());
    let Some(look) = &shown.look else { return };
    frame.render_widget(Paragraph::new(heading(look, shown)), head);
    draw_rates(frame, rates, shown);
    if body.width >= WIDE {
        let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(body);
        draw_clients(frame, left, look, shown.scroll);
        draw_groups(frame, right, look);
    } else {
        let [top, bottom] = Layout::vertical([Constraint::Fill(3), Constraint::Fill(2)]).areas(body);
        draw_clients(frame, top, look, shown.scroll);
        draw_groups(frame, bottom, look);
    }
    frame.render_widget(Paragraph::new("q quit   p pause   j k scroll".dim()), foot);
}

fn heading(look: &Look, shown: &Shown) -> Vec<Line<'static>> {
    let overview = &look.overview;
    let up = Duration::from_millis(overview.now.saturating_sub(overview.started_at));
    let state = match (&shown.trouble, &overview.reasons[..], shown.paused) {
        (Some(trouble), ..) => Span::from(format!("away: {trouble}")).red(),
        (None, [], true) => Span::from("paused").yellow(),
        (None, [], false) => Span::from("ready").green(),
        (None, reasons, _) => Span::from(format!("not ready: {}", visible(&reasons.join("; ")))).red(),
    };
    let (gauges, totals) = (&overview.gauges, &overview.totals);
    vec![
        Line::from(vec![Span::from(format!("weir {}  up {}  ", overview.version, ago(up))).bold(), state]),
        Line::from(format!("store {}", visible(&overview.store))).dim(),
        Line::from(format!(
            "{} clients, {} subscriptions, {} workers, {} functions, {} triggers, {}",
            gauges.connections,
            gauges.subscriptions,
            gauges.workers,
            gauges.functions,
            gauges.triggers,
            bytes(gauges.resident_bytes)
        )),
        Line::from(format!(
            "{} sent, {} joins, {} resyncs, {} evictions, {} failed calls, {} limits hit",
            bytes(totals.delivered_bytes),
            totals.joins,
            totals.resyncs,
            totals.evictions,
            totals.invocations_failed,
            totals.limits_hit
        )),
    ]
}

fn draw_rates(frame: &mut Frame<'_>, area: Rect, shown: &Shown) {
    let places: [Rect; 3] = Layout::horizontal([Constraint::Fill(1); 3]).areas(area);
    let names = [("changes", Color::Blue), ("deliveries", Color::Green), ("calls", Color::Magenta)];
    for ((place, (name, color)), rates) in places.into_iter().zip(names).zip(&shown.rates) {
        let block = Block::bordered().title(format!(" {} {name}/s ", count(rates.back().copied().unwrap_or_default())));
        // The newest at the right edge.
        let width = usize::from(place.width.saturating_sub(2));
        let recent = rates.iter().skip(rates.len().saturating_sub(width));
        let data: Vec<u64> = std::iter::repeat_n(0, width.saturating_sub(rates.len())).chain(recent.copied()).collect();
        frame.render_widget(Sparkline::default().block(block).data(data).style(Style::new().fg(color)), place);
    }
}

fn draw_clients(frame: &mut Frame<'_>, area: Rect, look: &Look, scroll: usize) {
    let sessions = &look.sessions;
    let row = |session: &Session| {
        let watched = match &session.subscriptions[..] {
            [] => String::new(),
            [one, rest @ ..] => {
                let more = if rest.is_empty() { String::new() } else { format!(" +{}", session.subscribed.saturating_sub(1)) };
                format!("{} › {}{more}", visible(&one.stream), visible(&one.group))
            }
        };
        Row::new([
            Cell::from(session.id.to_string()),
            Cell::from(session.address.clone().unwrap_or_default()),
            Cell::from(Line::from(bytes(session.queued_bytes)).right_aligned()),
            Cell::from(Line::from(session.resyncs.to_string()).right_aligned()),
            Cell::from(Line::from(ago(Duration::from_millis(session.silent_ms))).right_aligned()),
            Cell::from(watched),
        ])
        // Seen without colours too.
        .style(if session.lagging { Style::new().red().bold() } else { Style::new() })
    };
    let widths = [
        Constraint::Length(7),
        Constraint::Length(21),
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Fill(1),
    ];
    let title = format!(" {} clients, those for whom most waits first; bold ones lag behind ", sessions.total);
    let head = Row::new(["session", "address", "   queued", "resyncs", "silent", "watches"]).dim();
    let table = Table::new(sessions.sessions.iter().skip(scroll).map(row), widths).header(head).block(Block::bordered().title(title));
    frame.render_widget(table, area);
    if sessions.total == 0 {
        empty(frame, area, "Nobody is connected. Open ws://HOST:3112/stream/STREAM/GROUP/, or run `weir watch STREAM GROUP`.");
    }
}

fn draw_groups(frame: &mut Frame<'_>, area: Rect, look: &Look) {
    let mut groups: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for session in &look.sessions.sessions {
        for subscription in &session.subscriptions {
            let (count, queued) = groups.entry((&subscription.stream, &subscription.group)).or_default();
            *count += 1;
            *queued += session.queued_bytes;
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let rows = groups.iter().map(|((stream, group), (count, queued))| {
        let right = |text: String| Cell::from(Line::from(text).right_aligned());
        Row::new([right(count.to_string()), right(bytes(*queued)), Cell::from(format!("{} › {}", visible(stream), visible(group)))])
    });
    let title = match look.sessions.sessions.len() {
        shown if shown < look.sessions.total => format!(" groups of these {shown} clients "),
        _ => " groups ".to_owned(),
    };
    let head = Row::new(["  subs", "   queued", "group"]).dim();
    let widths = [Constraint::Length(6), Constraint::Length(9), Constraint::Fill(1)];
    frame.render_widget(Table::new(rows, widths).header(head).block(Block::bordered().title(title)), area);
}

fn empty(frame: &mut Frame<'_>, area: Rect, text: &'static str) {
    let inner = Rect { x: area.x + 2, y: area.y + 2, width: area.width.saturating_sub(4), height: area.height.saturating_sub(3) };
    frame.render_widget(Paragraph::new(text.dim()).wrap(ratatui::widgets::Wrap { trim: true }), inner);
}

fn ago(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Three digits that count, in powers of 1,024.
fn bytes(bytes: u64) -> String {
    scaled(bytes, 1_024.0, ["B", "KiB", "MiB", "GiB", "TiB"])
}

fn count(count: u64) -> String {
    scaled(count, 1_000.0, ["", "k", "M", "G", "T"])
}

fn scaled(value: u64, step: f64, units: [&str; 5]) -> String {
    let (mut scaled, mut unit) = (value as f64, 0);
    while scaled >= step && unit < units.len() - 1 {
        scaled /= step;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && scaled < 100.0);
    format!("{scaled:.digits$} {}", units[unit]).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        for (value, text) in [(0, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (200 << 20, "200 MiB"), (u64::MAX, "16777216 TiB")] {
            assert_eq!(bytes(value), text);
        }
        assert_eq!((count(999), count(12_345)), ("999".to_owned(), "12.3 k".to_owned()));
    }

    #[test]
    fn look_is_drawn_at_any_size() {
        let mut shown = Shown::default();
        let overview = super::super::Overview { version: "1".to_owned(), ..super::super::Overview::default() };
        shown.take(Look { overview, sessions: super::super::Sessions::default(), at: std::time::Instant::now() });
        for (width, height) in [(1, 1), (40, 10), (80, 24), (200, 60)] {
            let Ok(mut terminal) = ratatui::Terminal::new(ratatui::backend::TestBackend::new(width, height));
            let Ok(_) = terminal.draw(|frame| draw(frame, &shown));
            let text = format!("{:?}", terminal.backend().buffer());
            assert!(width < 80 || text.contains("Nobody is connected."), "{text}");
            assert!(width < 80 || text.contains("Green"), "{text}");
            shown.is_plain = true;
            let Ok(_) = terminal.draw(|frame| draw(frame, &shown));
            let text = format!("{:?}", terminal.backend().buffer());
            assert!(!["Green", "Blue", "Red", "Yellow", "Magenta"].iter().any(|colour| text.contains(colour)), "{text}");
            shown.is_plain = false;
        }
    }
}

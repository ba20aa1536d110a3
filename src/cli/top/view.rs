//! The screen: figures as lines. Everything that comes from clients is escaped, everything else is ASCII.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::{App, Listed, Over};
use super::list::{clients, topics};
use super::model::{Account, Counted, Picture, Shard};
use super::paint::{Face, Place, Sheet, Tone};
use super::words;

/// Lines that are there whatever else is: title, traffic, clients and store, three headings, keys.
const LINES_FIXED: u16 = 8;
/// Columns of a bar.
const BAR: usize = 24;
/// Columns from which on half a line has room for what was counted since the start.
const WITH_TOTALS: u16 = 60;
/// The part of an account from which on it is marked, and from which on it is full.
const PART_MARKED: f64 = 0.75;
const PART_FULL: f64 = 0.95;

const KEYS: &str = "q quit  s sort  t topics  p pause  arrows choose  k disconnect  ? help";

const HELP: [&str; 19] = [
    "q         quit",
    "s         sort clients by lag, bytes, messages, name",
    "t         topics that clients publish to most; clients again",
    "p, space  pause, go on",
    "arrows    choose a client; page up and down, home, end",
    "k         disconnect the chosen client; asks first, needs --username",
    "",
    "BUSY      part of the time that a shard spends in turns",
    "TURN      99 of 100 turns take no longer",
    "DELIVERY  99 of 100 sends wait no longer for their socket",
    "LAG       since when a client has taken nothing that waits for it",
    "AT MOST   a topic has no more messages than that: what IN/S says is",
    "          counted for the last minute, in little memory",
    "",
    "Rates are of the last second. - is what is not known yet.",
    "Where $SYS is looked at (no HTTP listener), they are of its interval; of",
    "clients it has the ten with most waiting, by name and without address.",
    "",
    "Any key closes this.",
];

/// How many lines each part has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    shards: usize,
    accounts: usize,
    clients: usize,
    /// Behind the clients; 0 where they are in their place, or unknown.
    topics: usize,
}

impl Lines {
    /// What fits into so many lines.
    fn within(height: u16, picture: &Picture) -> Lines {
        let left = usize::from(height.saturating_sub(LINES_FIXED));
        let part = (left / 4).max(1);
        let shards = picture.shards.len().min(part);
        let accounts = picture.memory.accounts.len().min(part);
        Lines {
            shards,
            accounts,
            clients: left.saturating_sub(shards + accounts),
            topics: 0,
        }
    }

    /// Everything.
    pub(super) fn all(picture: &Picture) -> Lines {
        Lines {
            shards: picture.shards.len(),
            accounts: picture.memory.accounts.len(),
            clients: picture.clients.len(),
            topics: picture.topics.len(),
        }
    }

    /// How many there are together.
    pub(super) fn height(self) -> u16 {
        let topics = self.topics + usize::from(self.topics > 0);
        let lines = usize::from(LINES_FIXED) + self.shards + self.accounts + self.clients + topics;
        u16::try_from(lines).unwrap_or(u16::MAX)
    }
}

/// Draws a screen.
pub(super) fn draw(app: &App, face: Face, area: Rect, buffer: &mut Buffer) {
    let lines = Lines::within(area.height, &app.picture);
    let mut sheet = Sheet::new(buffer, area, face);
    figures(app, face, lines, &mut sheet);
    sheet.skip_to_last();
    match note(app, face) {
        Some((text, tone)) => sheet.line(&text, tone),
        None => sheet.line(KEYS, Tone::Plain),
    }
    over(app, face, area, buffer);
}

/// Draws everything that is known, without keys.
pub(super) fn draw_all(app: &App, face: Face, buffer: &mut Buffer) {
    let area = buffer.area;
    let mut sheet = Sheet::new(buffer, area, face);
    figures(app, face, Lines::all(&app.picture), &mut sheet);
    if let Some((text, _)) = note(app, face) {
        sheet.line(&text, Tone::Plain);
    }
}

/// What there is to say instead of the keys.
fn note(app: &App, face: Face) -> Option<(String, Tone)> {
    let escaped = |text: &str| face.text(text);
    if let Some(why) = &app.away {
        let text = format!("The broker is away, tried again: {}", escaped(why));
        return Some((text, Tone::Bad));
    }
    if let Some(said) = &app.said {
        return Some((escaped(said), Tone::Bold));
    }
    let picture = &app.picture;
    if let Some(fault) = &picture.fault {
        return Some((escaped(fault), Tone::Warning));
    }
    let (missing, unfinished) = (&picture.missing, &picture.unfinished);
    let text = match (missing.is_empty(), unfinished.is_empty()) {
        (true, true) => return None,
        (false, _) => format!("These shards have not told of their clients: {missing:?}"),
        (true, false) => {
            format!("These shards have more sessions than are looked at: {unfinished:?}")
        }
    };
    Some((text, Tone::Warning))
}

fn figures(app: &App, face: Face, lines: Lines, sheet: &mut Sheet<'_>) {
    title(app, face, lines, sheet);
    traffic(&app.picture, sheet);
    shards(&app.picture.shards, lines.shards, sheet);
    memory(&app.picture, lines.accounts, sheet);
    match app.listed {
        Listed::Clients => clients(app, face, lines.clients, sheet),
        Listed::Topics => topics(&app.picture.topics, face, lines.clients, sheet),
    }
    if lines.topics > 0 {
        topics(&app.picture.topics, face, lines.topics, sheet);
    }
}

fn title(app: &App, face: Face, lines: Lines, sheet: &mut Sheet<'_>) {
    let shards = app.picture.shards.len();
    let cut = match lines.shards < shards {
        true => format!("  busiest {} of {shards} shards", lines.shards),
        false => String::new(),
    };
    let up = words::since(app.picture.uptime_s);
    let paused = if app.is_paused { "  PAUSED" } else { "" };
    let url = face.text(&app.url);
    let sys = if app.is_sys { " $SYS" } else { "" };
    let line = format!("firehose top  {url}{sys}  up {up}{cut}{paused}");
    sheet.line(&line, Tone::Reversed);
}

fn traffic(picture: &Picture, sheet: &mut Sheet<'_>) {
    let of = &picture.traffic;
    let half = sheet.width() / 2;
    let side = |name: &str, messages: Counted, bytes: Counted| {
        let rate = words::rate(messages.per_s);
        let speed = words::bytes(bytes.per_s);
        let total = match half < WITH_TOTALS {
            true => String::new(),
            false => format!("  of {}", words::count(messages.total)),
        };
        format!("{name:<4}{rate:>10}/s {speed:>10}/s{total}")
    };
    let ratio = match (of.sent.per_s, of.received.per_s) {
        (Some(sent), Some(received)) if received > 0.0 => format!("  x{:.1}", sent / received),
        _ => String::new(),
    };
    let received = side("in", of.received, of.bytes_received);
    let sent = side("out", of.sent, of.bytes_sent);
    sheet.put(Place::left(0, half), &received, Tone::Plain);
    let sent = format!("{sent}{ratio}");
    sheet.put(Place::left(half, sheet.width() - half), &sent, Tone::Plain);
    sheet.end();
    let tone = match of.dropped.per_s {
        Some(rate) if rate > 0.0 => Tone::Bad,
        _ => Tone::Plain,
    };
    let rate = words::rate(of.dropped.per_s);
    let total = words::count(of.dropped.total);
    let dropped = format!("dropped {rate}/s of {total}");
    sheet.put(Place::left(0, half), &dropped, tone);
    let waiting = words::bytes(picture.outbound.map(|bytes| bytes as f64));
    sheet.put(
        Place::left(half, sheet.width() - half),
        &format!("waiting {waiting}"),
        Tone::Plain,
    );
    sheet.end();
    let connected = words::count(picture.connected);
    let away = words::count(picture.away);
    let line = format!("clients {connected} connected, {away} away");
    sheet.put(Place::left(0, half), &line, Tone::Plain);
    let store = picture.store.as_deref().unwrap_or(words::NONE);
    let tone = match store {
        "full" | "failed" => Tone::Bad,
        _ => Tone::Plain,
    };
    let place = Place::left(half, sheet.width() - half);
    sheet.put(place, &format!("store {store}"), tone);
    sheet.end();
}

/// The columns of shards: headings, and how wide they are.
const SHARD_COLUMNS: [(&str, u16); 8] = [
    ("SHARD", 5),
    ("BUSY", 9),
    ("TURN P99", 10),
    ("DELIVERY P99", 14),
    ("CONNECTIONS", 13),
    ("SENDS/S", 10),
    ("IN/S", 9),
    ("OUT/S", 10),
];

fn shards(shards: &[Shard], lines: usize, sheet: &mut Sheet<'_>) {
    let headings = SHARD_COLUMNS.map(|(heading, _)| heading.to_string());
    columns(&headings, Tone::Bold, sheet);
    sheet.end();
    let mut shown: Vec<&Shard> = shards.iter().collect();
    if shards.len() > lines {
        let busy = |shard: &Shard| shard.busy.unwrap_or(0.0);
        shown.sort_by(|one, other| busy(other).total_cmp(&busy(one)));
        shown.truncate(lines);
    }
    for shard in shown {
        let tone = match shard.busy {
            Some(busy) if busy >= PART_FULL => Tone::Bad,
            Some(busy) if busy >= PART_MARKED => Tone::Warning,
            _ => Tone::Plain,
        };
        let cells = [
            shard.number.to_string(),
            words::share(shard.busy),
            words::time(shard.turn_p99),
            words::time(shard.delivery_p99),
            words::count(shard.connections),
            words::rate(shard.sends_per_s),
            words::rate(shard.received.per_s),
            words::rate(shard.sent.per_s),
        ];
        columns(&cells, tone, sheet);
        sheet.end();
    }
}

fn columns(cells: &[String; 8], tone: Tone, sheet: &mut Sheet<'_>) {
    let mut x = 0;
    for (cell, (_, width)) in cells.iter().zip(SHARD_COLUMNS) {
        sheet.put(Place::right(x, width), cell, tone);
        x += width;
    }
}

fn memory(picture: &Picture, lines: usize, sheet: &mut Sheet<'_>) {
    let of = &picture.memory;
    let bytes = |bytes: Option<u64>| words::bytes(bytes.map(|bytes| bytes as f64));
    let nearest = words::share(of.permille.map(|permille| permille as f64 / 1000.0));
    let (used, limit) = (bytes(of.used), bytes(of.limit));
    let heading = format!(
        "MEMORY {}: {nearest} of the nearest limit; accounts {used} of {limit}",
        if of.rung.is_empty() {
            words::NONE
        } else {
            &of.rung
        }
    );
    let tone = match of.rung.as_str() {
        "" | "calm" => Tone::Bold,
        "trim" | "shrink" => Tone::Warning,
        _ => Tone::Bad,
    };
    sheet.line(&heading, tone);
    for account in of.accounts.iter().take(lines) {
        bar(account, sheet);
    }
}

fn bar(account: &Account, sheet: &mut Sheet<'_>) {
    let part = account.part();
    let tone = match part {
        part if part >= PART_FULL => Tone::Bad,
        part if part >= PART_MARKED => Tone::Warning,
        _ => Tone::Good,
    };
    let bar = words::bar(part, BAR);
    let share = words::share(Some(part));
    let used = words::bytes(Some(account.used as f64));
    let limit = words::bytes(Some(account.limit as f64));
    sheet.put(Place::left(0, 14), &account.name, Tone::Plain);
    sheet.put(Place::left(14, BAR as u16 + 2), &bar, tone);
    let rest = format!("{share:>8}  {used} of {limit}");
    sheet.put(Place::left(16 + BAR as u16, 40), &rest, Tone::Plain);
    sheet.end();
}

/// What lies over the figures.
fn over(app: &App, face: Face, area: Rect, buffer: &mut Buffer) {
    let lines: Vec<String> = match &app.over {
        Over::Nothing => return,
        Over::Help => HELP.map(String::from).into(),
        Over::Disconnect(client) => question(&face.name(client)),
    };
    let widest = lines.iter().map(|line| line.chars().count()).max();
    let width = u16::try_from(widest.unwrap_or(0) + 4).unwrap_or(u16::MAX);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let (width, height) = (width.min(area.width), height.min(area.height));
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    let mut sheet = Sheet::new(buffer, Rect::new(x, y, width, height), face);
    sheet.clear();
    let frame = usize::from(width);
    let blank = " ".repeat(frame);
    let texts = lines.iter().map(|line| format!("  {line}"));
    for text in [blank.clone()]
        .into_iter()
        .chain(texts)
        .chain([blank.clone()])
    {
        sheet.put(Place::left(0, width), &blank, Tone::Reversed);
        sheet.line(&text, Tone::Reversed);
    }
}

/// Columns of a name in the question.
const QUESTION: usize = 60;

fn question(client: &str) -> Vec<String> {
    let letters: Vec<char> = client.chars().collect();
    // Others than ASCII may take two columns each.
    let most = match client.is_ascii() {
        true => QUESTION,
        false => QUESTION / 2,
    };
    let name = letters.chunks(most).map(|part| part.iter().collect());
    let mut lines = vec!["Disconnect this client?".to_string(), String::new()];
    lines.extend(name);
    let rest = ["", "Its session goes on, its will is published.", ""];
    lines.extend(rest.map(String::from));
    lines.push("y disconnects it, any other key does not.".into());
    lines
}

//! Clients as rows, or topics.

use super::app::App;
use super::model::{Client, Topic};
use super::paint::{Face, Place, Sheet, Tone};
use super::words;

/// Columns of clients behind the name, from the right edge.
struct Columns {
    name: Place,
    user: Option<Place>,
    figures: [Place; 4],
    policy: Option<Place>,
    address: Place,
}

impl Columns {
    fn within(width: u16) -> Columns {
        // An address of IPv4 with its port has room.
        let (figures, address) = ([7, 11, 10, 10], 23);
        let user = if width >= 120 { 18 } else { 0 };
        let policy = if width >= 100 { 14 } else { 0 };
        let fixed = figures.iter().sum::<u16>() + address + user + policy;
        let mut x = width.saturating_sub(fixed).max(12);
        let name = Place::left(0, x.saturating_sub(1));
        let mut next = |wide: u16, is_right: bool| {
            // A column of space between texts.
            let place = match is_right {
                true => Place::right(x, wide),
                false => Place::left(x + 1, wide - 1),
            };
            x += wide;
            place
        };
        Columns {
            name,
            user: (user > 0).then(|| next(user, false)),
            figures: figures.map(|wide| next(wide, true)),
            policy: (policy > 0).then(|| next(policy, false)),
            address: next(address, false),
        }
    }
}

/// Headings, and so many rows.
pub(super) fn clients(app: &App, face: Face, lines: usize, sheet: &mut Sheet<'_>) {
    let places = Columns::within(sheet.width());
    let name = format!("CLIENT by {}", app.order.name());
    sheet.put(places.name, &name, Tone::Bold);
    if let Some(place) = places.user {
        sheet.put(place, "USER", Tone::Bold);
    }
    let headings = ["LAG S", "BYTES", "MESSAGES", "IN FLIGHT"];
    for (place, heading) in places.figures.into_iter().zip(headings) {
        sheet.put(place, heading, Tone::Bold);
    }
    if let Some(place) = places.policy {
        sheet.put(place, "POLICY", Tone::Bold);
    }
    sheet.put(places.address, "ADDRESS", Tone::Bold);
    sheet.end();
    // The chosen one is always on the screen.
    let first = (app.chosen + 1).saturating_sub(lines);
    let shown = app.picture.clients.iter().enumerate();
    for (place, client) in shown.skip(first).take(lines) {
        row(client, &places, face, sheet);
        if place == app.chosen {
            sheet.reverse();
        }
        sheet.end();
    }
}

fn row(client: &Client, places: &Columns, face: Face, sheet: &mut Sheet<'_>) {
    let text = |text: &Option<String>| match text {
        Some(text) => face.name(text),
        None => words::NONE.into(),
    };
    sheet.put(places.name, &face.name(&client.id), Tone::Plain);
    if let Some(place) = places.user {
        sheet.put(place, &text(&client.user), Tone::Plain);
    }
    let figures = [
        words::count(client.lag_s),
        words::bytes(client.bytes.map(|bytes| bytes as f64)),
        words::count(client.messages),
        words::count(client.in_flight),
    ];
    for (place, figure) in places.figures.into_iter().zip(figures) {
        sheet.put(place, &figure, Tone::Plain);
    }
    if let Some(place) = places.policy {
        sheet.put(place, &text(&client.policy), Tone::Plain);
    }
    let address = match client.is_connected {
        true => text(&client.address),
        false => "away".into(),
    };
    sheet.put(places.address, &address, Tone::Plain);
}

/// Columns of topics behind the name: headings, and how wide they are.
const TOPIC_COLUMNS: [(&str, u16); 3] = [("IN/S", 12), ("AT MOST", 12), ("BYTES/S", 14)];

/// Headings, and so many of the topics that clients publish to most.
pub(super) fn topics(topics: &[Topic], face: Face, lines: usize, sheet: &mut Sheet<'_>) {
    let wide: u16 = TOPIC_COLUMNS.iter().map(|(_, wide)| wide).sum();
    let behind = sheet.width().saturating_sub(wide).max(12);
    let name = Place::left(0, behind - 1);
    let mut put = |texts: [String; 4], tone: Tone| {
        let [topic, figures @ ..] = texts;
        sheet.put(name, &topic, tone);
        let mut x = behind;
        for (text, (_, wide)) in figures.iter().zip(TOPIC_COLUMNS) {
            sheet.put(Place::right(x, wide), text, tone);
            x += wide;
        }
        sheet.end();
    };
    let [first, second, third] = TOPIC_COLUMNS.map(|(heading, _)| heading.into());
    put(["TOPIC".into(), first, second, third], Tone::Bold);
    for topic in topics.iter().take(lines) {
        let texts = [
            face.name(&topic.name),
            words::rate(topic.messages_per_s),
            words::rate(topic.most_per_s),
            words::bytes(topic.bytes_per_s),
        ];
        put(texts, Tone::Plain);
    }
}

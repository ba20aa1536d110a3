//! Answers that are made up, and what is shown of them.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};
use serde_json::{Value, json};

use super::app::{Act, App, Over};
use super::model::{Counted, Look, Model, Order, Picture};
use super::news::News;
use super::paint::Face;
use super::scrape::Scrape;
use super::subscriber::Topics;
use super::{sys, view};

const FACE: Face = Face {
    has_colour: true,
    has_unicode: true,
};

fn live(uptime_s: u64, received: u64, shards: u64) -> Value {
    let shard = |shard: u64| {
        json!({
            "shard": shard, "connections": 10 + shard, "turns": 1, "outbound_bytes": 0,
            "publish_received": received / 2, "publish_sent": received * 5,
        })
    };
    json!({
        "uptime_seconds": uptime_s,
        "figures": {
            "publish_received": received, "publish_sent": received * 10,
            "bytes_received": received * 1024, "bytes_sent": received * 10_240,
            "publish_dropped": 3, "clients_connected": 21, "clients_disconnected": 4, "outbound_bytes": 2048,
        },
        "shards": (0..shards).map(shard).collect::<Vec<_>>(),
        "memory": {"rung": "calm", "figures": {"permille": 12, "used": 1024, "limit": 4096}},
    })
}

fn client(id: &str, lag_s: u64) -> Value {
    json!({
        "client_id": id, "username": "ann", "address": "127.0.0.1:4711", "connected": true,
        "slow_consumer_policy": "latest", "lag_seconds": lag_s, "bytes_waiting": 512,
        "messages_waiting": 7, "in_flight": 2,
    })
}

fn scrape(at_ms: u64, busy_s: f64, turns: u64) -> Scrape {
    let page = format!(
        "firehose_shard_busy_seconds_total{{shard=\"1\"}} {busy_s}\n\
         firehose_sends_total{{shard=\"1\"}} {turns}\n\
         firehose_turn_seconds_bucket{{shard=\"1\",le=\"0.001\"}} {turns}\n\
         firehose_turn_seconds_bucket{{shard=\"1\",le=\"+Inf\"}} {turns}\n"
    );
    Scrape::of(&page, Duration::from_millis(at_ms))
}

fn look(at_ms: u64, live: Value, clients: &[Value]) -> Look {
    let busy_s = at_ms as f64 / 2000.0;
    Look {
        at: Duration::from_millis(at_ms),
        live,
        scrape: Some(scrape(at_ms, busy_s, at_ms)),
        memory: json!({
            "rung": "calm", "figures": {"permille": 12, "used": 1024, "limit": 4096},
            "accounts": {
                "outbound": {"used": 10, "limit": 1000}, "retained": {"used": 900, "limit": 1000},
                "journal": {"used": 0, "limit": 0},
            },
        }),
        store: json!({"state": "open", "figures": {}}),
        clients: json!({"items": clients, "next": null, "missing_shards": []}),
        topics: json!({"items": [
            {"topic": "plant/7", "messages_per_second": 20.5, "at_least": 20.0, "at_most": 22.0, "payload_bytes_per_second": 2048.0},
            {"topic": "evil\u{1b}[2J", "messages_per_second": 1.0, "at_least": 1.0, "at_most": 2.0, "payload_bytes_per_second": 10.0},
        ]}),
        fault: None,
    }
}

fn app_with(clients: &[Value], shards: u64) -> App {
    let mut app = App::new("127.0.0.1:9883".into(), true, Order::Lag);
    hear(&mut app, look(1000, live(5, 1000, shards), clients));
    hear(&mut app, look(3000, live(7, 1200, shards), clients));
    app
}

fn hear(app: &mut App, look: Look) {
    app.hear(News::Look(Box::new(look)));
}

fn screen(app: &App, face: Face, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let draw = |frame: &mut ratatui::Frame<'_>| {
        view::draw(app, face, frame.area(), frame.buffer_mut());
    };
    terminal.draw(draw).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let rows = buffer.content().chunks(usize::from(buffer.area.width));
    let line = |row: &[ratatui::buffer::Cell]| row.iter().map(|cell| cell.symbol()).collect();
    rows.map(|row| -> String { line(row) })
        .map(|line| line.trim_end().to_string())
        .collect()
}

fn press(app: &mut App, code: KeyCode) -> Option<Act> {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn topics_come_in_the_place_of_clients_and_go_again() {
    let mut app = app_with(&[client("c1", 9)], 1);
    let shown = |app: &App| lines(&screen(app, FACE, 100, 24)).join("\n");
    assert!(shown(&app).contains("c1") && !shown(&app).contains("plant/7"));
    assert_eq!(press(&mut app, KeyCode::Char('t')), None);
    let text = shown(&app);
    assert!(text.contains("TOPIC") && text.contains("plant/7"), "{text}");
    assert!(
        !text.contains("CLIENT by") && !text.contains('\u{1b}'),
        "{text}"
    );
    let row = text
        .lines()
        .find(|line| line.starts_with("plant/7"))
        .unwrap();
    let words: Vec<_> = row.split_whitespace().collect();
    assert_eq!(words[..3], ["plant/7", "20.5", "22.0"], "{row}");
    // Keys that are meant for a client wait until there are some.
    for key in ['k', 's'] {
        assert_eq!(press(&mut app, KeyCode::Char(key)), None);
        assert_eq!(app.over, Over::Nothing);
    }
    press(&mut app, KeyCode::Char('t'));
    assert!(shown(&app).contains("CLIENT by"));
    let mut app = App::of_sys("127.0.0.1:1883".into(), Order::Lag, None);
    press(&mut app, KeyCode::Char('t'));
    assert!(app.said.unwrap().contains("http_api"));
}

#[test]
fn a_text_has_clients_and_topics() {
    let app = app_with(&[client("c1", 9)], 1);
    let height = view::Lines::all(&app.picture).height();
    let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, 100, height));
    view::draw_all(&app, FACE, &mut buffer);
    let text = lines(&buffer).join("\n");
    let places = ["CLIENT by", "c1", "TOPIC", "plant/7", "evil"].map(|word| text.find(word));
    assert!(places.is_sorted() && places[0].is_some(), "{text}");
}

#[test]
fn rates_are_what_has_come_between_two_looks() {
    let mut model = Model::default();
    let first = model.picture(look(1000, live(5, 1000, 2), &[])).unwrap();
    let unknown = Counted {
        total: Some(1000),
        per_s: None,
    };
    assert_eq!(first.traffic.received, unknown);
    assert_eq!(
        (first.shards[1].busy, first.shards[1].turn_p99),
        (None, None)
    );
    // Too soon: where one answer ends and the next begins.
    assert!(model.picture(look(1100, live(5, 1000, 2), &[])).is_none());
    let second = model.picture(look(3000, live(7, 1200, 2), &[])).unwrap();
    let counted = Counted {
        total: Some(1200),
        per_s: Some(100.0),
    };
    assert_eq!(second.traffic.received, counted);
    assert_eq!(second.traffic.dropped.per_s, Some(0.0));
    let shard = &second.shards[1];
    assert_eq!((shard.number, shard.connections), (1, Some(11)));
    assert_eq!((shard.busy, shard.sends_per_s), (Some(0.5), Some(1000.0)));
    assert!((shard.turn_p99.unwrap() - 0.000_99).abs() < 1e-9);
    assert_eq!(shard.delivery_p99, None, "nothing was sent");
    assert_eq!(second.shards[0].busy, None, "nothing is told of it");
    let accounts = second.memory.accounts.iter();
    let accounts: Vec<&str> = accounts.map(|account| &account.name[..]).collect();
    assert_eq!(
        accounts,
        ["retained", "outbound", "journal"],
        "the fullest first"
    );
}

/// A broker that begins anew counts anew.
#[test]
fn no_rate_is_taken_across_a_restart() {
    let mut model = Model::default();
    model.picture(look(1000, live(500, 1000, 2), &[]));
    let anew = model.picture(look(2000, live(1, 5000, 2), &[])).unwrap();
    assert_eq!(anew.traffic.received.per_s, None);
    assert_eq!(anew.shards[1].busy, None);
    // Less than before, at the same age.
    let less = model.picture(look(3000, live(1, 10, 2), &[])).unwrap();
    assert_eq!(less.traffic.received.per_s, None);
}

#[test]
fn an_answer_that_says_nothing_is_shown_as_not_known() {
    let picture = Model::default().picture(Look::default()).unwrap();
    assert_eq!(
        picture,
        Picture {
            store: None,
            ..picture.clone()
        }
    );
    let mut app = App::new("h:1".into(), false, Order::Lag);
    hear(&mut app, Look::default());
    let lines = lines(&screen(&app, FACE, 80, 24));
    assert!(
        lines[3].starts_with("clients - connected, - away"),
        "{lines:#?}"
    );
}

#[test]
fn a_small_screen_has_all_parts() {
    let clients: Vec<Value> = (0..30).map(|n| client(&format!("c{n}"), n)).collect();
    let app = app_with(&clients, 16);
    let lines = lines(&screen(&app, FACE, 80, 24));
    let text = lines.join("\n");
    assert!(
        lines[0].contains("127.0.0.1:9883  up 0:00:07  busiest 4 of 16 shards"),
        "{text}"
    );
    assert!(
        lines[1].contains("100/s") && lines[1].contains("1,000/s"),
        "{text}"
    );
    assert!(lines[1].ends_with("x10.0"), "{text}");
    assert!(lines[2].starts_with("dropped 0/s of 3"), "{text}");
    assert!(lines[3].contains("store open"), "{text}");
    assert!(lines[4].trim_start().starts_with("SHARD"), "{text}");
    // The busiest first, where not all have room.
    let first: Vec<&str> = lines[5].split_whitespace().collect();
    assert_eq!(first[..3], ["1", "50.0", "%"], "{text}");
    assert!(
        lines[9].starts_with("MEMORY calm: 1.2 % of the nearest limit"),
        "{text}"
    );
    assert!(
        lines[10].contains("[######################..]  90.0 %  900 B of 1000 B"),
        "{text}"
    );
    assert!(lines[13].starts_with("CLIENT by lag"), "{text}");
    assert!(
        lines[14].starts_with("c0 ") && lines[22].starts_with("c8 "),
        "{text}"
    );
    assert!(lines[23].starts_with("q quit"), "{text}");
    assert_eq!(lines.len(), 24);
}

#[test]
fn a_large_screen_has_more_of_each() {
    let clients: Vec<Value> = (0..30).map(|n| client(&format!("c{n}"), n)).collect();
    let app = app_with(&clients, 16);
    let lines = lines(&screen(&app, FACE, 200, 50));
    let text = lines.join("\n");
    assert!(
        text.contains("USER") && text.contains("POLICY") && text.contains("latest"),
        "{text}"
    );
    assert!(text.contains("busiest 10 of 16"), "{text}");
    assert!(lines[49].starts_with("q quit"), "{text}");
    assert!(lines[48].starts_with("c28 "), "{text}");
}

/// Whatever its size, and whatever lies over it.
#[test]
fn no_screen_is_too_small() {
    let clients = [client("a", 1), client(&"long".repeat(200), 2)];
    let mut app = app_with(&clients, 3);
    for over in [Over::Nothing, Over::Help, Over::Disconnect("x".repeat(500))] {
        app.over = over;
        for (width, height) in [(1, 1), (2, 30), (300, 1), (10, 10), (79, 8), (80, 9)] {
            screen(&app, FACE, width, height);
        }
    }
}

/// A client's name is text, in its place.
#[test]
fn names_move_nothing() {
    let clients = [
        client("a\u{1b}[2Jb\r\n\u{202e}c", 1),
        client("\u{65e5}\u{672c}\u{8a9e}", 2),
        client("plain", 3),
    ];
    let app = app_with(&clients, 1);
    let buffer = screen(&app, FACE, 132, 30);
    let text = lines(&buffer).join("\n");
    assert!(
        text.contains("a\\u{1b}") && text.contains("\u{65e5}"),
        "{text}"
    );
    for cell in buffer.content() {
        assert!(!cell.symbol().chars().any(char::is_control), "{text}");
    }
    // Their figures stand in the same columns.
    let width = usize::from(buffer.area.width);
    let places = buffer.content().chunks(width).filter_map(|row| {
        let mut runs = row.windows(5);
        runs.position(|run| {
            run.iter()
                .map(|cell| cell.symbol())
                .eq(["5", "1", "2", " ", "B"])
        })
    });
    let places: Vec<usize> = places.collect();
    assert_eq!(places.len(), 3, "{text}");
    assert!(places.iter().all(|&place| place == places[0]), "{text}");
    let ascii = Face {
        has_unicode: false,
        ..FACE
    };
    let text = lines(&screen(&app, ascii, 132, 30)).join("\n");
    assert!(text.is_ascii() && text.contains("\\u{65e5}"), "{text}");
}

#[test]
fn without_colour_there_is_none() {
    let mut app = app_with(&[client("a", 1)], 2);
    app.away = Some("gone".into());
    let plain = Face {
        has_colour: false,
        ..FACE
    };
    let coloured = |face| {
        let buffer = screen(&app, face, 80, 24);
        let mut cells = buffer.content().iter();
        cells.any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(coloured(FACE) && !coloured(plain));
}

/// A figure that has no room would be another if it were cut.
#[test]
fn no_figure_is_cut() {
    let mut many = client("a", 1);
    many["lag_seconds"] = json!(123_456_789);
    let app = app_with(&[many], 1);
    let lines = lines(&screen(&app, FACE, 80, 24));
    let line = lines.iter().find(|line| line.starts_with("a ")).unwrap();
    assert!(line.contains("#######") && !line.contains("123"), "{line}");
}

#[test]
fn the_chosen_client_stays_chosen() {
    let of = |names: &[&str]| -> Vec<Value> { names.iter().map(|n| client(n, 1)).collect() };
    let mut app = app_with(&of(&["a", "b", "c"]), 1);
    press(&mut app, KeyCode::Down);
    assert_eq!(app.chosen, 1);
    hear(
        &mut app,
        look(4000, live(8, 1300, 1), &of(&["c", "a", "b"])),
    );
    assert_eq!(app.chosen, 2);
    hear(&mut app, look(5000, live(9, 1300, 1), &of(&["c"])));
    assert_eq!(app.chosen, 0);
    for code in [
        KeyCode::Up,
        KeyCode::PageUp,
        KeyCode::End,
        KeyCode::PageDown,
    ] {
        press(&mut app, code);
        assert_eq!(app.chosen, 0);
    }
    let many: Vec<Value> = (0..100).map(|n| client(&format!("n{n}"), n)).collect();
    hear(&mut app, look(6000, live(10, 1300, 1), &many));
    press(&mut app, KeyCode::End);
    let buffer = screen(&app, FACE, 80, 24);
    let row = lines(&buffer)
        .iter()
        .position(|l| l.starts_with("n99 "))
        .unwrap();
    let cell = buffer.cell((0, row as u16)).unwrap();
    assert!(cell.modifier.contains(Modifier::REVERSED));
}

#[test]
fn keys_do_what_the_help_says() {
    let mut app = app_with(&[client("a", 1)], 1);
    assert_eq!(
        press(&mut app, KeyCode::Char('s')),
        Some(Act::Sort(Order::Bytes))
    );
    press(&mut app, KeyCode::Char('p'));
    hear(&mut app, look(4000, live(8, 9000, 1), &[]));
    assert_eq!(app.picture.uptime_s, Some(7), "it pauses");
    press(&mut app, KeyCode::Char('p'));
    hear(&mut app, look(5000, live(9, 9000, 1), &[client("a", 1)]));
    assert_eq!(app.picture.uptime_s, Some(9));
    press(&mut app, KeyCode::Char('?'));
    assert_eq!(app.over, Over::Help);
    assert_eq!(
        press(&mut app, KeyCode::Char('q')),
        None,
        "it closes the help"
    );
    assert_eq!(press(&mut app, KeyCode::Char('q')), Some(Act::Quit));
    let stop = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(app.key(stop), Some(Act::Quit));
}

#[test]
fn a_client_is_disconnected_after_a_question_and_for_a_user() {
    let mut app = app_with(&[client("a", 1)], 1);
    press(&mut app, KeyCode::Char('k'));
    let text = lines(&screen(&app, FACE, 80, 24)).join("\n");
    assert!(text.contains("Disconnect this client?"), "{text}");
    // It looks as one thing, whatever lies below.
    let buffer = screen(&app, FACE, 80, 24);
    let row = (lines(&buffer).iter()).position(|line| line.contains("y disconnects"));
    let begins = lines(&buffer)[row.unwrap()].find("y disconnects").unwrap() as u16;
    let style = |y: u16| buffer[(begins, y)].style();
    let rows = 8..=row.unwrap() as u16;
    assert!(
        rows.clone().all(|y| style(y) == style(*rows.end())),
        "{text}"
    );
    assert_eq!(press(&mut app, KeyCode::Char('n')), None);
    assert_eq!(
        press(&mut app, KeyCode::Char('y')),
        None,
        "nothing is asked"
    );
    press(&mut app, KeyCode::Char('k'));
    // Whoever is at that place now, the one in the question is meant.
    hear(&mut app, look(4000, live(8, 1300, 1), &[client("b", 9)]));
    assert_eq!(
        press(&mut app, KeyCode::Char('y')),
        Some(Act::Disconnect("a".into()))
    );
    app.has_user = false;
    press(&mut app, KeyCode::Char('k'));
    assert_eq!(app.over, Over::Nothing);
    assert!(app.said.is_some());
}

#[test]
fn a_broker_that_is_away_is_said_to_be_and_found_again() {
    let mut app = app_with(&[], 1);
    app.hear(News::Away("127.0.0.1:9883: refused\u{1b}[2J".into()));
    let text = lines(&screen(&app, FACE, 80, 24)).join("\n");
    assert!(
        text.contains("The broker is away, tried again: 127.0.0.1:9883: refused\\u{1b}"),
        "{text}"
    );
    hear(&mut app, look(9000, live(1, 5, 1), &[]));
    assert_eq!(app.away, None);
    assert_eq!(
        app.picture.traffic.received.per_s, None,
        "it is a first look"
    );
}

/// What `$SYS` says of a broker with so many messages received.
fn topics(uptime_s: u64, received: u64) -> Topics {
    let all = [
        ("uptime", format!("{uptime_s} seconds")),
        ("firehose/publish_received", received.to_string()),
        ("firehose/publish_sent", (received * 10).to_string()),
        ("firehose/clients_connected", "21".into()),
        ("firehose/shard/0/connections", "10".into()),
        ("firehose/shard/0/busy_permille", "250".into()),
        ("firehose/shard/0/turn/p99_us", "1500".into()),
        ("firehose/shard/0/delivery/p99_us", "0".into()),
        ("firehose/shard/0/sends", received.to_string()),
        ("firehose/shard/1/connections", "11".into()),
        ("firehose/memory/rung", "calm".into()),
        ("firehose/memory/permille", "12".into()),
        ("firehose/memory/account/retained/used", "900".into()),
        ("firehose/memory/account/retained/limit", "1000".into()),
        ("firehose/slowest/1/client", "many bytes".into()),
        ("firehose/slowest/1/bytes", "512".into()),
        ("firehose/slowest/1/seconds", "1".into()),
        ("firehose/slowest/1/policy", String::new()),
        ("firehose/slowest/2/client", "lags".into()),
        ("firehose/slowest/2/bytes", "100".into()),
        ("firehose/slowest/2/seconds", "30".into()),
        ("firehose/slowest/3/client", String::new()),
        ("firehose/slowest/3/bytes", String::new()),
    ];
    let all = all.into_iter().map(|(name, value)| (name.into(), value));
    all.collect()
}

/// The same screen, as far as it goes.
#[test]
fn figures_of_sys_are_shown_as_those_of_http() {
    let mut app = App::of_sys("127.0.0.1:1883".into(), Order::Lag, None);
    for (at_s, uptime_s, received) in [(1, 100, 1000), (11, 110, 2000)] {
        let look = sys::look(&topics(uptime_s, received), Duration::from_secs(at_s));
        hear(&mut app, look);
    }
    let text = lines(&screen(&app, FACE, 80, 24));
    let starts = |start: &str| text.iter().any(|line| line.trim_start().starts_with(start));
    assert!(
        starts("firehose top  127.0.0.1:1883 $SYS  up 0:01:50"),
        "{text:#?}"
    );
    assert!(starts("in         100/s"), "{text:#?}");
    assert!(
        starts("0   25.0 %    1.5 ms             -           10       100"),
        "{text:#?}"
    );
    assert!(starts("1        -"), "{text:#?}");
    assert!(
        starts("retained      [######################..]  90.0 %  900 B of 1000 B"),
        "{text:#?}"
    );
    assert!(text[3].contains("store none"), "{text:#?}");
    let names = |app: &App| -> Vec<String> {
        let clients = app.picture.clients.iter();
        clients.map(|client| client.id.clone()).collect()
    };
    assert_eq!(names(&app), ["lags", "many bytes"]);
    press(&mut app, KeyCode::Char('s'));
    assert_eq!(names(&app), ["many bytes", "lags"]);
    // Nobody can be disconnected from here.
    press(&mut app, KeyCode::Char('k'));
    assert_eq!(app.over, Over::Nothing);
    assert!(app.said.unwrap().contains("http_api"));
}

#[test]
fn shards_without_an_answer_are_named() {
    let mut app = app_with(&[client("a", 1)], 2);
    for (field, part) in [
        ("missing_shards", "have not told of their clients: [1]"),
        ("unfinished_shards", "more sessions than are looked at: [1]"),
    ] {
        let mut look = look(9000, live(9, 1300, 2), &[]);
        look.clients[field] = json!([1]);
        app.picture = Model::default().picture(look).unwrap();
        let text = lines(&screen(&app, FACE, 80, 24));
        assert!(text[23].contains(part), "{text:#?}");
    }
}

//! What Mosquitto has written.

use super::told::{lines, message};
use super::*;

const TOLD: &str = include_str!("2.0.11.txt");

#[test]
fn all_is_read_that_a_client_of_mosquitto_has_half_done() {
    let Import {
        ledger,
        to_route,
        left_out,
    } = import(&read(GOLDEN));
    assert_eq!(lines(&ledger).join("\n"), TOLD.trim_end());
    let to_route: Vec<String> = to_route.iter().map(message).collect();
    let by = "by open-in/open/127.0.0.1:21883";
    assert_eq!(
        to_route,
        [
            "queue/in 'open' 2 2600066f726967696e0006676f6c64656e".to_owned(),
            format!("kept/in 'open retained' 2r {by}"),
        ]
    );
    let left_out_as_by_mosquitto = LeftOut {
        sessions: 1,
        expired: 2,
        missing: 0,
    };
    assert_eq!(left_out, left_out_as_by_mosquitto);
}

/// And what is to be routed is on its way to the shard itself.
#[test]
fn the_journal_says_the_same() {
    let database = read(GOLDEN);
    let mut legacy = Legacy::of(1);
    let told = database.to_journal(NOW, &listeners(), |chunk| legacy.feed(0, chunk));
    assert_eq!(told.unwrap().left_out, import(&database).left_out);
    assert!(legacy.is_whole(0));
    let ledger = legacy.ledger(0).unwrap();
    assert_eq!(lines(ledger).join("\n"), TOLD.trim_end());
    let in_transit = legacy.in_transit();
    let to_route = import(&database).to_route;
    assert_eq!((in_transit.len(), to_route.len()), (2, 2));
    for (one, kept) in in_transit.iter().zip(&to_route) {
        let known = ledger.message(one.handed.number).unwrap();
        assert_eq!(message(known), message(kept));
        let errand = Errand::PassOn {
            targets: 1,
            retains: kept.message.retain,
        };
        assert_eq!((one.from, one.to, one.handed.errand), (0, 0, errand));
    }
}

/// No Local asks by these numbers: `open-in` may come back and subscribe.
#[test]
fn who_published_is_the_session_of_this_name() {
    let Import {
        ledger, to_route, ..
    } = import(&read(GOLDEN));
    let mut sessions = ledger.sessions();
    let (_, publisher) = sessions
        .find(|(_, session)| &*session.client_id == "open-in")
        .unwrap();
    assert_ne!(publisher.serial, 0);
    assert_eq!(to_route[0].message.origin, publisher.serial);
    // The client `publisher` has no session any more.
    let mut retained = ledger.retained();
    assert!(retained.all(|(_, kept)| kept.message.origin == 0));
}

#[test]
fn it_is_the_same_when_it_was_written_again() {
    let database = read(GOLDEN);
    let again = database.write();
    assert_eq!(read(&again), database);
    assert_eq!(again.len(), GOLDEN.len());
}

#[test]
fn it_is_the_same_by_way_of_a_ledger() {
    let Import { ledger, .. } = import(&read(GOLDEN));
    let back = round(&[&ledger]);
    assert_eq!(lines(&back.ledger).join("\n"), TOLD.trim_end());
    assert!(
        back.to_route.is_empty(),
        "what has been routed is not routed again"
    );
    assert_eq!(back.left_out, LeftOut::default());
}

/// Two shards, each with half of the file: nothing is mistaken for the other's of the same number.
#[test]
fn ledgers_of_several_shards_become_one_file() {
    let whole = read(GOLDEN);
    let half = |is_mine: fn(usize) -> bool| {
        let clients = whole.clients.iter().enumerate();
        let clients = clients.filter(|(index, _)| is_mine(*index));
        import(&Database {
            clients: clients.map(|(_, client)| client.clone()).collect(),
            retained: match is_mine(0) {
                true => whole.retained.clone(),
                false => Vec::new(),
            },
            messages: whole
                .messages
                .iter()
                .skip(usize::from(is_mine(1)))
                .cloned()
                .collect(),
        })
    };
    let (even, odd) = (half(|index| index % 2 == 0), half(|index| index % 2 == 1));
    let back = round(&[&odd.ledger, &even.ledger]);
    assert_eq!(lines(&back.ledger).join("\n"), TOLD.trim_end());
}

/// Mosquitto 1.6 writes neither ports nor user names of clients.
#[test]
fn version_5_is_read() {
    let (mut old, mut rest) = (GOLDEN[..19].to_vec(), &GOLDEN[23..]);
    old.extend(5u32.to_be_bytes());
    while !rest.is_empty() {
        let len = u32::from_be_bytes(rest[4..8].try_into().unwrap()) as usize;
        let (chunk, behind) = rest.split_at(8 + len);
        rest = behind;
        if chunk[3] != 6 {
            old.extend(chunk);
            continue;
        }
        let id_len = u16::from_be_bytes(chunk[22..24].try_into().unwrap());
        old.extend(&chunk[..4]);
        old.extend((16 + u32::from(id_len)).to_be_bytes());
        old.extend(&chunk[8..24]);
        old.extend(&chunk[32..][..usize::from(id_len)]);
    }
    let told = lines(&import(&read(&old)).ledger).join("\n");
    let mut expected = String::new();
    for line in TOLD.lines() {
        let (_, from_expiry) = line.split_at(line.find(" expiry").unwrap_or(0));
        let name = line.split(' ').next().unwrap();
        match from_expiry == line {
            true => expected += line,
            false => expected += &format!("{name} -/*:1883{from_expiry}"),
        }
        expected += "\n";
    }
    assert_eq!(told, expected.trim_end());
}

/// Mosquitto 2.0.11 writes clients without a user name with that of the client before them: every other one with 256 times as many
/// bytes of its memory, which shows.
#[test]
fn a_user_name_that_is_a_piece_of_memory_is_none() {
    let database = read(NAMES);
    let users: Vec<_> = database
        .clients
        .iter()
        .map(|client| (client.id, client.user))
        .collect();
    assert_eq!(
        users,
        [("a", Some("x")), ("b", None), ("c", Some("x")), ("d", None)]
    );
}

#[test]
fn a_file_without_chunks_is_an_empty_database() {
    let empty = read(&GOLDEN[..23]);
    assert_eq!(
        (empty.clients(), empty.messages(), empty.retained()),
        (0, 0, 0)
    );
    assert_eq!(lines(&import(&empty).ledger), Vec::<String>::new());
    assert_eq!(read(&Database::default().write()), Database::default());
}

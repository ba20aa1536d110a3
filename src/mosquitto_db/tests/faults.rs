//! Everything that is no database: what is wrong is said, and where.

use proptest::prelude::*;

use super::*;

/// Where chunks begin, and the end of the file.
fn borders(file: &[u8]) -> Vec<usize> {
    let mut borders = vec![23];
    while let Some(chunk) = file
        .get(borders[borders.len() - 1]..)
        .filter(|rest| !rest.is_empty())
    {
        let len = u32::from_be_bytes(chunk[4..8].try_into().unwrap());
        borders.push(borders[borders.len() - 1] + 8 + len as usize);
    }
    borders
}

/// Nobody can tell a file that was cut between two chunks from one that ends there.
#[test]
fn a_file_that_is_cut_is_refused_where_it_can_be_seen() {
    for file in [GOLDEN, NAMES] {
        let borders = borders(file);
        for len in 0..file.len() {
            let read = Database::read(&file[..len]);
            match borders.contains(&len) {
                true => assert!(read.is_ok(), "{len}: {read:?}"),
                false => {
                    let fault = read.unwrap_err();
                    assert!(fault.offset <= len as u64, "{len}: {fault}");
                }
            }
        }
    }
}

/// A file of these chunks, each of a kind and its content.
fn file(chunks: &[(u32, &[&[u8]])]) -> Vec<u8> {
    let mut file = GOLDEN[..23].to_vec();
    for (kind, parts) in chunks {
        let content = parts.concat();
        file.extend(kind.to_be_bytes());
        file.extend((content.len() as u32).to_be_bytes());
        file.extend(content);
    }
    file
}

fn fault(chunks: &[(u32, &[&[u8]])]) -> (u64, Wrong) {
    let file = file(chunks);
    let fault = Database::read(&file).expect_err("a fault");
    (fault.offset, fault.wrong)
}

/// A message of topic `t`, with these bytes in the place of its QoS and RETAIN flag, and of its properties.
fn message<'a>(flags: &'a [u8; 2], behind: &'a [u8]) -> [&'a [u8]; 4] {
    const HEAD: &[u8] = &[
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
    ];
    [HEAD, flags, b"t", behind]
}

/// A delivery to client `c`: packet identifier, then QoS, state, flags and direction.
fn delivery<'a>(id: &'a [u8; 2], state: &'a [u8; 4]) -> [&'a [u8]; 5] {
    [&[1, 0, 0, 0, 0, 0, 0, 0], id, &[0, 1], state, b"c"]
}

/// A subscription of client `c` to a filter of so many bytes.
fn subscription<'a>(id: &'a [u8; 4], qos: u8, filter: &'a [u8]) -> Vec<u8> {
    let head = [0, 1, 0, filter.len() as u8, qos, 0, 0, 0, b'c'];
    [id, &head[..], filter].concat()
}

const CLIENT: &[u8] = &[
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, b'c',
];

#[test]
fn each_fault_is_named_with_its_place() {
    assert_eq!(Database::read(b"").unwrap_err().wrong, Wrong::Magic);
    assert_eq!(Database::read(&[7; 90]).unwrap_err().wrong, Wrong::Magic);
    let mut newer = GOLDEN.to_vec();
    newer[22] = 7;
    let newer = Database::read(&newer).unwrap_err();
    assert_eq!((newer.offset, newer.wrong), (19, Wrong::Version(7)));
    assert_eq!(fault(&[(7, &[b"?"])]), (23, Wrong::Kind(7)));
    let narrow = [0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0];
    assert_eq!(fault(&[(1, &[&narrow])]), (40, Wrong::NumberSize(4)));
    assert_eq!(fault(&[(4, &[&[1; 7]])]), (31, Wrong::Short));
    assert_eq!(fault(&[(4, &[&[1; 9]])]), (39, Wrong::Long(1)));
    assert_eq!(fault(&[(6, &[CLIENT, b"d"])]), (56, Wrong::Long(1)));
    assert_eq!(
        fault(&[(6, &[CLIENT]), (6, &[CLIENT])]),
        (64, Wrong::ClientTwice)
    );
    let mut nobody = CLIENT[..24].to_vec();
    nobody[15] = 0;
    assert_eq!(fault(&[(6, &[&nobody])]), (55, Wrong::ClientId));
}

#[test]
fn faults_of_messages_are_named_with_their_places() {
    let good = message(&[1, 0], &[]);
    assert!(Database::read(&file(&[(2, &good)])).is_ok());
    assert_eq!(fault(&[(2, &message(&[3, 0], &[]))]), (61, Wrong::QoS(3)));
    assert_eq!(
        fault(&[(2, &good), (2, &good)]),
        (72, Wrong::MessageTwice(1))
    );
    let mut wild = message(&[1, 0], &[]);
    wild[2] = b"#";
    assert_eq!(fault(&[(2, &wild)]), (63, Wrong::Topic));
    // A length that is too large and one too small; no property; that of another packet; one twice; a length without end.
    for behind in [
        &[3, 1, 1][..],
        &[1, 1, 1],
        &[2, 1, 2],
        &[2, 99, 0],
        &[3, 33, 0, 1],
        &[4, 1, 1, 1, 1],
        &[0x80, 0x80, 0x80, 0x80, 0x80],
    ] {
        let found = fault(&[(2, &message(&[1, 0], behind))]);
        assert_eq!(found, (64, Wrong::Properties), "{behind:?}");
    }
    assert!(Database::read(&file(&[(2, &message(&[1, 0], &[2, 1, 1]))])).is_ok());
}

#[test]
fn faults_of_deliveries_and_subscriptions_are_named_with_their_places() {
    for (id, state, expected) in [
        ([0, 1], [3, 3, 0, 1], (43, Wrong::QoS(3))),
        ([0, 1], [1, 0, 0, 1], (44, Wrong::Stage(0))),
        ([0, 1], [1, 9, 0, 1], (44, Wrong::Stage(9))),
        ([0, 1], [2, 7, 0, 1], (44, Wrong::Stage(7))),
        ([0, 1], [2, 12, 0, 0], (44, Wrong::Stage(12))),
        ([0, 1], [1, 3, 0, 2], (44, Wrong::Direction(2))),
        ([0, 0], [1, 3, 0, 1], (31, Wrong::PacketId(0))),
        ([0, 0], [2, 7, 0, 0], (31, Wrong::PacketId(0))),
    ] {
        assert_eq!(fault(&[(3, &delivery(&id, &state))]), expected);
    }
    let sent = delivery(&[0, 5], &[2, 5, 0, 1]);
    let open = delivery(&[0, 5], &[2, 7, 0, 0]);
    assert!(Database::read(&file(&[(3, &sent), (3, &open)])).is_ok());
    assert_eq!(fault(&[(3, &sent), (3, &sent)]), (56, Wrong::PacketId(5)));
    assert_eq!(fault(&[(3, &open), (3, &open)]), (56, Wrong::PacketId(5)));
    let good = subscription(&[0, 0, 0, 1], 1, b"a/#");
    assert!(Database::read(&file(&[(5, &[&good])])).is_ok());
    for filter in [&b"a#"[..], b"$share/g", b"\xff", b""] {
        let found = fault(&[(5, &[&subscription(&[0; 4], 1, filter)])]);
        assert_eq!(found, (44, Wrong::Filter), "{filter:?}");
    }
    let found = fault(&[(5, &[&subscription(&[16, 0, 0, 0], 1, b"a")])]);
    assert_eq!(found, (31, Wrong::SubscriptionId(1 << 28)));
}

#[test]
fn what_has_no_effect_is_left_out() {
    // With QoS 1 from a client, and with the message routed already; of a client that is not introduced.
    let chunks = [
        delivery(&[0, 5], &[1, 4, 0, 0]),
        delivery(&[0, 6], &[2, 8, 0, 0]),
        delivery(&[0, 7], &[1, 11, 0, 1]),
    ];
    let chunks: Vec<(u32, &[&[u8]])> = chunks.iter().map(|chunk| (3, &chunk[..])).collect();
    let file = file(&chunks);
    let database = read(&file);
    assert_eq!(database.clients[0].deliveries.len(), 1);
    let import = import(&database);
    assert_eq!(import.ledger.sessions().count(), 0);
    assert_eq!(import.left_out.sessions, 1);
}

/// Whoever may be named by it is known, but what he was to have is gone.
#[test]
fn a_message_that_is_missing_is_counted() {
    let (waits, sent) = (
        delivery(&[0, 1], &[1, 11, 0, 1]),
        delivery(&[0, 2], &[1, 3, 0, 1]),
    );
    let (released, open) = (
        delivery(&[0, 3], &[2, 5, 0, 1]),
        delivery(&[0, 4], &[2, 7, 0, 0]),
    );
    let retained: &[&[u8]] = &[&[1, 0, 0, 0, 0, 0, 0, 0]];
    let chunks: [(u32, &[&[u8]]); 6] = [
        (6, &[CLIENT]),
        (3, &waits),
        (3, &sent),
        (3, &released),
        (3, &open),
        (4, retained),
    ];
    let file = file(&chunks);
    let import = import(&read(&file));
    assert_eq!(import.left_out.missing, 5);
    let told = super::told::lines(&import.ledger);
    assert_eq!(told[1..], ["  inbound 4", "  released 3"]);
    assert!(import.to_route.is_empty());
}

#[test]
fn faults_are_told_in_words() {
    let fault = Fault {
        offset: 61,
        wrong: Wrong::QoS(3),
    };
    assert_eq!(fault.to_string(), "byte 61: QoS 3");
}

proptest! {
    #[test]
    fn changed_files_are_read_or_refused(
        changes in proptest::collection::vec((23..GOLDEN.len(), any::<u8>()), 1..6),
    ) {
        let mut file = GOLDEN.to_vec();
        for (at, byte) in changes {
            file[at] = byte;
        }
        whatever(&file)?;
    }

    #[test]
    fn any_chunks_are_read_or_refused(
        chunks in proptest::collection::vec((0u32..8, proptest::collection::vec(any::<u8>(), 0..90)), 0..8),
    ) {
        let mut file = file(&[]);
        for (kind, content) in chunks {
            file.extend(kind.to_be_bytes());
            file.extend((content.len() as u32).to_be_bytes());
            file.extend(content);
        }
        whatever(&file)?;
    }
}

/// What holds for any bytes.
fn whatever(file: &[u8]) -> Result<(), TestCaseError> {
    let Ok(database) = Database::read(file) else {
        return Ok(());
    };
    let again = database.write();
    let again = Database::read(&again);
    prop_assert_eq!(again.as_ref(), Ok(&database));
    let import = import(&database);
    let mut legacy = Legacy::of(1);
    let told = database.to_journal(NOW, &listeners(), |chunk| legacy.feed(0, chunk));
    prop_assert!(told.is_ok() && legacy.is_whole(0));
    let back = Database::of_ledgers(&[&import.ledger], NOW).write();
    prop_assert!(Database::read(&back).is_ok());
    Ok(())
}

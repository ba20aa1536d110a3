//! What was said to a broker and what came of it: which message is owed to whom, and which must not come. What must not come fails the
//! test when it does.

use std::collections::BTreeMap;

/// Numbers of those who say something: clients, and behind them their wills.
pub const AUTHORS: usize = 32;

/// A moment: the number of things that happened before it.
type Tick = u64;

/// A message, by who said it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    pub author: usize,
    pub number: usize,
}

impl Key {
    /// A payload that names it, with so many bytes behind.
    pub fn payload(self, more: usize) -> Vec<u8> {
        let mut payload = format!("{} {} ", self.author, self.number).into_bytes();
        payload.resize(payload.len() + more, b'.');
        payload
    }

    fn of_payload(payload: &[u8]) -> Option<Key> {
        let text = std::str::from_utf8(payload).ok()?;
        let mut words = text.split(' ').map(|word| word.parse().ok());
        let (author, number) = (words.next()??, words.next()??);
        Some(Key { author, number })
    }
}

/// A message that was said.
#[derive(Clone, Debug)]
pub struct Said {
    pub topic: String,
    pub qos: u8,
    pub retain: bool,
    /// An empty payload: it clears what is retained.
    pub is_empty: bool,
    said_at: Tick,
    /// From here on whoever wishes for it has to have it.
    owed_from: Option<Tick>,
    /// Taken back: nobody may have it any more.
    is_void: bool,
}

/// What a reader subscribes to.
#[derive(Debug)]
struct Wish {
    reader: usize,
    filter: String,
    qos: u8,
    /// When the run of the broker began in which it was asked for.
    run_at: Tick,
    granted_at: Option<Tick>,
    /// When its end was asked for, and when that was acknowledged.
    ends_at: Option<Tick>,
    ended_at: Option<Tick>,
    /// And all that waited for the reader has ended with it.
    is_wiped: bool,
}

impl Wish {
    /// Whether this message may come by it.
    fn allows(&self, said: &Said) -> bool {
        // What was taken shortly before may be on its way still.
        let is_before = said.owed_from.is_some_and(|owed| owed < self.run_at);
        let is_after = self.ended_at.is_some_and(|end| end < said.said_at);
        !is_before && !is_after && !self.is_wiped && matches(&self.filter, &said.topic)
    }

    /// Whether this message has to come by it.
    fn owes(&self, said: &Said) -> bool {
        let is_in_time = self.granted_at.is_some_and(|at| at < said.said_at);
        let is_owed = said.owed_from.is_some() && !said.is_void && !said.is_empty;
        is_in_time && is_owed && self.ends_at.is_none() && matches(&self.filter, &said.topic)
    }
}

/// A subscription, for who ends it.
#[derive(Clone, Copy, Debug)]
pub struct WishId(usize);

#[derive(Default)]
pub struct Record {
    now: Tick,
    /// When this run of the broker began.
    run_at: Tick,
    said: Vec<Vec<Said>>,
    wishes: Vec<Wish>,
    /// How often each reader has had each message.
    had: BTreeMap<(usize, Key), u32>,
    /// By reader, author and topic: the last message that came for the first time.
    last: BTreeMap<(usize, usize, String), usize>,
    /// Readers to whom messages come in no order.
    unordered: Vec<usize>,
    /// By reader: when the last message was said that came for the first time.
    seen: BTreeMap<usize, Tick>,
    /// How many messages came, and how many of them again.
    pub came: u64,
    pub again: u64,
}

impl Record {
    pub fn new(unordered: &[usize]) -> Record {
        Record {
            said: vec![Vec::new(); AUTHORS],
            unordered: unordered.to_vec(),
            ..Record::default()
        }
    }

    fn tick(&mut self) -> Tick {
        self.now += 1;
        self.now
    }

    /// A run of the broker begins.
    pub fn begin_run(&mut self) {
        self.run_at = self.tick();
    }

    /// A message is about to be said.
    pub fn say(&mut self, author: usize, topic: &str, qos: u8) -> Key {
        let said_at = self.tick();
        let number = self.said[author].len();
        self.said[author].push(Said {
            topic: topic.to_owned(),
            qos,
            retain: false,
            is_empty: false,
            said_at,
            owed_from: None,
            is_void: false,
        });
        Key { author, number }
    }

    /// It is retained, and perhaps clears what was.
    pub fn retains(&mut self, key: Key, is_empty: bool) {
        let said = &mut self.said[key.author][key.number];
        (said.retain, said.is_empty) = (true, is_empty);
    }

    pub fn said(&self, key: Key) -> &Said {
        &self.said[key.author][key.number]
    }

    /// How many messages were said and are owed.
    pub fn owed(&self) -> usize {
        let said = self.said.iter().flatten();
        said.filter(|said| said.owed_from.is_some()).count()
    }

    /// The broker has taken it.
    pub fn owe(&mut self, key: Key) {
        let now = self.tick();
        let said = &mut self.said[key.author][key.number];
        said.owed_from = said.owed_from.or(Some(now));
    }

    /// It will never be said.
    pub fn void(&mut self, key: Key) {
        self.said[key.author][key.number].is_void = true;
    }

    /// A reader asks for a subscription.
    pub fn wish(&mut self, reader: usize, filter: &str, qos: u8) -> WishId {
        self.wishes.push(Wish {
            reader,
            filter: filter.to_owned(),
            qos,
            run_at: self.run_at,
            granted_at: None,
            ends_at: None,
            ended_at: None,
            is_wiped: false,
        });
        WishId(self.wishes.len() - 1)
    }

    /// It has been acknowledged.
    pub fn grant(&mut self, wish: WishId) {
        let now = self.tick();
        let wish = &mut self.wishes[wish.0];
        wish.granted_at = wish.granted_at.or(Some(now));
    }

    /// Its end is asked for. What came before may still come.
    pub fn end(&mut self, wish: WishId) {
        let now = self.tick();
        self.wishes[wish.0].ends_at = Some(now);
    }

    /// That was acknowledged.
    pub fn ended(&mut self, wish: WishId) {
        let now = self.tick();
        self.wishes[wish.0].ended_at = Some(now);
    }

    /// The reader's session has ended, with all that waited in it.
    pub fn wipe(&mut self, reader: usize) {
        let now = self.tick();
        let wishes = self.wishes.iter_mut().filter(|wish| wish.reader == reader);
        for wish in wishes {
            wish.ends_at = wish.ends_at.or(Some(now));
            wish.is_wiped = true;
        }
    }

    /// A message has come to a reader.
    pub fn arrived(&mut self, reader: usize, (topic, qos, payload): (&str, u8, &[u8])) {
        let key = Key::of_payload(payload);
        let known = key.and_then(|key| self.said.get(key.author)?.get(key.number));
        let (Some(key), Some(said)) = (key, known.cloned()) else {
            panic!(
                "reader {reader}: nobody said {:?}",
                String::from_utf8_lossy(payload)
            );
        };
        let what = format!("reader {reader}, {key:?}, {said:?}");
        assert_eq!(topic, said.topic, "{what}: the topic");
        assert!(!said.is_void, "{what}: it was taken back");
        let mut wishes = self.wishes.iter().filter(|wish| wish.reader == reader);
        let by = wishes.clone().any(|wish| wish.allows(&said));
        assert!(by, "{what}: nobody wished for it");
        let is_granted = wishes.any(|wish| wish.allows(&said) && said.qos.min(wish.qos) == qos);
        assert!(is_granted, "{what}: it came with QoS {qos}");
        self.came += 1;
        let had = self.had.entry((reader, key)).or_default();
        *had += 1;
        if *had > 1 {
            self.again += 1;
            assert!(qos < 2, "{what}: it came twice");
            return;
        }
        if !self.unordered.contains(&reader) {
            self.seen.insert(reader, said.said_at);
            let place = (reader, key.author, topic.to_owned());
            let last = self.last.insert(place, key.number);
            assert!(last < Some(key.number), "{what}: it came behind {last:?}");
        }
    }

    /// How far readers are behind those who say something, but for those without an order.
    pub fn lag(&self) -> u64 {
        let seen = self.seen.values().min();
        seen.map_or(0, |seen| self.now - seen)
    }

    /// What is owed and has not come: how much, and which.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for wish in self.wishes.iter().filter(|wish| wish.ends_at.is_none()) {
            for (author, said) in self.said.iter().enumerate() {
                for (number, said) in said.iter().enumerate() {
                    let key = Key { author, number };
                    if wish.owes(said) && !self.had.contains_key(&(wish.reader, key)) {
                        let reader = wish.reader;
                        missing.push(format!(
                            "reader {reader} by {}: {key:?}, {said:?}",
                            wish.filter
                        ));
                    }
                }
            }
        }
        missing
    }

    /// Checks what is retained of a topic that one author writes: what was acknowledged last, or a later one.
    ///
    /// # Errors
    /// What it is, and may be.
    pub fn check_retained(
        &self,
        author: usize,
        topic: &str,
        found: Option<&[u8]>,
    ) -> Result<(), String> {
        let said = self.said[author].iter().enumerate();
        let said = said.filter(|(_, said)| said.retain && said.topic == topic);
        let said: Vec<(usize, &Said)> = said.collect();
        let acknowledged = |(_, said): &(usize, &Said)| said.owed_from.is_some();
        let last = said.iter().rposition(acknowledged);
        let mut may = said[last.unwrap_or(0)..].iter();
        let number = found.map(|payload| Key::of_payload(payload).expect("a name").number);
        let is_right = match number {
            Some(number) => may.any(|(one, said)| *one == number && !said.is_empty),
            None => last.is_none() || may.any(|(_, said)| said.is_empty),
        };
        let is = said.iter().find(|(one, _)| Some(*one) == number);
        let tail = &said[last.unwrap_or(0)..];
        let wrong = || format!("{topic} is {is:?} and may be {tail:?}");
        is_right.then_some(()).ok_or_else(wrong)
    }
}

/// Whether a topic matches a filter (MQTT 5, 4.7), of the few forms that are used here.
fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) => return true,
            (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

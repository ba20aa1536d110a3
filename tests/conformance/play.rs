//! Plays one case against a broker.

use std::collections::HashMap;

use crate::compose::{Variables, compose};
use crate::expect;
use crate::referee::Referee;
use crate::script::{Action, Case, Content, How};
use crate::support::mqtt::{self, Packet, Version};

/// A broker to play against, fresh for each case.
pub trait World {
    /// A new connection; handles are numbers from 0 on.
    fn open(&mut self) -> usize;
    /// The client sends.
    fn send(&mut self, link: usize, bytes: &[u8]);
    /// The client closes.
    fn close(&mut self, link: usize);
    /// Appends what has arrived; with `block`, waits a while for something. `true`: the server has closed.
    fn receive(&mut self, link: usize, inbox: &mut Vec<u8>, block: bool) -> bool;
    /// The client takes no bytes from here on, or takes them again.
    fn stall(&mut self, link: usize, stalled: bool);
    /// Lets time pass.
    fn wait(&mut self, ms: u64);
    /// Lets what is under way arrive.
    fn settle(&mut self);
    /// Whether it may close where it should say why (the standard lets it; this broker always says why).
    fn may_be_silent(&self) -> bool {
        false
    }
}

/// One client's connection.
struct Link {
    handle: usize,
    version: Version,
    inbox: Vec<u8>,
    corked: Vec<u8>,
    /// The server has closed its side.
    ended: bool,
    referee: Referee,
}

/// Plays the case; `Err` has the line and what went wrong.
pub fn play(world: &mut dyn World, case: &Case, version: Version) -> Result<(), String> {
    let mut player = Player {
        world,
        version,
        links: HashMap::new(),
        variables: Variables::new(),
    };
    let steps: Vec<_> = case.steps_for(version).collect();
    let mut at = 0;
    while at < steps.len() {
        let block: Vec<&Action> = steps[at..]
            .iter()
            .map(|s| &s.action)
            .take_while(|a| same_block(&steps[at].action, a))
            .collect();
        let taken = block.len().max(1);
        let result = if block.is_empty() {
            player.step(&steps[at].action)
        } else {
            player.block(block)
        };
        result.map_err(|e| format!("{}.script:{}: {e}", case.file, steps[at].line))?;
        at += taken;
    }
    player
        .finish()
        .map_err(|e| format!("{}.script, end of {:?}: {e}", case.file, case.name))
}

/// Whether both lines belong to one block of `<*` lines.
fn same_block(first: &Action, other: &Action) -> bool {
    let client_of = |action: &Action| match action {
        Action::Expect {
            client,
            how: How::AnyOrder,
            ..
        } => Some(client.clone()),
        _ => None,
    };
    client_of(first).is_some() && client_of(first) == client_of(other)
}

/// Whether this packet only says why the connection is closed.
fn is_farewell(what: &Content) -> bool {
    let Content::Fields(fields) = what else {
        return false;
    };
    let refuses = fields
        .words
        .iter()
        .any(|w| w.starts_with(b"0x8") || w.starts_with(b"0x9"));
    fields.kind == mqtt::DISCONNECT || (fields.kind == mqtt::CONNACK && refuses)
}

struct Player<'a> {
    world: &'a mut dyn World,
    version: Version,
    links: HashMap<String, Link>,
    variables: Variables,
}

impl Player<'_> {
    fn step(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::Send {
                client,
                what,
                corked,
            } => self.send(client, what, *corked),
            Action::Close { client } => {
                let link = self.links.remove(client).ok_or("no connection")?;
                self.world.close(link.handle);
                Ok(())
            }
            Action::Expect {
                client,
                what,
                how: How::Optional,
            } => self.optional(client, what),
            Action::Expect {
                client,
                what: Content::Bytes(patterns),
                ..
            } => self.exact(client, patterns),
            Action::Expect { client, what, .. } => {
                if self.world.may_be_silent() && is_farewell(what) && self.has_ended(client) {
                    return Ok(());
                }
                let (version, packet) = self.next_packet(client)?;
                expect::check(version, what, &packet, &mut self.variables)
                    .map_err(|e| format!("{e}; arrived: {}", mqtt::show(version, &packet.bytes)))
            }
            Action::Closed { client } => self.closed(client),
            Action::Nothing { client } => {
                self.world.settle();
                let world = &mut *self.world;
                let link = self.links.get_mut(client).ok_or("no connection")?;
                link.quiet(world)
            }
            Action::Stall { client, stalled } => {
                let link = self.links.get(client).ok_or("no connection")?;
                self.world.stall(link.handle, *stalled);
                Ok(())
            }
            Action::Wait { ms } => {
                self.world.wait(*ms);
                Ok(())
            }
        }
    }

    fn send(&mut self, client: &str, what: &Content, corked: bool) -> Result<(), String> {
        let version = match what {
            Content::Fields(f) => f
                .get("v")
                .and_then(|v| Version::parse(&String::from_utf8_lossy(v)))
                .unwrap_or(self.version),
            Content::Bytes(_) => self.version,
        };
        if !self.links.contains_key(client) {
            let handle = self.world.open();
            let link = Link {
                handle,
                version,
                inbox: Vec::new(),
                corked: Vec::new(),
                ended: false,
                referee: Referee::default(),
            };
            self.links.insert(client.into(), link);
        }
        let link = self.links.get_mut(client).unwrap();
        let bytes = compose(link.version, what, &self.variables)?;
        link.referee.sent(what, &bytes);
        link.corked.extend(bytes);
        if !corked {
            let bytes = std::mem::take(&mut link.corked);
            self.world.send(link.handle, &bytes);
        }
        Ok(())
    }

    /// A packet of exactly these bytes, whatever they mean.
    fn exact(&mut self, client: &str, patterns: &[Vec<Option<u8>>]) -> Result<(), String> {
        let frame = self.next_frame(client)?;
        if !patterns.iter().any(|pattern| expect::fits(pattern, &frame)) {
            return Err(format!("arrived: {}", mqtt::show(self.version, &frame)));
        }
        let link = self.links.get_mut(client).ok_or("no connection")?;
        match mqtt::decode(link.version, &frame) {
            Ok(mut packet) => link.referee.arrived(link.version, &mut packet),
            Err(_) => Ok(()),
        }
    }

    fn has_ended(&mut self, client: &str) -> bool {
        let Some(link) = self.links.get_mut(client) else {
            return true;
        };
        if !link.ended && link.inbox.is_empty() {
            link.ended = self.world.receive(link.handle, &mut link.inbox, true);
        }
        link.ended && link.inbox.is_empty()
    }

    /// Takes the next packet if it is this one.
    fn optional(&mut self, client: &str, what: &Content) -> Result<(), String> {
        let version = self
            .links
            .get(client)
            .ok_or(format!("{client} has no connection"))?
            .version;
        let Ok(frame) = self.next_frame(client) else {
            return Ok(());
        };
        let fits = mqtt::decode(version, &frame)
            .and_then(|p| expect::check(version, what, &p, &mut self.variables))
            .is_ok();
        let link = self.links.get_mut(client).ok_or("no connection")?;
        link.inbox.splice(..0, frame);
        if fits {
            self.next_packet(client).map(|_| ())
        } else {
            Ok(())
        }
    }

    fn next_frame(&mut self, client: &str) -> Result<Vec<u8>, String> {
        let link = self
            .links
            .get_mut(client)
            .ok_or(format!("{client} has no connection"))?;
        loop {
            if let Some(frame) = mqtt::take_frame(&mut link.inbox)? {
                return Ok(frame);
            }
            let before = link.inbox.len();
            if !link.ended {
                link.ended = self.world.receive(link.handle, &mut link.inbox, true);
            }
            if link.inbox.len() == before {
                let why = if link.ended {
                    "the server closed the connection"
                } else {
                    "nothing arrived"
                };
                return Err(format!("{why} (bytes left: {:02x?})", link.inbox));
            }
        }
    }

    fn next_packet(&mut self, client: &str) -> Result<(Version, Packet), String> {
        let frame = self.next_frame(client)?;
        let link = self.links.get_mut(client).ok_or("no connection")?;
        let mut packet = mqtt::decode(link.version, &frame)
            .map_err(|e| format!("{e}; arrived: {frame:02x?}"))?;
        let judged = link.referee.arrived(link.version, &mut packet);
        judged.map_err(|e| format!("{e}; arrived: {}", mqtt::show(link.version, &frame)))?;
        Ok((link.version, packet))
    }

    fn block(&mut self, mut actions: Vec<&Action>) -> Result<(), String> {
        while let Some(Action::Expect { client, .. }) = actions.first() {
            let (version, packet) = self.next_packet(client)?;
            let variables = &mut self.variables;
            let fits = actions.iter().position(|action| match action {
                Action::Expect { what, .. } => {
                    expect::check(version, what, &packet, variables).is_ok()
                }
                _ => false,
            });
            let at = fits.ok_or_else(|| {
                format!(
                    "none of the block; arrived: {}",
                    mqtt::show(version, &packet.bytes)
                )
            })?;
            actions.remove(at);
        }
        Ok(())
    }

    fn closed(&mut self, client: &str) -> Result<(), String> {
        let link = self
            .links
            .get_mut(client)
            .ok_or(format!("{client} has no connection"))?;
        while !link.ended && link.inbox.is_empty() {
            link.ended = self.world.receive(link.handle, &mut link.inbox, true);
            if !link.ended && link.inbox.is_empty() {
                return Err("the server did not close the connection".into());
            }
        }
        if !link.inbox.is_empty() {
            return Err(format!(
                "not closed yet; arrived: {}",
                mqtt::show(link.version, &link.inbox)
            ));
        }
        let link = self.links.remove(client).unwrap();
        self.world.close(link.handle);
        Ok(())
    }

    /// At the end, nothing may be left over on any connection.
    fn finish(&mut self) -> Result<(), String> {
        self.world.settle();
        let mut names: Vec<String> = self.links.keys().cloned().collect();
        names.sort();
        for name in names {
            let world = &mut *self.world;
            let link = self.links.get_mut(&name).ok_or("no connection")?;
            link.quiet(world).map_err(|e| format!("{name}: {e}"))?;
        }
        Ok(())
    }
}

impl Link {
    fn quiet(&mut self, world: &mut dyn World) -> Result<(), String> {
        if !self.ended {
            self.ended = world.receive(self.handle, &mut self.inbox, false);
        }
        if !self.inbox.is_empty() {
            return Err(format!(
                "not expected: {}",
                mqtt::show(self.version, &self.inbox)
            ));
        }
        if self.ended {
            Err("the server closed the connection".into())
        } else {
            Ok(())
        }
    }
}

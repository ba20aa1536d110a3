//! `firehose store dump`: what a store holds, in a stable order.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

use super::args::Dump;
use super::content::{Content, content};
use super::done::{Done, EXIT_DONE, EXIT_LESS};
use super::records;
use super::shown::{Retained, Session, Shown, Transit};
use super::words::{json, quoted, unfit, unreadable};
use crate::control::stderr;
use crate::mqtt::topic;

/// Writes it.
pub(super) fn dump(options: &Dump, out: &mut dyn Write) -> Done {
    if let Some(filter) = &options.topic
        && !topic::topic_filter_valid(filter)
    {
        return Err(format!("{filter} is no topic filter"));
    }
    if options.records {
        return records::dump(options, out);
    }
    let (content, ..) =
        content(&options.dir, |_| ()).map_err(|error| unreadable(&options.dir, &error))?;
    if let Some(misfit) = &content.misfit {
        return Err(unfit(&options.dir, misfit));
    }
    let mut lines = Lines {
        options,
        out,
        written: 0,
    };
    // A reader who has seen enough and goes is no error.
    let _ = lines.all(&content);
    let wanted = match (&options.client, &options.topic) {
        _ if lines.written > 0 => return Ok(EXIT_DONE),
        (None, None) => return Ok(EXIT_DONE),
        (Some(client), None) => format!("session of {}", quoted(client)),
        (None, Some(filter)) => format!("message whose topic matches {}", quoted(filter)),
        (Some(client), Some(filter)) => format!(
            "session of {} with a message whose topic matches {}",
            quoted(client),
            quoted(filter)
        ),
    };
    stderr::tell(&format!("firehose store: there is no {wanted}"));
    Ok(EXIT_LESS)
}

struct Lines<'a> {
    options: &'a Dump,
    out: &'a mut dyn Write,
    written: u64,
}

impl Lines<'_> {
    fn line(&mut self, one: &(impl Serialize + Display)) -> std::io::Result<()> {
        self.written += 1;
        match self.options.json {
            true => writeln!(self.out, "{}", json(one)),
            false => writeln!(self.out, "{one}"),
        }
    }

    /// Whether a message of this topic is wanted, or one of which the topic is not known.
    fn wants(&self, name: Option<&str>) -> bool {
        match (&self.options.topic, name) {
            (Some(filter), Some(name)) => topic::matches(filter, name),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    fn all(&mut self, content: &Content) -> std::io::Result<()> {
        self.sessions(content)?;
        if self.options.client.is_some() {
            return Ok(());
        }
        self.retained(content)?;
        self.in_transit(content)
    }

    fn sessions(&mut self, content: &Content) -> std::io::Result<()> {
        let ledgers = (0u8..).zip(content.legacy.ledgers());
        let all = ledgers.flat_map(|of| of.1.sessions().map(move |(_, session)| (of, session)));
        let client = self.options.client.as_deref();
        let mut all: Vec<_> = all
            .filter(|(_, session)| client.is_none_or(|id| *session.client_id == *id))
            .collect();
        all.sort_by_key(|((shard, _), session)| (&session.client_id, *shard, session.serial));
        for (of, session) in all {
            let shown = Session::of(of, session, &|topic| self.wants(topic));
            if self.options.topic.is_none() || shown.has_messages() {
                self.line(&shown)?;
            }
        }
        Ok(())
    }

    fn retained(&mut self, content: &Content) -> std::io::Result<()> {
        let ledgers = (0u8..).zip(content.legacy.ledgers());
        let all = ledgers.flat_map(|(shard, of)| of.retained().map(move |(_, kept)| (shard, kept)));
        let mut all: Vec<_> = all
            .filter(|(_, kept)| self.wants(Some(kept.message.topic.as_str())))
            .collect();
        all.sort_by_key(|(shard, kept)| (kept.message.topic.as_str(), *shard));
        for (shard, kept) in all {
            self.line(&Retained {
                kind: "retained",
                shard,
                message: Shown::of_kept(kept),
            })?;
        }
        Ok(())
    }

    fn in_transit(&mut self, content: &Content) -> std::io::Result<()> {
        for one in content.legacy.in_transit() {
            let ledger = content.legacy.ledger(one.from);
            let kept = ledger.and_then(|ledger| ledger.message(one.handed.number));
            let kept = kept.filter(|kept| self.wants(Some(kept.message.topic.as_str())));
            if let Some(kept) = kept {
                self.line(&Transit::of(&one, kept))?;
            }
        }
        Ok(())
    }
}

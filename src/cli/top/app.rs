//! What is on the screen beside the figures, and what keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::{Model, Order, Picture};
use super::news::News;

/// Rows that a page has for the keys that go by pages.
const PAGE: usize = 10;

const NEEDS_HTTP: &str = "That needs the broker's HTTP listener (protocol http_api).";

/// What lies over the figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Over {
    #[default]
    Nothing,
    Help,
    /// Whether this client is to be disconnected.
    Disconnect(String),
}

/// What the list below the figures has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Listed {
    #[default]
    Clients,
    Topics,
}

/// What a key wants of others.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    Quit,
    Sort(Order),
    Disconnect(String),
}

/// See the module.
pub(super) struct App {
    /// Where is looked.
    pub url: String,
    pub has_user: bool,
    /// Figures are those of `$SYS`.
    pub is_sys: bool,
    pub order: Order,
    pub picture: Picture,
    pub is_paused: bool,
    pub over: Over,
    pub listed: Listed,
    /// The place of the client that keys are meant for.
    pub chosen: usize,
    /// Its name: it stays chosen where others pass it by.
    chosen_id: Option<String>,
    /// What has become of something.
    pub said: Option<String>,
    /// Why the broker is away.
    pub away: Option<String>,
    model: Model,
}

impl App {
    pub(super) fn new(url: String, has_user: bool, order: Order) -> App {
        App {
            url,
            has_user,
            is_sys: false,
            order,
            picture: Picture::default(),
            is_paused: false,
            over: Over::Nothing,
            listed: Listed::Clients,
            chosen: 0,
            chosen_id: None,
            said: None,
            away: None,
            model: Model::default(),
        }
    }

    /// The same with figures of `$SYS`, and what is to be said of that at first.
    pub(super) fn of_sys(url: String, order: Order, said: Option<String>) -> App {
        App {
            is_sys: true,
            said,
            ..App::new(url, false, order)
        }
    }

    /// Takes what has come.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Look(look) => {
                self.away = None;
                let picture = self.model.picture(*look);
                if let Some(picture) = picture.filter(|_| !self.is_paused) {
                    self.picture = picture;
                    self.bring_into_order();
                }
            }
            News::Away(why) => {
                self.away = Some(why);
                self.model.forget();
            }
            News::Said(what) => self.said = Some(what),
        }
    }

    /// Takes a key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Act> {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if is_control => return Some(Act::Quit),
            _ if is_control => return None,
            _ => {}
        }
        self.said = None;
        match std::mem::take(&mut self.over) {
            Over::Nothing => self.plain_key(key.code),
            Over::Help => None,
            Over::Disconnect(client) if matches!(key.code, KeyCode::Char('y' | 'Y')) => {
                Some(Act::Disconnect(client))
            }
            Over::Disconnect(_) => None,
        }
    }

    fn plain_key(&mut self, code: KeyCode) -> Option<Act> {
        match code {
            KeyCode::Char('q' | 'Q') => return Some(Act::Quit),
            KeyCode::Char('t' | 'T') => self.list_the_other(),
            KeyCode::Char('p' | 'P' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('?' | 'h') => self.over = Over::Help,
            // There is nothing to choose among topics.
            code if self.listed == Listed::Clients => return self.key_of_clients(code),
            _ => {}
        }
        None
    }

    fn list_the_other(&mut self) {
        self.listed = match self.listed {
            Listed::Clients if self.is_sys => {
                self.said = Some(NEEDS_HTTP.into());
                Listed::Clients
            }
            Listed::Clients => Listed::Topics,
            Listed::Topics => Listed::Clients,
        };
    }

    fn key_of_clients(&mut self, code: KeyCode) -> Option<Act> {
        let last = self.picture.clients.len().saturating_sub(1);
        match code {
            KeyCode::Char('s' | 'S') => {
                self.order = self.order.next();
                self.bring_into_order();
                return Some(Act::Sort(self.order));
            }
            KeyCode::Char('k' | 'K') => self.ask_to_disconnect(),
            KeyCode::Up => self.choose(self.chosen.saturating_sub(1)),
            KeyCode::Down => self.choose((self.chosen + 1).min(last)),
            KeyCode::PageUp => self.choose(self.chosen.saturating_sub(PAGE)),
            KeyCode::PageDown => self.choose((self.chosen + PAGE).min(last)),
            KeyCode::Home => self.choose(0),
            KeyCode::End => self.choose(last),
            _ => {}
        }
        None
    }

    /// Over HTTP the broker does it.
    fn bring_into_order(&mut self) {
        if self.is_sys {
            self.picture.sort(self.order);
        }
        self.find_chosen();
    }

    fn ask_to_disconnect(&mut self) {
        let Some(client) = self.picture.clients.get(self.chosen) else {
            return;
        };
        match (self.is_sys, self.has_user) {
            (true, _) => {
                self.said = Some(NEEDS_HTTP.into());
            }
            (false, true) => self.over = Over::Disconnect(client.id.clone()),
            (false, false) => self.said = Some("That needs a user: --username NAME.".into()),
        }
    }

    fn choose(&mut self, place: usize) {
        self.chosen = place;
        let client = self.picture.clients.get(place);
        // At the top it is the first one that is meant, whoever it is.
        self.chosen_id = client.filter(|_| place > 0).map(|client| client.id.clone());
    }

    fn find_chosen(&mut self) {
        let clients = &self.picture.clients;
        let found = self
            .chosen_id
            .as_ref()
            .and_then(|id| clients.iter().position(|client| client.id == *id));
        let last = clients.len().saturating_sub(1);
        match found {
            Some(place) => self.chosen = place,
            None => self.choose(self.chosen.min(last)),
        }
    }
}

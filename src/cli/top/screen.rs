//! The terminal: taken, drawn on, and given back however this ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::crossterm::execute;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::app::{Act, App};
use super::feed::Feed;
use super::paint::Face;
use super::view;
use crate::limits;

/// The terminal while it is taken.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> io::Result<Screen> {
        // A panic gives it back too, also where it ends the process at once. That the cursor shows again is left out there.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let _ = execute!(io::stdout(), Show);
            before(info);
        }));
        match ratatui::try_init() {
            Ok(terminal) => Ok(Screen(terminal)),
            Err(error) => {
                // It may be half taken.
                let _ = ratatui::try_restore();
                Err(error)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.0.show_cursor();
        // A terminal that is gone wants nothing back.
        let _ = ratatui::try_restore();
    }
}

/// Shows figures until a key or a signal ends it.
///
/// # Errors
/// The terminal does not let itself be used.
pub(super) fn show(mut app: App, feed: &Feed, face: Face) -> Result<(), String> {
    let failed = |error: io::Error| format!("the terminal: {error}");
    let is_over = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, is_over.clone()).map_err(failed)?;
    }
    let mut screen = Screen::take().map_err(failed)?;
    let mut is_new = true;
    while !is_over.load(Ordering::Relaxed) {
        loop {
            match feed.news.try_recv() {
                Ok(news) => app.hear(news),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err("nobody asks any more".into()),
            }
            is_new = true;
        }
        if std::mem::take(&mut is_new) {
            let draw = |frame: &mut ratatui::Frame<'_>| {
                view::draw(&app, face, frame.area(), frame.buffer_mut());
            };
            screen.0.draw(draw).map_err(failed)?;
        }
        let pause = Duration::from_millis(limits::TOP_KEYS_MS);
        if !event::poll(pause).map_err(failed)? {
            continue;
        }
        is_new = true;
        if let Event::Key(key) = event::read().map_err(failed)?
            && key.kind == KeyEventKind::Press
        {
            match app.key(key) {
                None => {}
                Some(Act::Quit) => break,
                Some(Act::Sort(order)) => feed.sort(order),
                Some(Act::Disconnect(client)) => feed.disconnect(&client),
            }
        }
    }
    Ok(())
}

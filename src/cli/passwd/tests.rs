//! What becomes of a file's lines.

use super::file::Lines;
use super::*;

fn lines(text: &str) -> Lines {
    let folder = std::env::temp_dir();
    let path = folder.join(format!(
        "firehose-passwd-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&path, text).unwrap();
    let lines = Lines::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    lines
}

#[test]
fn users_are_set_and_removed_and_the_rest_stays() {
    let mut file = lines("# users\n\n a :x\nb:y\n");
    file.set("a", "1");
    file.set("c", "2");
    assert_eq!(file, lines("# users\n\na:1\nb:y\nc:2\n"));
    assert!(file.remove("b") && !file.remove("b") && !file.remove("# users"));
    assert_eq!(file, lines("# users\n\na:1\nc:2\n"));
}

/// The last line of a user counts, so that no other one may stay behind the new one.
#[test]
fn who_is_set_has_one_line() {
    let mut file = lines("a:x\nb:y\na:z\n a:v\n");
    file.set("a", "1");
    assert_eq!(file, lines("a:1\nb:y\n"));
}

#[test]
fn plain_text_is_hashed_once() {
    let hashed = Credential::new(Scheme::Sha512, b"p", b"salt").unwrap();
    let text = format!("# old\na:p:q\nb:{}\n", hashed.encoded());
    let mut file = lines(&text);
    let hash = |password: &[u8]| Ok(format!("<{}>", String::from_utf8_lossy(password)));
    file.hash_all(hash).unwrap();
    let expected = text.replace("a:p:q", "a:<p:q>");
    assert_eq!(file, lines(&expected));
    let error = lines("# old\nnothing\n").hash_all(hash).unwrap_err();
    assert_eq!(error, "2: no user name and password");
}

#[test]
fn names_that_would_be_read_otherwise_are_refused() {
    for name in ["", "a:b", "#a", " a", "a\t", "a\nb"] {
        assert!(check_user(name).is_err(), "{name:?}");
    }
    for name in ["a", "a b", "ä", "a#"] {
        assert_eq!(check_user(name), Ok(()));
    }
}

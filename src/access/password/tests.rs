//! Password files as mosquitto_passwd writes them; what is wrong with others.

use super::*;

/// By mosquitto_passwd 2.0.11, the password is `secret`.
const PBKDF2: &str = "$7$101$o5C7I+5Jq7TLiOYz$rnSaQX5abtF/GMRU+BPays7bMhGoarbE26qavZM4bvXiQx/3Bq1hqSpVdkSnA8COYcyjyDwQutZzY1Zyzk5iNA==";
const SHA512: &str = "$6$ST+8cJuBOWW+gE8k$fqBhaunnJhLuwA+z1n7wR0MqhdKfpnZq1N9fkQsaQS2RqUQwUNXS+Wh5hKkAR89FqS5QS5WBqCwLAxap7EH6ig==";
/// Of argon2's reference implementation, the password is `password`.
const ARGON2ID: &str =
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

#[test]
fn hashes_of_others_are_understood() {
    for (text, password) in [
        (PBKDF2, "secret"),
        (SHA512, "secret"),
        (ARGON2ID, "password"),
    ] {
        let credential = Credential::parse(text).unwrap();
        assert!(credential.matches(password.as_bytes()), "{text}");
        for wrong in ["", "Secret", "secret ", "secre", "passwor"] {
            assert!(!credential.matches(wrong.as_bytes()), "{text} {wrong}");
        }
        assert_eq!(credential.encoded(), text);
    }
}

#[test]
fn what_is_written_is_read() {
    let schemes = [
        Scheme::Sha512,
        Scheme::DEFAULT,
        Scheme::Pbkdf2 { iterations: 1 },
        Scheme::Argon2id {
            kib: 64,
            passes: 1,
            lanes: 1,
        },
    ];
    for scheme in schemes {
        for password in [&b""[..], b"p", &[0xff, 0, 0x24], &[b'x'; 300]] {
            let credential = Credential::new(scheme, password, b"0123456789abcdef").unwrap();
            let file = format!("# users\n\nu:{}\n", credential.encoded());
            let (passwords, notes) = Passwords::parse(file.as_bytes());
            assert!(notes.is_empty() && passwords.check("u", password));
            assert!(!passwords.check("u", b"other"));
            assert!(!passwords.check("v", password));
            assert!(!passwords.check("", password));
        }
    }
}

#[test]
fn the_last_line_of_a_user_counts() {
    let file = format!("  u : {PBKDF2} \r\nv:{SHA512}\nu:{ARGON2ID}\nu:{SHA512}\nu:{ARGON2ID}\n");
    let (passwords, notes) = Passwords::parse(file.as_bytes());
    assert!(passwords.check("u", b"password") && !passwords.check("u", b"secret"));
    assert!(passwords.check("v", b"secret"));
    let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "line 3: the user of line 1 once more: the last line counts",
            "line 4: the user of line 3 once more: the last line counts",
            "line 5: the user of line 4 once more: the last line counts",
        ]
    );
}

/// Whoever changes a password and gets the line wrong does not want the old one to hold.
#[test]
fn a_name_with_a_wrong_line_has_no_other() {
    let good = format!("u:{PBKDF2}");
    for wrong in ["u:secret", "u:", " u :$7$101$aaaa", "u", "u:\u{0}"] {
        for file in [
            format!("{wrong}\n{good}\nother:{PBKDF2}\n"),
            format!("other:{PBKDF2}\n{good}\n{wrong}\n"),
            format!("{good}\n{wrong}\nother:{PBKDF2}\n{good}\n"),
        ] {
            let (passwords, notes) = Passwords::parse(file.as_bytes());
            assert!(!passwords.check("u", b"secret"), "{file}");
            assert!(passwords.check("other", b"secret"), "{file}");
            let said = |note: &Note| note.text.contains("nobody logs in by this name");
            assert!(notes.iter().any(said), "{notes:?}");
        }
    }
    let file = [good.as_bytes(), b"\nu:\xff\n"].concat();
    assert!(!Passwords::parse(&file).0.check("u", b"secret"));
    // What names nobody costs nobody anything.
    for wrong in [&b":$6$aaaa$aaaa"[..], b"\xff:x", b"uu:x", b"U:x", b"#u:x"] {
        let file = [wrong, b"\n", good.as_bytes(), b"\n"].concat();
        assert!(Passwords::parse(&file).0.check("u", b"secret"), "{wrong:?}");
    }
}

#[test]
fn wrong_lines_cost_their_own_user_and_are_named() {
    let long = "x".repeat(70_000);
    let cases = [
        ("secret", "the password is missing; a line is NAME:HASH"),
        ("u:", "the password is missing; a line is NAME:HASH"),
        (":$6$aaaa$aaaa", "the user name is missing"),
        (&format!("{long}:{SHA512}"), "the user name is missing"),
        ("u:secret", "user `u`: the password is not hashed"),
        (
            "u:$8$a$b",
            "user `u`: the kind of hash is unknown; known are $6$, $7$ and $argon2id$",
        ),
        ("u:$6$aaaa", "user `u`: parts of the hash are missing"),
        ("u:$7$101$aaaa", "user `u`: parts of the hash are missing"),
        (
            "u:$7$0$aaaa$aaaa",
            "user `u`: the number of iterations is out of range",
        ),
        (
            "u:$7$+1$aaaa$aaaa",
            "user `u`: the number of iterations is out of range",
        ),
        (
            "u:$7$4000000000$aaaa$aaaa",
            "user `u`: the number of iterations is out of range",
        ),
        ("u:$7$101$!!$aaaa", "user `u`: the salt is not base64"),
        (
            "u:$7$101$aaaa$aaaa",
            "user `u`: the hash is not base64 of the right length",
        ),
        (
            "u:$argon2id$v=19$m=99999999,t=1,p=1$aaaa$aaaa",
            "user `u`: the parameters of argon2id are wrong",
        ),
        (
            "u:$argon2id$v=16$m=256,t=1,p=1$aaaa$aaaa",
            "user `u`: parts of the hash are missing",
        ),
    ];
    for (line, expected) in cases {
        let file = format!("# a comment\n\n{line}\nother:{PBKDF2}\n");
        let (passwords, notes) = Passwords::parse(file.as_bytes());
        let effect = match expected {
            "the user name is missing" => "the line is passed over",
            _ => "nobody logs in by this name, whatever other lines say",
        };
        let expected = format!("line 3: {expected}; {effect}");
        let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
        assert_eq!(notes, [expected], "{line}");
        assert!(
            !notes[0].contains("secret"),
            "nothing of a password is told"
        );
        assert!(passwords.check("other", b"secret"), "the others hold");
        assert!(!passwords.check("u", b"secret"));
    }
    let (_, notes) = Passwords::parse(b"# gr\xfc\xdfe\n\xff:x\n");
    assert_eq!(
        notes[0].to_string(),
        "line 2: not UTF-8 text; the line is passed over"
    );
    let marked = format!("\u{feff}u:{PBKDF2}\n");
    assert!(Passwords::parse(marked.as_bytes()).0.check("u", b"secret"));
}

#[test]
fn nothing_secret_is_printed() {
    let (passwords, _) = Passwords::parse(format!("u:{PBKDF2}\n").as_bytes());
    let printed = format!("{passwords:?} {:?}", Credential::parse(PBKDF2).unwrap());
    assert!(!printed.contains("o5C7I") && !printed.contains("rnSaQ"));
}
